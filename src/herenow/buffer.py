"""Write-behind: marks wait in a bounded buffer that a flusher sends in batches.

`Buffer` is the data: marks by room, each with its moment on a clock of this process, so that what is
sent is an age and not a web server's time. `Flusher`, a thread, decides when (`aio` has a task for
that). Safe with threads, gevent and fork: a child starts empty, its parent sends what it had.
"""

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from herenow.operations.marking import Mark
from herenow.operations.scope import Scope

_log: Final = logging.getLogger("herenow")
FLUSH_EVERY: Final = 0.5
MOST_BUFFERED: Final = 100_000
_forked: "weakref.WeakSet[Buffer | Flusher]" = weakref.WeakSet()


def _after_fork() -> None:
    for one in list(_forked):
        one.start_anew()


os.register_at_fork(after_in_child=_after_fork)


Entry: TypeAlias = tuple[Scope, Mark, float]
"""A mark that waits, seen at a moment (seconds on the process's clock)."""


class Buffer:
    """Marks that wait to be sent; at most `MOST_BUFFERED`, beyond which the oldest are dropped."""

    def __init__(self, most: int = MOST_BUFFERED) -> None:
        self._most = most
        self.dropped = 0
        self.start_anew()
        _forked.add(self)

    def start_anew(self) -> None:
        """Be empty, with a lock of its own: what a forked child needs."""
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, Mark], Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, scope: Scope, mark: Mark, moment: float) -> None:
        """Keep a mark; one that says the same takes the place of an earlier one."""
        key = (scope.room, mark)
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = (scope, mark, moment)
            if len(self._entries) > self._most:
                self._bound()

    def take(self, room: str | None = None) -> list[Entry]:
        """Take out what waits, of one room or (None) of all, oldest first."""
        with self._lock:
            if room is None:
                taken, self._entries = list(self._entries.values()), {}
            else:
                keys = [key for key in self._entries if key[0] == room]
                taken = [self._entries.pop(key) for key in keys]
        return taken

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Keep what could not be sent, before what has come since."""
        with self._lock:
            older = {(scope.room, mark): (scope, mark, moment) for scope, mark, moment in entries}
            for key in self._entries:
                older.pop(key, None)
            self._entries = older | self._entries
            self._bound()

    def _bound(self) -> None:
        while len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]
            self.dropped += 1


def by_room(entries: Iterable[Entry], now: float) -> list[tuple[Scope, list[Mark], list[int]]]:
    """Sort what waited by room: the marks, and their ages in milliseconds."""
    batches: dict[str, tuple[Scope, list[Mark], list[int]]] = {}
    for scope, mark, moment in entries:
        known = batches.get(scope.room)
        if known is None:
            known = batches[scope.room] = (scope, [], [])
        elif scope.named and not known[0].named:
            known = batches[scope.room] = (scope, known[1], known[2])
        known[1].append(mark)
        known[2].append(mark.age + max(1, round((now - moment) * 1000)))
    return list(batches.values())


class Flusher:
    """A daemon thread that calls ``flush`` half a second after something was put; and at exit."""

    def __init__(self, flush: Callable[[], None]) -> None:
        method = weakref.WeakMethod(flush)  # the thread must not keep a dropped Presence alive
        self._flush = method
        self.start_anew()
        _forked.add(self)
        atexit.register(_call, method)
        weakref.finalize(flush.__self__, self.close).atexit = False  # type: ignore[attr-defined]

    def start_anew(self) -> None:
        """Have no thread, and a lock of its own: what a forked child needs."""
        self.sending = threading.Lock()
        self._starting = threading.Lock()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have what was put flushed soon."""
        if not self._wanted.is_set():
            self._wanted.set()
            if self._thread is None or not self._thread.is_alive():
                self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._closed.clear()
                self._thread = threading.Thread(
                    target=_run,
                    args=(self._flush, self._wanted, self._closed),
                    name="herenow-flusher",
                    daemon=True,
                )
                self._thread.start()

    def close(self) -> None:
        """Stop the thread; a later `wake` starts another."""
        thread, self._thread = self._thread, None
        self._closed.set()
        self._wanted.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(FLUSH_EVERY * 2)
        self._wanted.clear()


def _call(method: "weakref.WeakMethod[Callable[[], None]]") -> bool:
    flush = method()
    if flush is None:
        return False
    try:
        flush()
    except Exception:  # noqa: BLE001 - the thread goes on
        _log.exception("a flush failed")
    return True


def _run(
    method: "weakref.WeakMethod[Callable[[], None]]",
    wanted: threading.Event,
    closed: threading.Event,
) -> None:
    while True:
        wanted.wait()
        if closed.wait(FLUSH_EVERY):
            return
        wanted.clear()
        if not _call(method):
            return
