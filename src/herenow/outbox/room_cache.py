"""The room cache: which rooms a process has put on the list, whose windows it has stored.

`write` is the plan of every write: put the rooms on the list where that is due, send the writes (and
what should follow them in the same round trip), then bring the list up to date. Nothing here does I/O.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from herenow import clocks
from herenow.errors import StoreTimeout, StoreUnavailable
from herenow.operations import Argument, Operation, Outcome, Plan, history, rooms, upkeep
from herenow.operations.marking import Written
from herenow.operations.scope import Scope
from herenow.outbox.user_rooms import UserRooms

_log: Final = logging.getLogger("herenow")
_LIST_EVERY: Final = 3600.0
_MOST_ROOMS: Final = 100_000
_UNLISTED_AT_ONCE: Final = 100
_OTHERS: Final = 2
_SWEEPS: Final = 4
"""Sweeps after a write of many users, at most: they take away as many as it may have brought."""
_DAY: Final = 86_400
_SLACK: Final = 2 * 3_600_000

Write = tuple[Scope, Callable[..., Operation[Any]]]
"""A room, and how to make its operation; ``naming`` says whether that is to store what is named."""


class Topology(Protocol):
    """What is known of the store's servers."""

    cluster: bool


class RoomCache:
    """What one process has done to rooms, and learned of them; bounded."""

    def __init__(self, scope_of: Callable[[str], Scope], prefix: str, site: str) -> None:
        self._scope_of = scope_of
        self.dates = False  # whether writes are dated by the store's clock
        self.user_rooms = UserRooms(prefix, site, self.known_window)
        self.topology: Topology | None = None
        self.windows: dict[str, int] = {}
        self._start()

    def _start(self) -> None:
        self._listed: dict[str, float] = {}
        self._unlisted: dict[str, Scope] = {}
        self.windows.clear()
        self.shortest_window = 10**12
        self._stored: set[tuple[str, int, int, int]] = set()
        self._history: dict[str, bool] = {}
        self._mixed: set[str] = set()
        self._ahead = 0.0
        self._clocks: dict[str, clocks.StoreClock] = {}
        self._clock = clocks.StoreClock()  # of whatever store of a cluster answered last

    def window(self, scope: Scope) -> int:
        """The room's window in milliseconds, as far as this process knows."""
        return self.windows.get(scope.room, scope.window)

    def known_window(self, scope: Scope) -> int | None:
        """The room's window in milliseconds; None where no write of this process has learned it yet."""
        return self.windows.get(scope.room)

    def day(self, scope: Scope, now: Argument) -> int | None:
        """The day whose uniques a write is to be given, counted from 1970; None without a history.

        By the store's clock where ``now`` is "", as far as this process knows that.
        """
        if not self._history.get(scope.room, scope.history > 0):
            return None
        if now != "":
            return int(now) // 1000 // _DAY
        latest = self._clock.at_latest(clocks.steady())
        return int((time.time() + self._ahead if latest is None else latest / 1000) // _DAY)

    def now_at_latest(self, scope: Scope) -> int | None:
        """What the clock of the room's store shows, in milliseconds, at the latest; None: not known."""
        return self._clocks.get(scope.room, self._clock).at_latest(clocks.steady())

    def _learn_time(self, room: str, now: int, asked: float) -> float:
        came = clocks.steady()
        behind = self._clock.learn(now, asked, came)
        known = self._clocks.get(room)
        if known is not None:
            return known.learn(now, asked, came)
        self._clocks[room] = known = clocks.StoreClock()
        known.learn(now, asked, came)
        return behind

    def _learn_hour(self, hour: int) -> None:
        """Take the store's hour, counted from 1970: this process's clock may be wrong."""
        hour_begins, known = hour * 3600, time.time() + self._ahead
        if not hour_begins <= known < hour_begins + 3600:
            self._ahead += (hour_begins if known < hour_begins else hour_begins + 3599) - known

    def mixed(self, scope: Scope) -> bool:
        """Whether the room is known to have others than members in it, or sessions."""
        return scope.room in self._mixed

    def naming(self, scope: Scope) -> bool:
        """Whether a write should store what this process names."""
        return scope.named and _named(scope) not in self._stored

    def _due(self, room: str) -> bool:
        listed = self._listed.get(room)
        return listed is None or clocks.steady() - listed > _LIST_EVERY

    def _learn(self, scope: Scope, written: Written, *, named: bool) -> None:
        window = scope.window if written.window is None else written.window
        if self.windows.get(scope.room) != window:
            self.windows[scope.room] = window
            self.shortest_window = min(self.shortest_window, window)
        if named and not written.pending:
            self._stored.add(_named(scope))
        if written.mixed:
            self._mixed.add(scope.room)
        elif written.mixed is not None:
            self._mixed.discard(scope.room)
        if written.history is not None:
            self._history[scope.room] = written.history.kept > 0
            if scope.clock is None:
                self._learn_hour(written.history.before)
        if written.window_before is not None:
            _log.warning(
                "the window of room %r is now %g s; it was %g s",
                scope.room,
                window / 1000,
                written.window_before / 1000,
            )

    def write(
        self, writes: Sequence[Write], then: Sequence[Operation[Any]] = ()
    ) -> Plan[list[Outcome]]:
        """Send writes, and ``then`` in the same round trip; the outcomes in that order.

        A room is put on the list before its first touch. In a cluster the list may be on another node
        and fail by itself: then the room is written all the same, and listed by the next write, of
        whatever room, that finds that node again.
        """
        due = {scope.room: scope for scope, _ in writes if self._due(scope.room)}
        due.update(islice(self._unlisted.items(), _UNLISTED_AT_ONCE))
        stale, refused = (yield from self._enlist_all(due)) if due else ({}, None)
        if refused is not None:
            # no write without it, but a store that only refuses can be read
            unavailable = isinstance(refused, StoreUnavailable | StoreTimeout)
            read = [refused] * len(then) if unavailable else ((yield then) if then else [])
            return [refused] * len(writes) + read
        named = [self.naming(scope) for scope, _ in writes]
        sent = [make(naming=name) for (_, make), name in zip(writes, named, strict=True)]
        marked = [(scope, one) for (scope, _), one in zip(writes, sent, strict=True)]
        notes = self.user_rooms.of(marked)
        asked = clocks.steady()
        outcomes = yield [*sent, *then, *self.user_rooms.operations(notes)]
        length = len(sent) + len(then)
        self.user_rooms.noted(notes, outcomes[length:])
        outcomes = outcomes[:length]
        for i, ((scope, _), name) in enumerate(zip(writes, named, strict=True)):
            outcome = outcomes[i]
            if isinstance(outcome, Written):
                if outcome.now is not None:
                    overaged = self._learn_time(scope.room, outcome.now, asked)
                    outcomes[i] = outcome._replace(overaged=overaged)
                self._learn(scope, outcome, named=name)
        notes = self.user_rooms.missing(marked, outcomes, notes)
        if notes:
            self.user_rooms.noted(notes, (yield self.user_rooms.operations(notes)))
        yield from self._follow(writes, outcomes)
        others = [one for room, one in stale.items() if room not in due]
        if others:
            yield from self._tidy(others)
        return outcomes

    def _enlist_all(
        self, due: Mapping[str, Scope]
    ) -> Plan[tuple[dict[str, rooms.Listed], Exception | None]]:
        """Put rooms on the list: others that may be stale, and why none may be written.

        Where writes are dated, the same round trip asks for the time.
        """
        if len(self._listed) > _MOST_ROOMS:
            self._start()  # all is learned again
        dated = [one for one in due.values() if self.dates and one.clock is None]
        asked = clocks.steady()
        outcomes = yield [
            *(_enlist(scope, None, others=_OTHERS) for scope in due.values()),
            *map(upkeep.now, dated),
        ]
        for scope, now in zip(dated, outcomes[len(due) :], strict=True):
            if isinstance(now, int):
                self._learn_time(scope.room, now, asked)
        listed = outcomes[: len(due)]
        refused = next((one for one in listed if isinstance(one, Exception)), None)
        if refused is not None:
            apart = self.topology is not None and self.topology.cluster
            if not (apart and isinstance(refused, StoreUnavailable | StoreTimeout)):
                return {}, refused
            if len(self._unlisted) < _MOST_ROOMS:
                self._unlisted.update(due)
            return {}, None
        for room in due:
            self._unlisted.pop(room, None)
        self._listed.update(dict.fromkeys(due, clocks.steady()))
        return {one.room: one for outcome in listed for one in outcome}, None

    def _follow(self, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> Plan[None]:
        written = [
            (scope, outcome)
            for (scope, _), outcome in zip(writes, outcomes, strict=False)
            if isinstance(outcome, Written)
        ]
        changed = {
            scope.room: (scope, one.listed) for scope, one in written if one.listed is not None
        }
        if changed:
            yield [_enlist(scope, count, others=0) for scope, count in changed.values()]
        behind = {scope.room: scope for scope, one in written if one.behind}
        for _ in range(_SWEEPS):
            if not behind:
                break
            swept = yield [upkeep.sweep(scope) for scope in behind.values()]
            behind = {
                room: scope
                for (room, scope), one in zip(behind.items(), swept, strict=True)
                if isinstance(one, Written) and one.behind
            }
        for room in {scope.room: scope for scope, one in written if one.history}.values():
            due = [one.history for scope, one in written if scope.room == room.room and one.history]
            yield from history.after(room, due)

    def listed(self, scope: Scope, user: str) -> bool:
        """Whether a mark may go alone: nothing to be stored or noted, and every room is on the list."""
        return not (
            self.naming(scope)
            or self._unlisted
            or self._due(scope.room)
            or self.user_rooms.due(scope, user)
        )

    def after(self, scope: Scope, written: Written) -> Plan[None] | None:
        """Learn of a write that went alone; what should follow it, if anything."""
        self._learn(scope, written, named=False)
        return (
            self._after(scope, written) if written.listed is not None or written.history else None
        )

    def _after(self, scope: Scope, written: Written) -> Plan[None]:
        if written.listed is not None:
            yield [_enlist(scope, written.listed, others=0)]
        if written.history is not None:
            yield from history.after(scope, [written.history])

    def _tidy(self, listed: Sequence[rooms.Listed]) -> Plan[None]:
        """Bring a few rooms of the list up to date, which nobody may be touching any more."""
        scopes = [self._scope_of(one.room) for one in listed]
        outcomes = yield [upkeep.sweep(scope) for scope in scopes]
        updates: list[Operation[Any]] = []
        for scope, one, outcome in zip(scopes, listed, outcomes, strict=True):
            if outcome is None:
                updates.append(rooms.delist(scope.prefix, one))
            elif isinstance(outcome, Written):
                more = self.after(scope, outcome)
                if more is not None:
                    yield from more
        if updates:
            yield updates


def _named(scope: Scope) -> tuple[str, int, int, int]:
    return scope.room, scope.window, scope.retention, scope.history


def _enlist(scope: Scope, count: int | None, *, others: int) -> Operation[list[rooms.Listed]]:
    return rooms.enlist(scope, count, ttl=scope.retention + scope.window + _SLACK, others=others)
