"""Access logs: their lines read, sorted by time, told to a store; their curve drawn from its answers.

`times` reads moments, `formats` and `directives` lines, `files` what these lie in (plain, gzip, stdin);
`records` and `sorting` sort more than memory holds; `replaying` drives a store through a whole log by the
log's own clock, `figures` are what it came to; `following` reads a log that is being written.
Nothing here prints, or knows of a command line.
"""

from herenow.accesslog.figures import Figures
from herenow.accesslog.files import read_lines
from herenow.accesslog.formats import Line, Parser, json_parser, text_parser
from herenow.accesslog.hosts import Naming
from herenow.accesslog.records import Log
from herenow.accesslog.replaying import mark_of, replay

__all__ = [
    "Figures",
    "Line",
    "Log",
    "Naming",
    "Parser",
    "json_parser",
    "mark_of",
    "read_lines",
    "replay",
    "text_parser",
]
