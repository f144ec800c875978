"""``herenow replay``: replay access logs on a store, and show who was online, and when."""

import gc
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

import click

from herenow.accesslog import Log, Naming, Summary, read_lines
from herenow.accesslog import replay as replay_log
from herenow.accesslog.files import STDIN
from herenow.cli.logs import Reading, warning, with_reading
from herenow.cli.options import duration_option, json_option, prefix_option, room_option
from herenow.cli.output import say, show_progress
from herenow.cli.program import NO, YES
from herenow.web.json_form import json_form

_THROWAWAY: Final = "embedded:///?temporary=1"
_BATCH_TIMEOUT: Final = 60.0
"""Seconds: a round trip carries some hundred milliseconds of work here, and nobody waits for a page."""
_SILENCES: Final = 3
_EVERY: Final = 0.1
_EVERY_LINE: Final = 10.0
_HISTORY: Final = 31 * 86_400.0


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
@with_reading
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
    reading: Reading,
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
            key = (
                None if reading.raw_hosts else store.hosts_key() if url else secrets.token_bytes(32)
            )
            with _progress("read", _size(logs), lambda _: log.lines) as advance:
                log.read(read_lines(logs, advance), reading.parser, reading.kind_of)
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
    if trouble := warning(log.lines, log.malformed):
        say(trouble)
    silences = summary.series.silences
    for one, to in silences[:_SILENCES]:
        since, until = (json_form(report.moment(at)) for at in (one, to))
        say(f"nobody from {since} to {until}: longer than --silence, so the series omits it")
    if len(silences) > _SILENCES:
        say(f"the series omits {len(silences) - _SILENCES:,} more silences")


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
    """Show progress, rate and remaining time: on a terminal in place, else a line every ten seconds.

    ``lines_of`` converts a part of ``total`` into lines.
    """
    terminal = sys.stderr.isatty()
    show, every = (show_progress, _EVERY) if terminal else (say, _EVERY_LINE)
    started = shown = time.monotonic()
    done = 0

    def advance(more: int) -> None:
        nonlocal done, shown
        done += more
        now = time.monotonic()
        if now - shown < every and not (terminal and done == total):
            return
        shown, lines, seconds = now, lines_of(done), max(now - started, 0.001)
        text = f"{what} {lines:,} lines, {lines / seconds:,.0f} lines/s"
        if total and done:
            text += f", {done / total:.0%}, {(total - done) * seconds / done:,.0f} s to go"
        show(text)

    try:
        yield advance
    finally:
        show_progress()
