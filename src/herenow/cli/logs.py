"""How commands read an access log: the options for its format, and for whom its lines are marked."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from functools import wraps
from typing import Any, Final

import click

from herenow.accesslog import Line, Parser, json_parser, text_parser
from herenow.web.bots import bot_name


@dataclass(frozen=True)
class Reading:
    """How the lines of a log are read.

    ``kind_of`` returns the letter of a visitor's kind, empty to skip the line; None: all have ``kind``.
    """

    parser: Parser
    kind_of: Callable[[Line], bytes] | None
    raw_hosts: bool


def warning(lines: int, malformed: int) -> str:
    """Warn that most lines are malformed; empty if they are not."""
    if malformed * 2 <= lines:
        return ""
    return f"{malformed:,} of {lines:,} lines have no host and time in this format: see --format"


def with_reading(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options for reading a log, and what they make: its ``reading``."""

    @wraps(command)
    def run(
        *args: Any,
        form: str | None,
        json_fields: str | None,
        exclude: tuple[str, ...],
        bots: str,
        kind: str,
        raw_hosts: bool,
        **kwargs: Any,
    ) -> int:
        if json_fields is None:
            parser = text_parser(form)
        elif form is None:
            pairs = (one.partition("=") for one in json_fields.split(","))
            parser = json_parser({name.strip(): field.strip() for name, _, field in pairs})
        else:
            raise click.UsageError(
                "--format is for text and --json-fields for JSON: give one of them"
            )
        reading = Reading(parser, _kinds(bots, exclude, kind), raw_hosts)
        return command(*args, reading=reading, **kwargs)

    decorated: Any = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _kinds(bots: str, exclude: tuple[str, ...], kind: str) -> Callable[[Line], bytes] | None:
    if bots == "with" and not exclude and kind == "member":
        return None
    letter = kind[0].encode()
    of_bots = {"with": letter, "without": b"", "apart": b"b"}[bots]
    below = (one.rstrip("/") + "/*" for one in exclude if not set("*?[") & set(one))
    excluded = re.compile("|".join(map(translate, (*exclude, *below)))) if exclude else None

    def kind_of(line: Line) -> bytes:
        if excluded and line.path is not None and excluded.match(line.path.decode("latin-1")):
            return b""
        if of_bots != letter and line.agent is not None:
            agent = line.agent.decode("latin-1").strip()
            if bot_name("" if agent == "-" else agent) is not None:
                return of_bots
        return letter

    return kind_of


_OPTIONS: Final = (
    click.option(
        "--format",
        "form",
        metavar="FORMAT",
        show_default="combined",
        help="Apache's LogFormat, nginx's log_format, or vhost_combined.",
    ),
    click.option(
        "--json-fields",
        metavar="FIELDS",
        help="Read a JSON object a line: host=FIELD,time=FIELD[,path=FIELD][,agent=FIELD].",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="PATH",
        help="Skip requests for this path and below it, or a pattern such as '*.png'.",
    ),
    click.option(
        "--bots",
        default="with",
        show_default=True,
        type=click.Choice(("with", "without", "apart")),
        help="Count bots (by user agent) as people, skip them, or keep them apart as bots.",
    ),
    click.option(
        "--kind",
        default="member",
        show_default=True,
        type=click.Choice(("member", "guest")),
        help="The visitors' kind.",
    ),
    click.option("--raw-hosts", is_flag=True, help="Store hosts unchanged instead of hashed."),
)
