"""The outbox: takes marks, drops repeats, keeps what is buffered, resolves what is deferred, and sends.

The rooms of one Presence share one `Outbox`: throttle, buffer and what was learned belong to it, by room
name. Both facades are thin over it: it gives plans, and does no I/O. What changes nothing that it holds
is no business of its own: see `operations`.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from secrets import token_urlsafe
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from herenow import names
from herenow.errors import StoreError
from herenow.models import Sighting
from herenow.operations import (
    Argument,
    Operation,
    Outcome,
    Plan,
    answer,
    marking,
    rooms,
    upkeep,
    users,
)
from herenow.operations.marking import Mark, Written
from herenow.operations.scope import Scope
from herenow.outbox import deferred
from herenow.outbox.buffer import Buffer, Flight
from herenow.outbox.deferred import Deferred
from herenow.outbox.room_cache import RoomCache, Write
from herenow.outbox.scopes import DEFAULT_ROOM, Scopes
from herenow.outbox.sending import ENDED_AT_ONCE, Sender
from herenow.outbox.throttle import Throttle

T = TypeVar("T")
M = TypeVar("M")
Touch: TypeAlias = Callable[..., Operation[Written]]
Ended: TypeAlias = tuple[str, str, str]
"""A session that is over: its room, user and name."""
_FLUSH_AT_MOST: Final = 0.5
_FLUSH_OF_NEW_ROOM: Final = 0.05
_BEAT_OF_NEW_ROOM: Final = 0.25


class Alone(NamedTuple):
    """A mark of a user that says nothing more, and needs one call: of a moment, after so many leaves."""

    operation: Operation[Written | None]
    user: str
    moment: float
    cleared: int


class Outbox:
    """What waits in this process, and what it knows of rooms; ``settings`` are those of `Scopes`."""

    def __init__(self, *, buffered: bool, **settings: Any) -> None:
        self.scopes = Scopes(**settings, day=self._day)
        self.now = self.scopes.now
        self.rooms = RoomCache(self.scopes.of, self.scopes.prefix, DEFAULT_ROOM)
        self.rooms.dates = buffered
        self.throttle = Throttle(self.scopes.resolution, self.rooms.windows, self.now)
        self.buffer = Buffer() if buffered else None
        self.sender = Sender(self.rooms, self.now, self.scopes.of, self.day_key)
        self._flusher: Callable[[], object | None] = _nobody
        self._wake: Callable[[Any], None]
        self._exact = self.scopes.resolution == 0
        self._met_new_room = False

    def flushed_by(self, wake: Callable[[], None]) -> None:
        """Have a method called, of an object that is not held, when something was put into the buffer."""
        self._flusher = weakref.ref(wake.__self__)  # type: ignore[attr-defined]
        self._wake = wake.__func__  # type: ignore[attr-defined]

    def _day(self, scope: Scope, now: Argument) -> int | None:
        return self.rooms.day(scope, now)

    # marks: a plan that sends them, or what is answered at once

    def mark_online(
        self,
        scope: Scope,
        user: object,
        kind: names.Kind | None,
        session: str,
        away: bool | None,
        info: Mapping[str, Any] | None,
        replaces: object | None,
    ) -> Plan[bool] | Alone | Literal[False] | None:
        """Mark a user: whether they came online, by a plan or (`marked`) a call that goes alone.

        False for a repeat; None where buffered.
        """
        if type(user) is not str:
            user = names.clean_user(user)
        if info is None and replaces is None:
            if (
                not self._exact
                and type(session) is str
                and self.throttle.repeats(scope, user, session, kind, away, None)
            ):
                return None if self.buffer is not None else False
            if (
                kind is None
                and session == ""
                and away is None
                and self.buffer is None
                and self.rooms.listed(scope, user)
            ):
                user = names.clean_user(user)
                operation = marking.mark_plain(scope, user, mixed=self.rooms.mixed(scope))
                return Alone(operation, user, self.now(), self.throttle.cleared)
        if self.buffer is not None and session == "" and away is None and info is None:
            self._put(scope, [marking.simple(user, kind, replaces)])
            return None
        mark = marking.clean(Sighting(user, kind, session, away, info, 0.0, replaces))
        plan = self._mark(scope, [mark])
        return None if plan is None else self._came(plan)

    def _came(self, plan: Plan[int | None], *, came: bool = False) -> Plan[bool]:
        return bool((yield from plan)) or came

    def marked(self, scope: Scope, mark: Alone, written: Written | None) -> Plan[bool] | bool:
        """Take what a mark that went alone answered: whether they came online, at once or by a plan."""
        if written is None:
            return self._came(self.mark(scope, [Mark(mark.user)]))
        came = written.result > 0
        if not self._exact and mark.cleared == self.throttle.cleared:
            self.throttle.record(scope.room, Mark(mark.user), mark.moment, came=came)
        more = self.rooms.after(scope, written)
        return came if more is None else self._came(more, came=came)

    def mark_many(self, scope: Scope, sightings: Iterable[object]) -> Plan[int] | None:
        """Mark many: a plan, how many came online; None where they are buffered."""
        many = marking.listed(sightings)
        if self._exact and self.buffer is None:  # as they come, where none wants a look
            if names.all_users(many):
                return self._send(scope, many, marking.touch_users)
            encoded = marking.encode_all(many)
            if encoded is not None:
                return self._send(scope, encoded, marking.touch_encoded)
        return self._mark(scope, marking.clean_all(many))

    def mark_session(self, scope: Scope, mark: Mark) -> Plan[int] | None:
        """Mark a session that is held open, as `mark_many` does."""
        return self._mark(scope, [mark])

    def _mark(self, scope: Scope, marks: list[Mark]) -> Plan[int] | None:
        marks = self.throttle.drop(scope, marks)
        if self.buffer is not None:
            self._put(scope, marks)
            return None
        return self.mark(scope, marks)

    def mark(self, scope: Scope, marks: Sequence[Mark]) -> Plan[int]:
        """Send marks now; how many came online."""
        if not marks:
            return 0
        moment, cleared = self.now(), self.throttle.cleared
        came = yield from self._send(scope, marks, marking.touch)
        self.throttle.sent(scope, marks, moment, cleared, came=came > 0)
        return came

    def _send(self, scope: Scope, many: Sequence[M], touch: Touch) -> Plan[int]:
        writes: list[Write] = [
            (scope, partial(touch, scope, part)) for part in marking.chunks(many)
        ]
        outcomes = yield from self.rooms.write(writes)
        came: int = sum(answer(outcome).result for outcome in outcomes)
        return came

    def _put(self, scope: Scope, marks: Sequence[Mark]) -> None:
        now = self.now()
        if not self._exact:  # before: a leave clears it after
            self.throttle.sent(scope, marks, now, self.throttle.cleared)
        self._keep(scope, marks, now)

    def _keep(self, scope: Scope, marks: Iterable[Mark | Deferred], now: float) -> None:
        if self.buffer is None:
            return
        if self.rooms.known_window(scope) is None:
            self._met_new_room = True
        for mark in marks:
            self.buffer.put(scope, mark, now)
        flusher = self._flusher()
        if flusher is not None:
            self._wake(flusher)

    def defer(self, scope: Scope, mark: Deferred) -> Plan[None] | None:
        """Mark somebody by what is known when it is sent: a plan, or None: nothing is to be sent now.

        A mark that is linked to its own room is none.
        """
        mark = deferred.clean(mark)
        user, _, replaces, linked_to = mark
        if linked_to == scope.room:
            return None
        now, cleared = self.now(), self.throttle.cleared
        if isinstance(user, str) and (linked_to is not None or not mark.strange):
            kind = mark.kind if linked_to is None else (linked_to,)
            if (
                replaces is None
                and not self._exact
                and self.throttle.repeats(scope, user, "", kind, None, None)
            ):
                return None
        if self.buffer is None:
            return self._defer(scope, mark)
        self._record_deferred(scope, mark, now, cleared)
        self._keep(scope, [mark], now)
        return None

    def _record_deferred(self, scope: Scope, mark: Deferred, now: float, cleared: int) -> None:
        user, _, replaces, linked_to = mark
        if isinstance(user, str) and isinstance(replaces, str | None):
            kind = None if linked_to is None else (linked_to,)
            recorded = [Mark(user, kind=mark.kind, replaces=replaces)]
            self.throttle.sent(scope, recorded, now, cleared, kind=kind)

    def _defer(self, scope: Scope, mark: Deferred) -> Plan[None]:
        """Resolve a mark and send it now."""
        now, cleared = self.now(), self.throttle.cleared
        if mark.linked_to is not None:
            trouble, _ = yield from self.sender.flush(Flight([(scope, mark, now)], []))
            if trouble is not None:
                raise trouble
            self._record_deferred(scope, mark, now, cleared)
            return
        yield from deferred.learn([(mark, 0.0)], self.day_key)
        named = deferred.name(mark, 0.0)
        marks = [] if named is None else self.throttle.drop(scope, [named])
        if marks:
            yield from self.mark(scope, marks)

    def repeats_until(self, scope: Scope) -> float:
        """Until when a mark of now has not to be made again, on `clocks.steady`; 0: it has."""
        if self.scopes.clock is not None:
            return 0.0
        return self.now() + self.throttle.resolution(scope)

    # sessions that are held open

    def beat(self, scope: Scope, mark: Mark) -> Plan[names.Kind | None]:
        """Mark a held session; as what its user is online then, None: is not. One round trip."""
        looking = users.lookup(scope, [mark.user], include_hidden=True)
        if self.buffer is not None:
            self._put(scope, [mark])
            return self._found(looking)
        return self._beat(scope, mark, looking)

    def _found(self, looking: Operation[Any]) -> Plan[names.Kind | None]:
        [found] = yield [looking]
        return users.online_as(answer(found)[0])

    def _beat(self, scope: Scope, mark: Mark, looking: Operation[Any]) -> Plan[names.Kind | None]:
        moment, cleared = self.now(), self.throttle.cleared
        writes: list[Write] = [(scope, partial(marking.touch, scope, [mark]))]
        written, found = yield from self.rooms.write(writes, [looking])
        self.throttle.sent(scope, [mark], moment, cleared, came=answer(written).result > 0)
        return users.online_as(answer(found)[0])

    def beat_due(self, scope: Scope) -> float:
        """How many seconds after a mark of a held session the next is due."""
        third = self.rooms.window(scope) / 3000
        if self.buffer is None or self.rooms.known_window(scope) is not None:
            return third
        return min(third, _BEAT_OF_NEW_ROOM)  # the stored window may be a short one

    # leaves: the throttle is cleared before and after them, for a mark may race with one

    def leave(self, scope: Scope, user: object, session: object) -> Plan[bool]:
        """End one session of a user, or (None) all."""
        name = names.clean_user(user)
        marking.leave(scope, name, session)  # a bad session is refused before anything is sent
        self.throttle.clear(scope.room, name)
        [outcome] = yield from self.rooms.write(
            [(scope, partial(marking.leave, scope, name, session))]
        )
        self.throttle.clear(scope.room, name)
        return bool(answer(outcome).result)

    def leave_rooms(self, scope: Scope, user: object, session: object) -> Plan[int]:
        """Take a user out of every room but one; of how many rooms that was."""
        name = names.clean_user(user)
        marking.leave(scope, name, session)  # as above
        self.throttle.clear_user(name)
        prefix = self.scopes.prefix
        among: list[str] | None = None
        if self.rooms.user_rooms.on:
            [outcome] = yield [rooms.noted(prefix, name)]
            among = [DEFAULT_ROOM, *answer(outcome)]
        there = yield from rooms.with_user(prefix, self.scopes.of, name, among=among)
        writes: list[Write] = [
            (one, partial(marking.leave, one, name, session))
            for one in there
            if one.room != scope.room
        ]
        outcomes = (yield from self.rooms.write(writes)) if writes else []
        self.throttle.clear_user(name)
        return sum(bool(answer(outcome).result) for outcome in outcomes)

    def end_sessions(self, ended: Iterable[Ended]) -> Plan[list[Ended]]:
        """End sessions that are clean; those that the store did not take. One round trip a node."""
        each: dict[Scope, list[tuple[str, str | None]]] = {}
        for room, user, session in ended:
            each.setdefault(self.scopes.room(room), []).append((user, session))
        parts = [
            (scope, part)
            for scope, many in each.items()
            for part in marking.chunks(many, ENDED_AT_ONCE)
        ]
        self._clear(each)
        outcomes = yield from self.rooms.write(
            [(scope, partial(marking.end, scope, part)) for scope, part in parts]
        )
        self._clear(each)
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

    # what is buffered

    @property
    def dropped(self) -> int:
        """How many sightings were lost: too many waited, or the store refused them."""
        return 0 if self.buffer is None else self.buffer.dropped + self.sender.dropped

    def flush_after(self) -> float:
        """How many seconds what is buffered may wait: half a second, less where a window is short."""
        if self._met_new_room:
            return _FLUSH_OF_NEW_ROOM
        return min(_FLUSH_AT_MOST, self.rooms.shortest_window / 10_000)

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

    # upkeep

    def sweep(self, scope: Scope) -> Plan[int]:
        """Expire now, up to 250; how many left."""
        [outcome] = yield [upkeep.sweep(scope, naming=self.rooms.naming(scope))]
        written: Written | None = answer(outcome)
        if written is None:
            return 0
        more = self.rooms.after(scope, written)
        if more is not None:
            yield from more
        return written.result

    def forget(self, user: object) -> Plan[int]:
        """Erase one user everywhere; in how many rooms there was anything of theirs."""
        name = names.clean_user(user)
        self.throttle.clear_user(name)
        found = yield from rooms.forget(self.scopes.prefix, self.scopes.of, name)
        self.throttle.clear_user(name)
        return found

    def day_key(self, day: object) -> Operation[str]:
        """Get the random key of a day, which whoever asks first makes."""
        return upkeep.day_key(self.scopes.prefix, day, token_urlsafe(32))


class Owner:
    """What a Presence and the rooms that it gave hold, and nobody else: it is dropped with them."""


def _nobody() -> None:
    return None
