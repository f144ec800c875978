"""Write-behind: marks wait in a bounded buffer that a flusher sends in batches.

`Buffer` is the data: marks by room, each with its moment on a clock of this process, so that what is
sent is an age and not a web server's time. `Flusher`, a thread, decides when (`aio` has a task for
that). Safe with threads, gevent and fork: a child starts empty, its parent sends what it had.
"""

import atexit
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from herenow.errors import StoreError
from herenow.operations.marking import Mark, base_of
from herenow.operations.scope import Scope
from herenow.store import forking
from herenow.store.finalizing import Flag

_log: Final = logging.getLogger("herenow")
MOST_BUFFERED: Final = 100_000
MOST_A_FLIGHT: Final = 5_000
"""Buffered marks a round trip: within a store's time-out, however many wait."""
MOST_COPIED: Final = 200
"""Marks that are sent once more rather than waited for: each costs the store a few microseconds."""


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


class Flight:
    """What one call takes out of the buffer, and what it does, until it is known how that went.

    ``copied`` are marks that another flight has taken: whoever reads sends them once more, before the
    question, and need not wait. ``taken`` are its own, of which those still ``kept`` at its end go back.
    """

    __slots__ = ("copied", "ending", "kept", "replaces", "says", "strangers", "taken")

    def __init__(
        self, copied: list[Waiting], taken: list[Waiting], ending: Collection[str] = ()
    ) -> None:
        self.copied = copied
        self.taken = taken
        self.ending = ending
        self.kept = {id(one): one for one in taken}
        self.says: dict[tuple[str, str], Mark | None] = {}
        self.strangers = False  # some whose mark, and so whose name, is not made yet
        self.replaces = False
        for scope, mark, _ in (*copied, *taken):
            if isinstance(mark, Unnamed):
                self.strangers = True
                continue
            self._say(scope.room, mark.user, mark)
            if mark.replaces is not None:
                self.replaces = True
                self._say(scope.room, mark.replaces, mark)

    def _say(self, room: str, user: str, mark: Mark) -> None:
        if self.says.setdefault((room, user), mark) != mark:
            self.says[room, user] = None  # several things

    def done(self, waiting: Iterable[Waiting]) -> None:
        """Settle marks: they were sent, or need not be."""
        for one in waiting:
            self.kept.pop(id(one), None)

    def bars(self, other: "Flight") -> bool:
        """Whether another may not overtake it: what they say of somebody is not the same."""
        few, many = sorted((self.says, other.says), key=len)
        differ = any(
            key in many and (mark is None or many[key] != mark) for key, mark in few.items()
        )
        return differ or _ends(self, other) or _ends(other, self)


def _ends(one: Flight, other: Flight) -> bool:
    """Whether one ends somebody whom another may say something of."""
    if other.strangers and (one.ending or one.replaces):
        return True
    ending = one.ending
    return bool(ending) and (
        any(user in ending for user in other.ending)
        or any(user in ending for _, user in other.says)
    )


def _base_of(mark: Mark | Unnamed) -> str | None:
    return None if isinstance(mark, Unnamed) else base_of(mark)


class Buffer:
    """Marks that wait to be sent; at most `MOST_BUFFERED`, beyond which the oldest are dropped.

    Flights overtake each other where that changes nothing: marks say how long ago they were, and one that
    comes twice is as one that comes once. What is said of one user keeps its order.
    """

    def __init__(self, most: int = MOST_BUFFERED) -> None:
        self._most = most
        self.dropped = 0
        self.start_anew()
        forking.register(self)

    def start_anew(self) -> None:
        """Be empty, with a lock of its own: what a forked child needs."""
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self._entries: dict[tuple[str, Mark | Unnamed], Waiting] = {}
        self.flying: list[Flight] = []

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

    def begin(
        self, rooms: Collection[str] | None = None, ending: Collection[str] = ()
    ) -> Flight | None:
        """Take what waits, of some rooms and those they depend on, or (None) of all; oldest first.

        ``ending``: users of whom nothing else may be under way meanwhile. None where another flight must
        end first; each such end is notified by ``changed``.
        """
        with self._lock:
            keys, copied = self._of(rooms)
            if len(copied) > MOST_COPIED:
                return None
            flight = Flight(copied, [self._entries[key] for key in keys], ending)
            if any(one.bars(flight) for one in self.flying):
                return None
            for key in keys:
                del self._entries[key]
            self.flying.append(flight)
            return flight

    def _of(
        self, rooms: Collection[str] | None
    ) -> tuple[list[tuple[str, Mark | Unnamed]], list[Waiting]]:
        """The keys of what waits, and what is under way; of some rooms and those they take kinds from."""
        under_way = [one for flight in self.flying for one in flight.taken]
        if rooms is None:
            return list(islice(self._entries, MOST_A_FLIGHT)), under_way
        wanted, known = {*rooms}, set[str]()
        keys, copied = [], under_way
        while wanted - known:
            known = {*wanted}
            keys = list(islice((key for key in self._entries if key[0] in known), MOST_A_FLIGHT))
            copied = [one for one in under_way if one[0].room in known]
            marks = [*(mark for _, mark in keys), *(mark for _, mark, _ in copied)]
            wanted |= {one for one in map(_base_of, marks) if one is not None}
        return keys, copied

    def end(self, flight: Flight) -> None:
        """Have a flight over: what is still its own waits on, before what has come since."""
        with self._lock:
            if flight in self.flying:
                self.flying.remove(flight)
            if flight.kept:
                older: dict[tuple[str, Mark | Unnamed], Waiting] = {
                    (scope.room, mark): (scope, mark, moment)
                    for scope, mark, moment in flight.kept.values()
                }
                for key in self._entries:
                    older.pop(key, None)
                self._entries = older | self._entries
                self._bound()
            self.changed.notify_all()

    def fly(self, flights: Collection[Flight]) -> bool:
        """Whether any of these flights is still under way."""
        return any(one in self.flying for one in flights)

    def _bound(self) -> None:
        while len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]
            self.dropped += 1


