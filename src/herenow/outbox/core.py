"""What a Presence is made of, without the I/O: its settings, and every plan that needs its memory.

The rooms of one Presence share one `Core`: throttle, buffer and what was learned belong to it, by room
name. Both facades are thin over it.
"""

import logging
import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias, TypeVar

from herenow import clocks, names
from herenow.errors import StoreError
from herenow.models import Counts, Peak, Room, UserPresence
from herenow.operations import (
    Argument,
    Operation,
    Outcome,
    Plan,
    answer,
    marking,
    online,
    rooms,
    upkeep,
    users,
)
from herenow.operations.marking import Mark, Written
from herenow.operations.scope import Scope, make_scope
from herenow.outbox import deferred
from herenow.outbox.buffer import Buffer, Flight, Unnamed
from herenow.outbox.room_cache import Memory, Write
from herenow.outbox.sending import Sender
from herenow.outbox.throttle import Throttle

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
M = TypeVar("M")
Touch: TypeAlias = Callable[..., Operation[Written]]
_log: Final = logging.getLogger("herenow")
DEFAULT_ROOM: Final = "site"
DEFAULT_WINDOW: Final = 300.0
DEFAULT_RETENTION: Final = 30 * 86_400.0
DEFAULT_HISTORY: Final = 31 * 86_400_000
DEFAULT_TIMEOUT: Final = 0.25
_SCOPES_KEPT: Final = 10_000
_ENDED_AT_ONCE: Final = 250
_FLUSH_AT_MOST: Final = 0.5
_FLUSH_OF_NEW_ROOM: Final = 0.05
_BEAT_OF_NEW_ROOM: Final = 0.25


