"""Sending: the plans by which what waits reaches the store, and what is asked after it.

Owns what becomes of each mark of a flight: sent, dropped and counted, or kept for the next. A mark in a
*linked* room takes its kind from the other room at each send, never from an earlier one, and that room is
looked at once more in the round trip that sends it: who hid or left meanwhile is hidden or ended there
too. So they stand there as what they were for a round trip; where the store fails at just that moment,
until a later flight has set it right, and for the room's window at most. On a cluster, where the two
rooms may be on two nodes, the second look may come before the mark, by the time between those.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial
from typing import Any, Final, TypeAlias

from herenow.errors import StoreError, StoreTimeout, StoreUnavailable
from herenow.operations import Operation, Outcome, Plan, marking
from herenow.operations.marking import Mark, Written
from herenow.operations.scope import Scope
from herenow.outbox import deferred
from herenow.outbox.buffer import Flight, Waiting, ages, by_room
from herenow.outbox.deferred import Deferred, Found, Look
from herenow.outbox.room_cache import RoomCache, Write

_log: Final = logging.getLogger("herenow")
_OVERAGED: Final = 20.0
"""Milliseconds by which ages may be wrong where the store's clock was set: as lua/touch.lua has it."""
ENDED_AT_ONCE: Final = 250


_Sent: TypeAlias = tuple[Waiting, Mark, str | None]
"""A mark as it waited, and as it is sent, and the room that it is linked to."""
_Changed: TypeAlias = tuple[Scope, str, Mark | None]
"""What somebody is now who changed in the linked room since the first look; None: not online."""


