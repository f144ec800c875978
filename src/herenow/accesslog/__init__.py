"""Access logs: read their lines, sort them by time, send them to a store, summarize its answers.

`times` parses timestamps, `formats` and `directives` lines; `files` opens them (plain, gzip, stdin);
`records` and `sorting` sort more than memory holds; `replaying` drives a store through a whole log by the
log's own clock, `sending` batches what it sends, `summary` is the result; `following` reads a log that is
being written. Nothing here prints, or knows of a command line.
"""

from herenow.accesslog.files import read_lines
from herenow.accesslog.formats import Line, Parser, json_parser, text_parser
from herenow.accesslog.hosts import Naming
from herenow.accesslog.records import Log
from herenow.accesslog.replaying import mark_of, replay
from herenow.accesslog.summary import Summary

__all__ = [
    "Line",
    "Log",
    "Naming",
    "Parser",
    "Summary",
    "json_parser",
    "mark_of",
    "read_lines",
    "replay",
    "text_parser",
]