class Core:
    """Settings, throttle, buffer and memory of one Presence."""

    def __init__(
        self,
        *,
        window: object,
        retention: object,
        resolution: object,
        buffered: bool,
        history: object,
        prefix: object,
        clock: Callable[[], float] | None,
    ) -> None:
        if clock is not None and not callable(clock):
            raise ValueError("clock is a function that gives Unix seconds, or None for the store's")
        self.clock = clock
        # a moment on this process's clock, in seconds, to tell ages by
        self.now: Callable[[], float] = clocks.steady if clock is None else partial(_told, clock)
        self._prefix = names.clean_prefix(prefix)
        self._window_named = window is not None
        self._window = names.milliseconds(DEFAULT_WINDOW if window is None else window, "a window")
        self._retention_named = retention is not None
        self._retention = names.milliseconds(
            DEFAULT_RETENTION if retention is None else retention, "a retention"
        )
        self._history_named = history is not None
        self._history = names.clean_history(False if history is None else history, DEFAULT_HISTORY)
        self._resolution: float | None = None
        if resolution is not None:
            self._resolution = names.age_milliseconds(resolution, "a resolution") / 1000
            if self._resolution * 1000 >= self._window:
                raise ValueError("a resolution is shorter than the window")
        self._met_new_room = False
        self.throttle = Throttle()
        self.buffer = Buffer() if buffered else None
        self.scope = lru_cache(maxsize=_SCOPES_KEPT)(self._scope)
        self.memory = Memory(self.scope, self._prefix, DEFAULT_ROOM)
        self.memory.dates = buffered
        self.sender = Sender(self.memory, self.now, self.scope, self.day_key)
        self.site = self._scope(
            DEFAULT_ROOM,
            self._window if self._window_named else None,
            self._history if self._history_named else None,
        )

    def _scope(self, room: str, window: int | None = None, history: int | None = None) -> Scope:
        usual = self._history
        if not self._history_named and room == DEFAULT_ROOM:
            usual = DEFAULT_HISTORY
        return make_scope(
            room,
            self._prefix,
            window=self._window if window is None else window,
            window_named=window is not None,
            retention=self._retention,
            retention_named=self._retention_named,
            history=usual if history is None else history,
            history_named=history is not None,
            day=self._day,
            clock=self.clock,
        )

    def _day(self, scope: Scope, now: Argument) -> int | None:
        return self.memory.day(scope, now)

    def room(self, name: object, window: object = None, history: object = None) -> Scope:
        """Name another room, and perhaps its window and its history."""
        milliseconds = None if window is None else names.milliseconds(window, "a window")
        kept = None if history is None else names.clean_history(history, DEFAULT_HISTORY)
        room = names.clean_room(name)
        if milliseconds is None and kept is None and room == DEFAULT_ROOM:
            return self.site
        return self.scope(room, milliseconds, kept)

    # marks

    def repeats(self, scope: Scope, user: str, session: str, kind: object, away: object) -> bool:
        """Whether a mark says nothing new and may be dropped."""
        if self._resolution == 0:
            return False
        now, resolution = self.now(), self._resolution_of(scope)
        return self.throttle.repeats(scope.room, user, session, kind, away, None, now, resolution)

    def is_repeat(self, scope: Scope, user: str, kind: object) -> bool:
        """The same of a mark that says no more than who, and as what: asked at every request."""
        said = self.throttle.last(scope.room, user, kind)
        if said is None:
            return False
        return 0 <= self.now() - said < self._resolution_of(scope)

    def _resolution_of(self, scope: Scope) -> float:
        # a room whose window is not known yet might have a very short one
        window = self.memory.known_window(scope)
        if window is None:
            return 0
        if self._resolution is None:
            return window / 60_000
        return min(self._resolution, window / 2000)

    def fresh(self, scope: Scope, marks: Iterable[Mark]) -> list[Mark]:
        """Drop the marks that say nothing new. Aged ones are all kept."""
        now, resolution = self.now(), self._resolution_of(scope)
        if resolution == 0:
            return list(marks)
        repeats = self.throttle.repeats
        return [
            mark
            for mark in marks
            if mark.age
            or mark.replaces
            or mark.usual
            or not repeats(
                scope.room,
                mark.user,
                mark.session,
                mark.kind,
                mark.away,
                mark.info,
                now,
                resolution,
            )
        ]

    def said(
        self,
        scope: Scope,
        marks: Iterable[Mark],
        moment: float,
        cleared: int,
        *,
        came: bool = False,
    ) -> None:
        """Remember what was said at ``moment``, that of the mark, so that repeats are dropped.

        ``cleared`` is the throttle's count before it was sent: nothing is remembered that a leave may
        have overtaken. ``came``: somebody came online by it.
        """
        if self._resolution == 0:
            return
        for mark in marks:
            if mark.replaces is not None:
                self.throttle.clear(scope.room, mark.replaces)
            elif not mark.age and cleared == self.throttle.cleared:
                self.throttle.say(scope.room, mark, moment, came=came)

    def put(self, scope: Scope, marks: Sequence[Mark]) -> None:
        """Keep marks in the buffer."""
        if self.buffer is not None:
            now = self.now()
            if self.memory.known_window(scope) is None:
                self._met_new_room = True
            self.said(scope, marks, now, self.throttle.cleared)  # before: a leave clears it after
            for mark in marks:
                self.buffer.put(scope, mark, now)

    def put_unnamed(self, scope: Scope, seen: Unnamed) -> None:
        """Keep somebody whose mark is made when it is sent."""
        if self.buffer is not None:
            if self.memory.known_window(scope) is None:
                self._met_new_room = True
            self.buffer.put(scope, seen, self.now())

    def repeats_until(self, scope: Scope, moment: float) -> float:
        """Until when a mark of ``moment`` has not to be made again, on `clocks.steady`; 0: it has."""
        return 0.0 if self.clock is not None else moment + self._resolution_of(scope)

    def beat_due(self, scope: Scope) -> float:
        """How many seconds after a mark of a held session the next is due."""
        third = self.memory.window(scope) / 3000
        if self.buffer is None or self.memory.known_window(scope) is not None:
            return third
        return min(third, _BEAT_OF_NEW_ROOM)  # the stored window may be a short one

    def flush_after(self) -> float:
        """How many seconds what is buffered may wait: half a second, less where a window is short."""
        if self._met_new_room:
            return _FLUSH_OF_NEW_ROOM
        return min(_FLUSH_AT_MOST, self.memory.shortest_window / 10_000)

    def marked(
        self, scope: Scope, user: str, written: Written, moment: float, cleared: int
    ) -> Plan[None] | None:
        """Remember a plain mark that was sent alone at ``moment``; what should follow it, if anything."""
        if self._resolution != 0 and cleared == self.throttle.cleared:
            self.throttle.say(scope.room, Mark(user), moment, came=written.result > 0)
        return self.memory.after(scope, written)

    def mark_many(self, scope: Scope, sightings: list[object]) -> Plan[int] | None:
        """Send many as they come, where that is exact; None where each wants a look."""
        if self._resolution != 0 or self.buffer is not None:
            return None
        if names.all_users(sightings):
            return self._send(scope, sightings, marking.touch_users)
        encoded = marking.encode_all(sightings)
        return None if encoded is None else self._send(scope, encoded, marking.touch_encoded)

    def mark(self, scope: Scope, marks: Sequence[Mark]) -> Plan[int]:
        """Send marks now; how many came online."""
        moment, cleared = self.now(), self.throttle.cleared
        if deferred.bases(marks):
            came = yield from self.sender.beside(scope, marks)
        else:
            came = yield from self._send(scope, marks, marking.touch)
        self.said(scope, marks, moment, cleared, came=came > 0)
        return came

    def beat(self, scope: Scope, mark: Mark) -> Plan[names.Kind | None]:
        """Send a held session's beat; as what its user is then online, None: is not. One round trip."""
        moment, cleared = self.now(), self.throttle.cleared
        writes: list[Write] = [(scope, partial(_naming, marking.touch, scope, [mark]))]
        looking = users.lookup(scope, [mark.user], include_hidden=True)
        written, found = yield from self.memory.write(writes, [looking])
        self.said(scope, [mark], moment, cleared, came=answer(written).result > 0)
        return online_as(answer(found)[0])

    def _send(self, scope: Scope, many: Sequence[M], touch: Touch) -> Plan[int]:
        writes: list[Write] = [
            (scope, partial(_naming, touch, scope, part)) for part in marking.chunks(many)
        ]
        outcomes = yield from self.memory.write(writes)
        came: int = sum(answer(outcome).result for outcome in outcomes)
        return came

    def leave(self, scope: Scope, user: object, session: object) -> Plan[bool]:
        """Send a leave. The throttle is cleared before and after: a mark may race with it."""
        name = names.clean_user(user)
        operation = marking.leave(scope, name, session)  # validated before anything is sent

        def make(naming: bool) -> Operation[Written]:
            return marking.leave(scope, name, session, naming=True) if naming else operation

        self.throttle.clear(scope.room, name)
        [outcome] = yield from self.memory.write([(scope, make)])
        self.throttle.clear(scope.room, name)
        return bool(answer(outcome).result)

    # what is buffered

    @property
    def dropped(self) -> int:
        """How many sightings were lost: too many waited, or the store refused them."""
        return 0 if self.buffer is None else self.buffer.dropped + self.sender.dropped

    def flush(
        self, flight: Flight, then: Sequence[Operation[Any]] = ()
    ) -> Plan[tuple[StoreError | None, list[Outcome]]]:
        """Send what a flight has, and ``then`` in the same round trip; see `Sender.flush`."""
        self._met_new_room = False
        return (yield from self.sender.flush(flight, then))

    def after(self, flight: Flight, plan: Plan[T]) -> Plan[T]:
        """Run a plan after what a flight has, both in the same round trip."""
        try:
            _, outcomes = yield from self.flush(flight, next(plan))
            while True:
                outcomes = yield plan.send(outcomes)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    # the rest that takes several steps

    def lookup(
        self, scope: Scope, ids: Iterable[K], *, include_hidden: bool
    ) -> Plan[dict[K, UserPresence]]:
        """Look up any number of users: one round trip."""
        named = users.clean_ids(ids)
        wanted = list(dict.fromkeys(named.values()))
        at_once = users.MOST_AT_ONCE
        operations = [
            users.lookup(scope, wanted[i : i + at_once], include_hidden=include_hidden)
            for i in range(0, len(wanted), at_once)
        ]
        outcomes = (yield operations) if operations else []
        looked_up = [one for outcome in outcomes for one in answer(outcome)]
        if len(wanted) == len(named):
            return dict(zip(named, looked_up, strict=True))
        found = dict(zip(wanted, looked_up, strict=True))
        return {key: found[name] for key, name in named.items()}

    def leave_rooms(self, base: Scope, user: object, session: object) -> Plan[int]:
        """Take a user out of every room but one; of how many rooms that was."""
        name = names.clean_user(user)
        marking.leave(base, name, session)  # a bad session is told before anything is sent
        self.throttle.clear_user(name)
        among: list[str] | None = None
        if self.memory.user_rooms.on:
            [outcome] = yield [rooms.noted(self._prefix, name)]
            among = [DEFAULT_ROOM, *answer(outcome)]
        there = yield from rooms.with_user(self._prefix, self.scope, name, among=among)
        writes: list[Write] = [
            (one, partial(_leaving, one, name, session)) for one in there if one.room != base.room
        ]
        outcomes = (yield from self.memory.write(writes)) if writes else []
        self.throttle.clear_user(name)
        return sum(bool(answer(outcome).result) for outcome in outcomes)

    def end_sessions(
        self, ended: Iterable[tuple[str, str, str]]
    ) -> Plan[list[tuple[str, str, str]]]:
        """End sessions, each of a room, a user and a name that are clean; those the store did not take.

        One round trip (a node).
        """
        each: dict[Scope, list[tuple[str, str | None]]] = {}
        for room, user, session in ended:
            each.setdefault(self.room(room), []).append((user, session))
        parts = [
            (scope, part)
            for scope, many in each.items()
            for part in marking.chunks(many, _ENDED_AT_ONCE)
        ]
        writes: list[Write] = [
            (scope, partial(_naming, marking.end, scope, part)) for scope, part in parts
        ]
        self._clear(each)
        outcomes = yield from self.memory.write(writes)
        self._clear(each)  # a mark may have raced with it
        return [
            (scope.room, user, session or "")
            for (scope, part), outcome in zip(parts, outcomes, strict=False)
            if isinstance(outcome, StoreError)
            for user, session in part
        ]

    def _clear(self, each: Mapping[Scope, Iterable[tuple[str, str | None]]]) -> None:
        for scope, many in each.items():
            for user, _ in many:
                self.throttle.clear(scope.room, user)

    def room_counts(self, wanted: Iterable[object]) -> Plan[dict[str, Counts]]:
        """Count several rooms: one round trip a node."""
        many = names.clean_many(wanted, "rooms is a list of rooms")
        scopes = [self.room(name) for name in many]
        outcomes = (yield [online.counts(scope) for scope in scopes]) if scopes else []
        return {scope.room: answer(one) for scope, one in zip(scopes, outcomes, strict=True)}

    def room_peaks(
        self, wanted: Iterable[object], kind: object, *, include_hidden: bool
    ) -> Plan[dict[str, Peak]]:
        """Read the records of several rooms: one round trip a node."""
        scopes = [self.room(name) for name in names.clean_many(wanted, "rooms is a list of rooms")]
        outcomes = (
            (yield [online.peak(one, kind, include_hidden=include_hidden) for one in scopes])
            if scopes
            else []
        )
        return {scope.room: answer(one) for scope, one in zip(scopes, outcomes, strict=True)}

    def rooms(self, limit: object, *, include_hidden: bool) -> Plan[list[Room]]:
        """Find the busiest rooms."""
        return rooms.busiest(
            self._prefix, names.clean_limit(limit), self.scope, include_hidden=include_hidden
        )

    def sweep(self, scope: Scope) -> Plan[int]:
        """Expire now, up to 250; how many left."""
        [outcome] = yield [upkeep.sweep(scope, naming=self.memory.naming(scope))]
        written: Written | None = answer(outcome)
        if written is None:
            return 0
        more = self.memory.after(scope, written)
        if more is not None:
            yield from more
        return written.result

    def day_key(self, day: object) -> Operation[str]:
        """Get the random key of a day, which whoever asks first makes."""
        return upkeep.day_key(self._prefix, day, secrets.token_urlsafe(32))

    def forget(self, user: object) -> Plan[int]:
        """Erase one user everywhere; in how many rooms there was anything of hers."""
        name = names.clean_user(user)
        self.throttle.clear_user(name)
        found = 0
        known = yield from rooms.every_room(self._prefix)
        for i in range(0, len(known), rooms.AT_ONCE):
            part = known[i : i + rooms.AT_ONCE]
            outcomes = yield [upkeep.forget(self.scope(room), name) for room in part]
            found += sum(answer(outcome) for outcome in outcomes)
        [outcome] = yield [rooms.forget_noted(self._prefix, name)]
        answer(outcome)
        self.throttle.clear_user(name)
        return found


def _told(clock: Callable[[], float]) -> float:
    return names.clock_milliseconds(clock()) / 1000


def online_as(user: UserPresence) -> names.Kind | None:
    """As what somebody is online; None: not at all."""
    return user.kind if user.online else None


def _naming(touch: Touch, scope: Scope, part: Sequence[M], naming: bool) -> Operation[Written]:
    return touch(scope, part, naming=naming)


def _leaving(scope: Scope, user: str, session: object, naming: bool) -> Operation[Written]:
    return marking.leave(scope, user, session, naming=naming)
