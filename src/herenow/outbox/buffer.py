"""Write-behind: marks wait in a bounded buffer that a flusher sends in batches.

Marks by room, each with its moment on a clock of this process, so that what is sent is an age and not a
web server's time. When they are sent is not decided here. Safe with threads, gevent and fork: a child
starts empty, its parent sends what it had.
"""

import threading
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final, TypeAlias

from herenow.operations.marking import Mark
from herenow.operations.scope import Scope
from herenow.outbox.deferred import Deferred
from herenow.store import forking

MOST_BUFFERED: Final = 100_000
MOST_A_FLIGHT: Final = 5_000
"""Buffered marks a round trip: within a store's time-out, however many wait."""
MOST_COPIED: Final = 200
"""Marks that are sent once more rather than waited for: each costs the store a few microseconds."""


Waiting: TypeAlias = tuple[Scope, Mark | Deferred, float]
"""What waits: a mark, perhaps to be resolved, of a moment in seconds on the process's clock."""


class Flight:
    """What one call takes out of the buffer, and what it does, until it is known how that went.

    ``copied`` are marks that another flight has taken: whoever reads sends them once more, before the
    question, and need not wait. ``taken`` are its own, of which those still ``kept`` at its end go back.
    """

    __slots__ = ("copied", "ending", "kept", "replaces", "said", "strangers", "taken")

    def __init__(
        self, copied: list[Waiting], taken: list[Waiting], ending: Collection[str] = ()
    ) -> None:
        self.copied = copied
        self.taken = taken
        self.ending = ending
        self.kept = dict(zip(map(id, taken), taken, strict=True))
        self.said: dict[tuple[str, str], Mark | Deferred | None] | None = None
        self.strangers = False  # some whose names are not known yet
        self.replaces = False

    @property
    def says(self) -> dict[tuple[str, str], Mark | Deferred | None]:
        """What it says of whom, None: several things. Found out when another one may have to wait."""
        if self.said is None:
            says = self.said = {}
            for scope, mark, _ in (*self.copied, *self.taken):
                self.replaces = self.replaces or mark.replaces is not None
                for user in (mark.user, mark.replaces):
                    if not isinstance(user, str):
                        self.strangers = self.strangers or user is not None
                    elif says.setdefault((scope.room, user), mark) != mark:
                        says[scope.room, user] = None
        return self.said

    def done(self, waiting: Iterable[Waiting]) -> None:
        """Take marks as done: they were sent, or need not be."""
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
        self._entries: dict[tuple[str, Mark | Deferred], Waiting] = {}
        self.flying: list[Flight] = []

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, scope: Scope, mark: Mark | Deferred, moment: float) -> None:
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
        """Take what waits, of some rooms and those they are linked to, or (None) of all; oldest first.

        ``ending``: users of whom nothing else may be under way meanwhile. None where another flight must
        end first; each such end is notified by ``changed``.
        """
        with self._lock:
            keys, copied = self._of(rooms)
            if len(copied) > MOST_COPIED:
                return None
            entries = self._entries
            whole = len(keys) == len(entries)
            taken = [*entries.values()] if whole else [entries[key] for key in keys]
            flight = Flight(copied, taken, ending)
            if any(one.bars(flight) for one in self.flying):
                return None
            if whole:
                self._entries = {}
            else:
                for key in keys:
                    del entries[key]
            self.flying.append(flight)
            return flight

    def _of(
        self, rooms: Collection[str] | None
    ) -> tuple[list[tuple[str, Mark | Deferred]], list[Waiting]]:
        """The keys of what waits, and what is under way; of some rooms and those they are linked to."""
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
            wanted |= {
                one.linked_to
                for one in marks
                if isinstance(one, Deferred) and one.linked_to is not None
            }
        return keys, copied

    def end(self, flight: Flight) -> None:
        """Have a flight over: what is still its own waits on, before what has come since."""
        with self._lock:
            if flight in self.flying:
                self.flying.remove(flight)
            if flight.kept:
                older: dict[tuple[str, Mark | Deferred], Waiting] = {
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


def by_room(
    entries: Iterable[tuple[Scope, Mark, float]],
) -> list[tuple[Scope, list[Mark], list[float]]]:
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

    An age is rounded down, and a millisecond less: so a mark is sent as of a moment after whatever this
    process had sent before it, its own leave above all. By a clock of the caller's it is exact.
    """
    waited = [(now - moment) * 1000 for moment in moments]
    if scope.clock:
        return [mark.age + round(one) for mark, one in zip(marks, waited, strict=True)]
    return [mark.age + max(0, int(one) - 1) for mark, one in zip(marks, waited, strict=True)]
