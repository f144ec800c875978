"""Write-behind: marks wait in a bounded buffer that a flusher sends in batches.

`Buffer` is the data: marks by room, each with its moment on a clock of this process, so that what is
sent is an age and not a web server's time. `Flusher`, a thread, decides when (`aio` has a task for
that). Safe with threads, gevent and fork: a child starts empty, its parent sends what it had.
"""

import atexit
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from herenow import forking
from herenow.errors import StoreError
from herenow.operations.marking import Mark
from herenow.operations.scope import Scope

_log: Final = logging.getLogger("herenow")
MOST_BUFFERED: Final = 100_000


class Unnamed(NamedTuple):
    """Somebody who was seen: ``make`` is to say who by these facts, when it is sent.

    It is given them, and how many seconds ago that was; None marks nobody.
    """

    make: "Callable[[str | None, str | None, float], Mark | None]"
    address: str | None
    agent: str | None


Entry: TypeAlias = tuple[Scope, Mark, float]
"""A mark that waits, seen at a moment (seconds on the process's clock)."""
Waiting: TypeAlias = tuple[Scope, Mark | Unnamed, float]
"""The same, or one whose mark is not made yet."""


class Buffer:
    """Marks that wait to be sent; at most `MOST_BUFFERED`, beyond which the oldest are dropped."""

    def __init__(self, most: int = MOST_BUFFERED) -> None:
        self._most = most
        self.dropped = 0
        self.start_anew()
        forking.register(self)

    def start_anew(self) -> None:
        """Be empty, with a lock of its own: what a forked child needs."""
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, Mark | Unnamed], Waiting] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, scope: Scope, mark: Mark | Unnamed, moment: float) -> None:
        """Keep a mark; one that says the same takes the place of an earlier one."""
        key = (scope.room, mark)
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = (scope, mark, moment)
            if len(self._entries) > self._most:
                self._bound()

    def take(self, room: str | None = None, most: int | None = None) -> list[Waiting]:
        """Take out what waits, of one room or (None) of all, oldest first; at most so much."""
        with self._lock:
            if room is None and (most is None or len(self._entries) <= most):
                taken, self._entries = list(self._entries.values()), {}
            else:
                keys = (key for key in self._entries if room is None or key[0] == room)
                taken = [self._entries.pop(key) for key in list(islice(keys, most))]
        return taken

    def put_back(self, entries: Iterable[Waiting]) -> None:
        """Keep what could not be sent, before what has come since."""
        with self._lock:
            older: dict[tuple[str, Mark | Unnamed], Waiting] = {
                (scope.room, mark): (scope, mark, moment) for scope, mark, moment in entries
            }
            for key in self._entries:
                older.pop(key, None)
            self._entries = older | self._entries
            self._bound()

    def _bound(self) -> None:
        while len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]
            self.dropped += 1


def by_room(entries: Iterable[Entry], now: float) -> list[tuple[Scope, list[Mark], list[int]]]:
    """Sort what waited by room: the marks, and their ages in milliseconds.

    An age is rounded down, and a millisecond less: so a mark is told of a moment after whatever this
    process had told the store before it, its own leave above all. By a clock of the caller's it is exact.
    """
    batches: dict[str, tuple[Scope, list[Mark], list[int]]] = {}
    for scope, mark, moment in entries:
        known = batches.get(scope.room)
        if known is None:
            known = batches[scope.room] = (scope, [], [])
        elif scope.named and not known[0].named:
            known = batches[scope.room] = (scope, known[1], known[2])
        known[1].append(mark)
        waited = (now - moment) * 1000
        known[2].append(mark.age + (round(waited) if scope.clock else max(0, int(waited) - 1)))
    return list(batches.values())


class Flusher:
    """A daemon thread that calls ``flush`` some seconds ``after`` something was put; and at exit.

    The thread holds on to whoever flushes only while something waits: a Presence that is dropped has
    its marks sent, and then ends it.
    """

    def __init__(self, flush: Callable[[], None], after: Callable[[], float]) -> None:
        # the client library can be imported at the very end too, if only this is there already
        import_module("concurrent.futures.thread")
        self._after = after
        self._flush = weakref.WeakMethod(flush)
        self.start_anew()
        forking.register(self)
        atexit.register(_flush_at_exit, self._flush)
        weakref.finalize(flush.__self__, self.close).atexit = False  # type: ignore[attr-defined]

    def start_anew(self) -> None:
        """Have no thread, and a lock of its own: what a forked child needs."""
        self.sending = threading.Lock()
        self._starting = threading.Lock()
        self._have_none()

    def _have_none(self) -> None:
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._waiting: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have what was put flushed soon."""
        if not self._wanted.is_set():
            flush = self._flush()
            with self._starting:
                if flush is not None:
                    self._waiting[:] = [flush]
                self._wanted.set()
                if self._thread is None or not self._thread.is_alive():
                    self._start()

    def _start(self) -> None:
        # a child of multiprocessing ends without atexit, by its own finalizers
        finalizers = sys.modules.get("multiprocessing.util")
        if finalizers is not None:
            finalizers.Finalize(None, _flush_at_exit, (self._flush,), exitpriority=10)
        self._thread = threading.Thread(
            target=_run,
            args=(self._starting, self._waiting, self._wanted, self._closed, self._after),
            name="herenow-flusher",
            daemon=True,
        )
        try:
            self._thread.start()
        except RuntimeError:  # no more threads at the very end: it is sent at exit
            self._thread = None

    def close(self) -> None:
        """Stop the thread; a later `wake` starts another."""
        # what belongs to a thread goes with it: no wake is meant for one that is ending
        with self._starting:
            thread, closed, wanted = self._thread, self._closed, self._wanted
            self._have_none()
        closed.set()
        wanted.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1)


def _run(
    starting: threading.Lock,
    waiting: list[Callable[[], None]],
    wanted: threading.Event,
    closed: threading.Event,
    after: Callable[[], float],
) -> None:
    while not closed.is_set():
        wanted.wait()
        if closed.wait(after()):
            return
        with starting:  # a wake comes before both, or after
            wanted.clear()
            flush = waiting.pop() if waiting else None
        if flush is not None:
            _call(flush)
        del flush


def _call(flush: Callable[[], None]) -> None:
    try:
        flush()
    except StoreError as error:
        _log.debug("a flush waits for the store: %s", error)
    except Exception:  # noqa: BLE001 - the thread goes on
        _log.exception("a flush failed")


def _flush_at_exit(method: "weakref.WeakMethod[Callable[[], None]]") -> None:
    flush = method()
    if flush is not None:
        _call(flush)