def by_room(entries: Iterable[Entry]) -> list[tuple[Scope, list[Mark], list[float]]]:
    """Sort what waited by room: the marks, and their moments."""
    batches: dict[str, tuple[Scope, list[Mark], list[float]]] = {}
    for scope, mark, moment in entries:
        known = batches.get(scope.room)
        if known is None:
            known = batches[scope.room] = (scope, [], [])
        elif scope.named and not known[0].named:
            known = batches[scope.room] = (scope, known[1], known[2])
        known[1].append(mark)
        known[2].append(moment)
    return list(batches.values())


def ages(scope: Scope, marks: Iterable[Mark], moments: Iterable[float], now: float) -> list[int]:
    """How long ago marks were, in milliseconds.

    An age is rounded down, and a millisecond less: so a mark is told of a moment after whatever this
    process had told the store before it, its own leave above all. By a clock of the caller's it is exact.
    """
    waited = [(now - moment) * 1000 for moment in moments]
    if scope.clock:
        return [mark.age + round(one) for mark, one in zip(marks, waited, strict=True)]
    return [mark.age + max(0, int(one) - 1) for mark, one in zip(marks, waited, strict=True)]


class Flusher:
    """A daemon thread that calls ``flush`` some seconds ``after`` something was put; and at exit.

    The thread holds on to whoever flushes only while something waits. When the ``owner`` is dropped, what
    waits is flushed once more, at once, and the thread ends, whether the store took it or not.
    """

    def __init__(
        self, flush: Callable[[], None], after: Callable[[], float], owner: object
    ) -> None:
        # the client library can be imported at the very end too, if only this is there already
        import_module("concurrent.futures.thread")
        self._after = after
        self._flush = weakref.WeakMethod(flush)
        self._ending = Ending()
        self.start_anew()
        forking.register(self)
        _flushers.add(self)
        weakref.finalize(owner, self._ending.drop).atexit = False

    def start_anew(self) -> None:
        """Have no thread, and a lock of its own: what a forked child needs."""
        self._starting = threading.Lock()
        self._have_none()

    def _have_none(self) -> None:
        self._wanted = Flag()
        self._closed = Flag()
        self._ending.flags = (self._closed, self._wanted)
        self._waiting: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have what was put flushed soon."""
        if not self._wanted.is_set():
            flush = self._flush()
            with self._starting:
                if self._ending.dropped:
                    return
                if flush is not None:
                    self._waiting[:] = [flush]
                self._wanted.set()
                if self._thread is None or not self._thread.is_alive():
                    self._start()

    def _start(self) -> None:
        _flush_at_the_end_of_a_child()
        self._thread = threading.Thread(
            target=_run,
            args=(self._starting, self._waiting, self._ending, self._after),
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

    def flush_at_exit(self) -> None:
        """Flush what waits, for the last time."""
        flush = self._flush()
        if flush is not None:
            _call(flush)


class Ending:
    """How a thread that flushes is told to end: its flags, and whether its owner was dropped."""

    flags: tuple[Flag, Flag]
    dropped = False

    def drop(self) -> None:
        """Have it end when it has flushed once more: as a finalizer, so it sets flags and no more."""
        self.dropped = True
        for flag in self.flags:
            flag.set()


def _run(
    starting: threading.Lock,
    waiting: list[Callable[[], None]],
    ending: Ending,
    after: Callable[[], float],
) -> None:
    closed, wanted = ending.flags
    dropped = False
    while not dropped:
        wanted.wait()
        if closed.wait(after()) and not ending.dropped:
            return
        dropped = ending.dropped  # what is flushed from here on is the last
        with starting:  # a wake comes before both, or after
            wanted.clear()
            flush = waiting.pop() if waiting else None
        if flush is not None:
            _call(flush)
        del flush
    with starting:
        waiting.clear()


def _call(flush: Callable[[], None]) -> None:
    try:
        flush()
    except StoreError as error:
        _log.debug("a flush waits for the store: %s", error)
    except Exception:  # noqa: BLE001 - the thread goes on
        _log.exception("a flush failed")


_flushers: Final["weakref.WeakSet[Flusher]"] = weakref.WeakSet()
_of_child: Final[set[int]] = set()


@atexit.register
def _flush_at_exit() -> None:
    for one in list(_flushers):
        one.flush_at_exit()


def _flush_at_the_end_of_a_child() -> None:
    # one of multiprocessing ends without atexit, by its own finalizers
    finalizers = sys.modules.get("multiprocessing.util")
    if finalizers is not None and os.getpid() not in _of_child:
        _of_child.add(os.getpid())
        finalizers.Finalize(None, _flush_at_exit, exitpriority=10)