class Sender:
    """Sends what flights have."""

    def __init__(
        self,
        room_cache: RoomCache,
        now: Callable[[], float],
        scope_of: Callable[[str], Scope],
        day_key: Callable[[date], Operation[str]],
    ) -> None:
        self._rooms = room_cache
        self._now = now
        self._scope_of = scope_of
        self._day_key = day_key
        self.dropped = 0

    def flush(
        self, flight: Flight, then: Sequence[Operation[Any]] = ()
    ) -> Plan[tuple[StoreError | None, list[Outcome]]]:
        """Send what a flight has, and ``then`` in the same round trip; the outcomes of those.

        What the store did not take stays the flight's, and the first reason is given; a sighting that it
        refused is dropped and counted.
        """
        try:
            sent = yield from self._named(flight)
        except StoreError as error:
            return error, (yield from _anyway(error, then))
        linked = [(origin, mark, room) for origin, mark, room in sent if room is not None]
        if not linked:
            return (yield from self._write(flight, sent, then))
        direct = [one for one in sent if one[2] is None]
        look = Look(((mark, room) for _, mark, room in linked), self._scope_of)
        trouble, outcomes = yield from self._write(flight, direct, look.operations)
        trouble = _first_error(outcomes) or trouble
        if trouble is not None:
            return trouble, (yield from _anyway(trouble, then))
        found = look.read(outcomes)
        resolved: list[_Sent] = []
        for origin, named, room in linked:
            mark = deferred.linked(named, room, found)
            if mark is None:
                flight.done([origin])
            else:
                resolved.append((origin, mark, room))
        trouble, outcomes = yield from self._write(
            flight, resolved, [*then, *look.operations], keeps=True
        )
        later = outcomes[len(then) :]
        failed = _first_error(later) or trouble
        if failed is None:
            failed = yield from self._correct(flight, _changed(linked, found, look.read(later)))
        if failed is None:
            flight.done(origin for origin, _, _ in linked)
        return trouble, outcomes[: len(then)]

    def _named(self, flight: Flight) -> Plan[list[_Sent]]:
        """Give every mark its names; those that nobody is marked by are done."""
        now = self._now()  # the clock may be the caller's
        waiting = [*flight.copied, *flight.taken]
        strange = [
            (mark, now - moment)
            for _, mark, moment in waiting
            if isinstance(mark, Deferred) and mark.strange
        ]
        if strange:
            yield from deferred.learn(strange, self._day_key)
        sent: list[_Sent] = []
        for origin in waiting:
            _, one, moment = origin
            if isinstance(one, Mark):
                sent.append((origin, one, None))
                continue
            mark = deferred.name(one, now - moment)
            if mark is None:
                flight.done([origin])
            else:
                sent.append((origin, mark, one.linked_to))
        return sent

    # the writes

    def _write(
        self,
        flight: Flight,
        sent: Sequence[_Sent],
        then: Sequence[Operation[Any]],
        *,
        keeps: bool = False,
    ) -> Plan[tuple[StoreError | None, list[Outcome]]]:
        """Send marks, and ``then``. ``keeps``: those that were taken stay the flight's for now."""
        if not sent:
            return None, list((yield then) if then else [])
        batches = [
            (scope, part, part_moments)
            for scope, marks, moments in by_room(
                (scope, mark, moment) for (scope, _, moment), mark, _ in sent
            )
            for part, part_moments in zip(
                marking.chunks(marks), marking.chunks(moments), strict=True
            )
        ]
        writes: list[Write] = [
            (scope, partial(self._touch, scope, part, moments)) for scope, part, moments in batches
        ]
        outcomes = yield from self._rooms.write(writes, then)
        trouble: StoreError | None = None
        lost: set[tuple[str, str]] = set()

        def own(scope: Scope, marks: Iterable[Mark]) -> list[Mark]:
            """Those that are not another flight's as well."""
            kept = {
                mark
                for origin, mark, _ in sent
                if origin[0].room == scope.room and id(origin) in flight.kept
            }
            return [mark for mark in marks if mark in kept]

        for (scope, part, _), outcome in zip(batches, outcomes, strict=False):
            if isinstance(outcome, StoreError):
                trouble = trouble or outcome
                lost.update((scope.room, mark.user) for mark in part)
            elif isinstance(outcome, Written) and outcome.overaged > _OVERAGED:
                lost.update((scope.room, mark.user) for mark in part)  # of the right age, next time
            elif isinstance(outcome, Written) and outcome.rest:
                refused = own(scope, (part[i] for i in outcome.rest))
                self.dropped += len(refused)
                if refused:
                    whom = ", ".join(sorted({mark.user for mark in refused}))
                    _log.warning("refused, more than 32 sessions: %s", whom)
            elif isinstance(outcome, Exception):
                self.dropped += len(own(scope, part))
                _log.error("%d sightings refused: %s", len(part), outcome)
        if not keeps:
            flight.done(one for one, mark, _ in sent if (one[0].room, mark.user) not in lost)
        return trouble, outcomes[len(writes) :]

    def _touch(
        self, scope: Scope, marks: Sequence[Mark], moments: Sequence[float], naming: bool
    ) -> Operation[Written]:
        waited = ages(scope, marks, moments, self._now())
        date = marking.dated(self._rooms.now_at_latest(scope)) if scope.clock is None else ""
        return marking.touch(scope, marks, waited, naming=naming, lenient=True, date=date)

    def _correct(self, flight: Flight, changed: Sequence[_Changed]) -> Plan[StoreError | None]:
        """Have who changed in the linked room while they were marked be that here, too."""
        if not changed:
            return None
        now = self._now()  # later than what it corrects, whatever way that took
        other: list[_Sent] = [
            ((scope, mark, now), mark, None) for scope, _, mark in changed if mark is not None
        ]
        trouble, _ = yield from self._write(flight, other, ())
        gone: dict[str, tuple[Scope, list[tuple[str, str | None]]]] = {}
        for scope, user, mark in changed:
            if mark is None:
                gone.setdefault(scope.room, (scope, []))[1].append((user, ""))
        writes: list[Write] = [
            (scope, partial(marking.end, scope, part))
            for scope, many in gone.values()
            for part in marking.chunks(many, ENDED_AT_ONCE)
        ]
        outcomes = (yield from self._rooms.write(writes)) if writes else []
        return _first_error(outcomes) or trouble


def _changed(
    sent: Iterable[tuple[Waiting, Mark, str]], before: Found, after: Found
) -> list[_Changed]:
    changed: list[_Changed] = []
    for (scope, _, _), mark, room in sent:
        was, now = (deferred.linked(mark, room, found) for found in (before, after))
        if was is not None and was != now:
            changed.append((scope, mark.user, now))
    return changed


def _first_error(outcomes: Iterable[Outcome]) -> StoreError | None:
    return next((one for one in outcomes if isinstance(one, StoreError)), None)


def _anyway(trouble: StoreError, then: Sequence[Operation[Any]]) -> Plan[list[Outcome]]:
    """Ask what was to be asked after marks that failed; not where the store is unavailable."""
    if isinstance(trouble, StoreUnavailable | StoreTimeout):
        return [trouble] * len(then)
    return list((yield then) if then else [])
