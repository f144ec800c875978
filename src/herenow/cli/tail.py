"""``herenow tail``: follow the access log of any web server, and mark its visitors."""

import os
import socket
import time
from collections.abc import Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final

import click

from herenow.accesslog import Naming, mark_of
from herenow.accesslog.following import Follower, recorded_at
from herenow.cli.logs import Reading, warning, with_reading
from herenow.cli.logstore import LogStore, open_store
from herenow.cli.options import duration_option, prefix_option, room_option, url_option
from herenow.cli.output import say
from herenow.cli.program import YES
from herenow.cli.stopping import insist, stop_on_signals
from herenow.operations import Operation, answer
from herenow.operations.history import missed
from herenow.operations.logs import follow, read_to
from herenow.operations.marking import Mark
from herenow.store.finalizing import Flag

_POLL: Final = 0.25
_ENOUGH_LINES: Final = 20
"""Lines before it may warn that most are malformed."""
_SAVE_EVERY: Final = 30.0
_LATE: Final = 5.0
"""Seconds after which lines count as late: the minutes before them are gaps in the history."""


@click.command()
@click.argument("log", type=click.Path(dir_okay=False, path_type=Path))
@duration_option(
    "--window", "a window", show_default="the stored one", help="The room's window, stored in it."
)
@with_reading
@click.option("--from-end", is_flag=True, help="On the first run, skip what the log already holds.")
@duration_option(
    "--linger",
    "a time",
    default="60",
    show_default=True,
    help="How long to read on in a rotated file.",
)
@url_option
@prefix_option
@room_option
def tail(
    log: Path,
    *,
    window: float | None,
    reading: Reading,
    from_end: bool,
    linger: float,
    url: str | None,
    prefix: str | None,
    room: str,
) -> int:
    """Follow an access log that is being written, and mark its visitors.

    Survives rotation, truncation and restarts: the position in the log is stored together with the marks.
    Each line counts at its own time. Waits while the store is unavailable. SIGTERM ends it.
    """
    stop = stop_on_signals()
    with open_store(url, prefix, room, window) as store:
        marker = _Marker(store, reading, f"{socket.gethostname()}:{log.absolute()}", stop)
        key = None if reading.raw_hosts else insist(store.hosts_key, stop)
        places = insist(marker.places, stop)
        if stop.is_set():
            return YES
        marker.naming = Naming(key)
        try:
            follower = Follower(log.absolute(), places, at_end=from_end, linger=linger)
        except OSError as error:
            raise click.FileError(str(log), error.strerror or str(error)) from None
        _notify("READY=1")
        say(f"following {log}" + ("" if log.exists() else ", which is not there yet"))
        try:
            marker.run(follower)
        finally:
            follower.close()
    _notify("STOPPING=1")
    say(f"{marker.lines:,} lines, {marker.malformed:,} of them malformed")
    return YES


class _Marker:
    """Marks the visitors of the lines."""

    naming: Naming

    def __init__(
        self,
        store: LogStore,
        reading: Reading,
        log: str,
        stop: Flag,
    ) -> None:
        self._store, self._reading = store, reading
        self._core = store.core()
        self._log, self._stop = log, stop
        self.lines = self.malformed = 0
        self._warned = False
        self._oldest = inf  # moment in the lines read last, in ms
        self._all_recorded: float | None = None
        """When all lines so far were recorded, in Unix seconds; None if the log was never read."""

    def places(self) -> str | None:
        """The stored position in this log."""
        places = self._store.engine.call(read_to(self._core.scopes.site, self._log))
        self._all_recorded = None if places is None else recorded_at(places)
        return places

    def run(self, follower: Follower) -> None:
        """Follow until ``stop``."""
        saved, unsaved = time.monotonic(), False
        while not self._stop.is_set():
            began = time.time()
            try:
                for lines in follower.poll():
                    # a poll yields many lines: each part is marked together with its end
                    marks = self._read(lines)
                    unsaved = not marks
                    if marks:
                        self._mark(marks, follower.places())
                        saved = time.monotonic()
                    if self._stop.is_set():
                        break
                else:
                    self._all_recorded = began
            except OSError as error:
                say(f"{error}; trying again")
            if follower.moved or (unsaved and time.monotonic() - saved > _SAVE_EVERY):
                self._mark({}, follower.places())
                saved, unsaved = time.monotonic(), False
            self._stop.wait(_POLL)

    def _read(self, lines: list[bytes]) -> dict[bytes, int]:
        """The newest moment of each visitor, by kind and host."""
        newest, kind_of = dict[bytes, int](), self._reading.kind_of
        self._oldest = inf
        self.lines += len(lines)
        for line in lines:
            found = self._reading.parser.read(line)
            if found is None:
                self.malformed += 1
                continue
            whole, moment = found
            letter = b"m" if kind_of is None else kind_of(whole)
            if letter:
                visitor = letter + whole.host
                newest[visitor] = max(moment.ms, newest.get(visitor, 0))
                self._oldest = min(self._oldest, moment.ms)
        trouble = warning(self.lines, self.malformed)
        if trouble and self.lines >= _ENOUGH_LINES and not self._warned:
            say(trouble)
            self._warned = True
        return newest

    def _mark(self, moments: dict[bytes, int], places: str) -> None:
        """Mark these, and store the position in the log, as one."""
        many = [(mark_of(one, self.naming), ms) for one, ms in moments.items()]
        insist(partial(self._send, many, places), self._stop)

    def _send(self, part: list[tuple[Mark, int]], places: str) -> None:
        scope = self._core.scopes.site

        def make(naming: bool) -> Operation[Any]:
            now = time.time() * 1000
            ages = [max(0, round(now - ms)) for _, ms in part]
            marks = [mark for mark, _ in part]
            return follow(scope, marks, ages, self._log, places, naming=naming)

        gaps = self._gaps() if part else ()
        plan = self._core.rooms.write([(scope, make)], then=gaps)
        for outcome in self._store.engine.run(plan):
            answer(outcome)

    def _gaps(self) -> Sequence[Operation[int]]:
        """The operations that record unknown minutes as gaps, if these lines come late."""
        now = time.time()
        since = inf if self._all_recorded is None else max(self._all_recorded, self._oldest / 1000)
        if now - since < _LATE:
            return ()
        return missed(self._core.scopes.site, round(since * 1000), round(now * 1000))


def _notify(state: str) -> None:
    """Notify systemd, if it asked for that."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(address.replace("@", "\0", 1))
            sock.send(state.encode())
