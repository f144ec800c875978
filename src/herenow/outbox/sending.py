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
from typing import Any, Final, NamedTuple

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


class _Sent(NamedTuple):
    """A mark as it waited (``origin``), and as it is sent."""

    origin: Waiting
    scope: Scope
    mark: Mark
    moment: float
    linked_to: str | None


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
        linked = [(one, one.linked_to) for one in sent if one.linked_to is not None]
        if not linked:
            return (yield from self._write(flight, sent, then))
        direct = [one for one in sent if one.linked_to is None]
        look = Look(((one.mark, room) for one, room in linked), self._scope_of)
        trouble, outcomes = yield from self._write(flight, direct, look.operations)
        trouble = _first_error(outcomes) or trouble
        if trouble is not None:
            return trouble, (yield from _anyway(trouble, then))
        found = look.read(outcomes)
        resolved: list[_Sent] = []
        for one, room in linked:
            mark = deferred.linked(one.mark, room, found)
            if mark is None:
                flight.done([one.origin])
            else:
                resolved.append(one._replace(mark=mark))
        trouble, outcomes = yield from self._write(
            flight, resolved, [*then, *look.operations], keeps=True
        )
        later = outcomes[len(then) :]
        failed = _first_error(later) or trouble
        if failed is None:
            failed = yield from self._correct(flight, _changed(linked, found, look.read(later)))
        if failed is None:
            flight.done(one.origin for one, _ in linked)
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
            scope, one, moment = origin
            if isinstance(one, Mark):
                sent.append(_Sent(origin, scope, one, moment, None))
                continue
            mark = deferred.name(one, now - moment)
            if mark is None:
                flight.done([origin])
            else:
                sent.append(_Sent(origin, scope, mark, moment, one.linked_to))
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
            for scope, marks, moments in by_room((one.scope, one.mark, one.moment) for one in sent)
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
        own = {(one.scope.room, one.mark) for one in sent if id(one.origin) in flight.kept}
        for (scope, part, _), outcome in zip(batches, outcomes, strict=False):
            if isinstance(outcome, StoreError):
                trouble = trouble or outcome
                lost.update((scope.room, mark.user) for mark in part)
            elif isinstance(outcome, Written) and outcome.overaged > _OVERAGED:
                lost.update((scope.room, mark.user) for mark in part)  # of the right age, next time
            elif isinstance(outcome, Written) and outcome.rest:
                refused = [part[i] for i in outcome.rest if (scope.room, part[i]) in own]
                self.dropped += len(refused)
                if refused:
                    whom = ", ".join(sorted({mark.user for mark in refused}))
                    _log.warning("refused, more than 32 sessions: %s", whom)
            elif isinstance(outcome, Exception):
                self.dropped += sum((scope.room, mark) in own for mark in part)
                _log.error("%d sightings refused: %s", len(part), outcome)
        if not keeps:
            flight.done(one.origin for one in sent if (one.scope.room, one.mark.user) not in lost)
        return trouble, outcomes[len(writes) :]

    def _touch(
        self, scope: Scope, marks: Sequence[Mark], moments: Sequence[float], naming: bool
    ) -> Operation[Written]:
        waited = ages(scope, marks, moments, self._now())
        date = marking.dated(self._rooms.now_at_latest(scope)) if scope.clock is None else ""
        return marking.touch(scope, marks, waited, naming=naming, lenient=True, date=date)

    def _correct(
        self, flight: Flight, changed: Sequence[tuple[_Sent, Mark | None]]
    ) -> Plan[StoreError | None]:
        """Have who changed in the linked room while they were marked be that here, too."""
        if not changed:
            return None
        now = self._now()  # later than what it corrects, whatever way that took
        other = [
            _Sent((one.scope, mark, now), one.scope, mark, now, None)
            for one, mark in changed
            if mark is not None
        ]
        trouble, _ = yield from self._write(flight, other, ())
        gone: dict[str, tuple[Scope, list[tuple[str, str | None]]]] = {}
        for one, mark in changed:
            if mark is None:
                gone.setdefault(one.scope.room, (one.scope, []))[1].append((one.mark.user, ""))
        writes: list[Write] = [
            (scope, partial(marking.end, scope, part))
            for scope, many in gone.values()
            for part in marking.chunks(many, ENDED_AT_ONCE)
        ]
        outcomes = (yield from self._rooms.write(writes)) if writes else []
        return _first_error(outcomes) or trouble


def _changed(
    sent: Iterable[tuple[_Sent, str]], before: Found, after: Found
) -> list[tuple[_Sent, Mark | None]]:
    """What those are now that changed in their linked rooms since the first look; None: not online."""
    changed: list[tuple[_Sent, Mark | None]] = []
    for one, room in sent:
        was, now = (deferred.linked(one.mark, room, found) for found in (before, after))
        if was is not None and was != now:
            changed.append((one, now))
    return changed


def _first_error(outcomes: Iterable[Outcome]) -> StoreError | None:
    return next((one for one in outcomes if isinstance(one, StoreError)), None)


def _anyway(trouble: StoreError, then: Sequence[Operation[Any]]) -> Plan[list[Outcome]]:
    """Ask what was to be asked after marks that failed; not where the store is unavailable."""
    if isinstance(trouble, StoreUnavailable | StoreTimeout):
        return [trouble] * len(then)
    return list((yield then) if then else [])
