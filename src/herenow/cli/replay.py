"""``herenow replay``: replay access logs on a store, and show who was online, and when."""

import gc
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import click

from herenow.accesslog import Line, Log, Naming, Summary, json_parser, read_lines, text_parser
from herenow.accesslog import replay as replay_log
from herenow.accesslog.files import STDIN
from herenow.cli.options import duration_option, json_option, prefix_option, room_option
from herenow.cli.output import say
from herenow.cli.program import NO, YES
from herenow.web.bots import bot_name
from herenow.web.json_form import json_form

if TYPE_CHECKING:
    from herenow.accesslog.formats import Parser

_THROWAWAY: Final = "embedded:///?temporary=1"
_BATCH_TIMEOUT: Final = 60.0
"""Seconds: a round trip carries some hundred milliseconds of work here, and nobody waits for a page."""
_SILENCES: Final = 3
_REPORT_EVERY: Final = 10.0
_HISTORY: Final = 31 * 86_400.0


def fields_of(text: str) -> dict[str, str]:
    """Parse ``host=remote_addr,time=ts``. Raises ValueError."""
    pairs = [one.partition("=") for one in text.split(",")]
    if not all(name and sign and field for name, sign, field in pairs):
        raise ValueError(f"JSON fields are named as host=FIELD,time=FIELD, not {text!r}")
    return {name.strip(): field.strip() for name, _, field in pairs}


def make_parser(form: str | None, json_fields: str | None) -> "Parser":
    """Make the parser that the options name."""
    if json_fields is not None:
        if form is not None:
            raise ValueError("--format is for text and --json-fields for JSON: give one of them")
        return json_parser(fields_of(json_fields))
    return text_parser(form)


def kinds(bots: str, exclude: tuple[str, ...], kind: str) -> Callable[[Line], bytes] | None:
    """Make the function that returns a visitor's kind, empty to skip the line; None: all are members."""
    if bots == "with" and not exclude and kind == "member":
        return None
    letter, of_bots = (
        kind[0].encode(),
        {"with": kind[0].encode(), "without": b"", "apart": b"b"}[bots],
    )

    @lru_cache(maxsize=4096)
    def excluded(path: str) -> bool:
        return any(
            fnmatchcase(path, one)
            or (not any(sign in one for sign in "*?[") and path.startswith(one.rstrip("/") + "/"))
            for one in exclude
        )

    def kind_of(line: Line) -> bytes:
        if exclude and line.path is not None and excluded(line.path.decode("latin-1")):
            return b""
        if bots != "with" and line.agent is not None and is_bot(line.agent):
            return of_bots
        return letter

    return kind_of


def is_bot(agent: bytes) -> bool:
    """Whether a user agent is a bot's; an empty one is."""
    text = agent.decode("latin-1").strip()
    return bot_name("" if text == "-" else text) is not None


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options for reading a log."""
    for option in (
        click.option("--raw-hosts", is_flag=True, help="Store hosts unchanged instead of hashed."),
        click.option(
            "--kind",
            default="member",
            show_default=True,
            type=click.Choice(("member", "guest")),
            help="The visitors' kind.",
        ),
        click.option(
            "--bots",
            default="with",
            show_default=True,
            type=click.Choice(("with", "without", "apart")),
            help="Count bots (by user agent) as people, skip them, or keep them apart as bots.",
        ),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATH",
            help="Skip requests for this path and below it, or a pattern such as '*.png'.",
        ),
        click.option(
            "--json-fields",
            metavar="FIELDS",
            help="Read a JSON object a line: host=FIELD,time=FIELD[,path=FIELD][,agent=FIELD].",
        ),
        click.option(
            "--format",
            "form",
            metavar="FORMAT",
            show_default="combined",
            help="Apache's LogFormat, nginx's log_format, or vhost_combined.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@duration_option(
    "--window",
    "a window",
    default="300",
    show_default=True,
    help="How long a sighting keeps a visitor online.",
)
@duration_option(
    "--silence",
    "a silence",
    default="31d",
    show_default=True,
    help="Omit longer times without visitors from the series.",
)
@log_options
@click.option(
    "--url", metavar="URL", show_default="a temporary store", help="A store to keep the result in."
)
@prefix_option
@room_option
@json_option
@click.option(
    "--html", type=click.Path(dir_okay=False, writable=True), help="Write a report there."
)
def replay(
    logs: tuple[str, ...],
    *,
    window: float,
    silence: float,
    form: str | None,
    json_fields: str | None,
    bots: str,
    exclude: tuple[str, ...],
    kind: str,
    raw_hosts: bool,
    url: str | None,
    prefix: str | None,
    room: str,
    in_json: bool,
    html: str | None,
) -> int:
    """Replay access logs, plain or gzip (- is standard input): who was online, and when.

    Lines are sorted by time and marked in a real store, by the log's own clock. With --url the data stay
    there, in a room that must be new. A line counts if it has a host and a valid time.
    """
    from herenow.cli.logstore import open_store

    parser = make_parser(form, json_fields)
    kind_of = kinds(bots, exclude, kind)
    for one in logs:
        if one != STDIN:
            open(one, "rb").close()  # noqa: PTH123 - a missing one fails before an hour's work
    log, started = Log(), time.monotonic()
    try:
        with (
            _few_collections(),
            log.sorter,
            open_store(url or _THROWAWAY, prefix, room, window, _BATCH_TIMEOUT) as store,
        ):
            if url is not None:
                store.refuse_unless_new()
            key = None if raw_hosts else store.hosts_key() if url else secrets.token_bytes(32)
            with _progress("read", _size(logs), lambda _: log.lines) as advance:
                log.read(read_lines(logs, advance), parser, kind_of)
            counted = log.lines - log.malformed - log.skipped
            records = len(log.sorter)  # fewer than lines: equal ones are sent once
            with _progress("replayed", records, lambda one: counted * one // records) as advance:
                core = store.core(history=_history(log))
                summary = replay_log(log, core, store.engine, Naming(key), advance, silence)
    except OSError as error:
        raise click.FileError(error.filename or "the log", error.strerror or str(error)) from None
    seconds = time.monotonic() - started
    from herenow.cli import report

    if html is not None:
        Path(html).write_text(report.page(summary, logs), encoding="utf-8")
    if in_json:
        report.write_json(summary)
    else:
        report.show(summary)
    rate = log.lines / seconds
    say(f"{log.lines:,} lines in {seconds:,.1f} s, {rate:,.0f} a second")
    _warn(log, summary, report)
    return YES if summary.first is not None else NO


def _warn(log: Log, summary: Summary, report: ModuleType) -> None:
    """Warn of what the summary hides: lines that were not read, silences that are left out."""
    if trouble := not_read(log.lines, log.malformed):
        say(trouble)
    silences = summary.series.silences
    for one, to in silences[:_SILENCES]:
        since, until = (json_form(report.moment(at)) for at in (one, to))
        say(f"nobody from {since} to {until}: longer than --silence, so the series omits it")
    if len(silences) > _SILENCES:
        say(f"the series omits {len(silences) - _SILENCES:,} more silences")


def not_read(lines: int, malformed: int) -> str:
    """The warning that most lines are malformed; empty if they are not."""
    if malformed * 2 <= lines:
        return ""
    return f"{malformed:,} of {lines:,} lines have no host and time in this format: see --format"


@contextmanager
def _few_collections() -> Iterator[None]:
    """Collect garbage a thousandth as often: none of the millions of small tuples is circular."""
    usual = gc.get_threshold()
    gc.set_threshold(usual[0] * 1000, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _history(log: Log) -> float:
    """For how many seconds the room must keep its history, so that it reaches back to the log's start."""
    since = time.time() if log.earliest is None else min(log.earliest / 1000, time.time())
    return time.time() - since + _HISTORY


def _size(logs: tuple[str, ...]) -> int | None:
    return None if STDIN in logs else sum(Path(one).stat().st_size for one in logs)


@contextmanager
def _progress(
    what: str, total: int | None, lines_of: Callable[[int], int]
) -> Iterator[Callable[[int], object]]:
    """Show progress, rate and remaining time: a bar on a terminal, else a line every ten seconds.

    ``lines_of`` converts a part of ``total`` into lines.
    """
    started = reported = time.monotonic()
    done = 0
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total, rate="")

            def advance(more: int) -> None:
                nonlocal done
                done += more
                seconds = time.monotonic() - started
                rate = f"{lines_of(done) / seconds:,.0f} lines/s" if seconds else ""
                bar.update(task, advance=more, rate=rate)

            yield advance
        return

    def report(more: int) -> None:
        nonlocal done, reported
        done += more
        now = time.monotonic()
        if now - reported >= _REPORT_EVERY:
            reported, lines = now, lines_of(done)
            left = (
                f", {(total - done) * (now - started) / done:,.0f} s to go"
                if total and done
                else ""
            )
            say(f"{what} {lines:,} lines, {lines / (now - started):,.0f} a second{left}")

    yield report
