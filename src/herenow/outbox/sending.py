"""Sending: the plans by which what waits reaches the store, and what is asked after it.

Owns what becomes of each mark of a flight: sent, dropped and counted, or kept for the next. A mark
*beside* another room takes its kind from there at each send, never from an earlier one, and that room is
looked at once more in the round trip that tells it: who hid or left meanwhile is hidden or ended there
too. So she stands there as what she was for a round trip; where the store fails at just that moment,
until a later flight has set it right, and for the room's window at most. On a cluster, where the two
rooms may be on two nodes, the second look may come before the mark, by the time between those.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, Final, TypeAlias

from herenow.errors import StoreError, StoreTimeout, StoreUnavailable
from herenow.models import UserPresence
from herenow.operations import Operation, Outcome, Plan, answer, marking, users
from herenow.operations.marking import Mark, Written
from herenow.operations.scope import Scope
from herenow.outbox import deferred
from herenow.outbox.buffer import Entry, Flight, Waiting, ages, by_room
from herenow.outbox.room_cache import Memory, Write

_log: Final = logging.getLogger("herenow")
_OVERAGED: Final = 20.0
"""Milliseconds by which ages may be wrong where the store's clock was set: as lua/touch.lua has it."""
_Sent: TypeAlias = tuple[Waiting, Entry]
"""A mark as it waited, and as it is sent."""


class Sender:
    """Sends marks; ``namers`` gave users names of the meantime."""

    def __init__(
        self,
        memory: Memory,
        now: Callable[[], float],
        scope_of: Callable[[str], Scope],
        day_key: Callable[[date], Operation[str]],
    ) -> None:
        self._memory = memory
        self._now = now
        self._scope_of = scope_of
        self._day_key = day_key
        self.namers: list[deferred.Namer] = []
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
        beside = [one for one in sent if marking.base_of(one[1][1]) is not None]
        if not beside:
            return (yield from self._write(flight, sent, then))
        direct = [one for one in sent if marking.base_of(one[1][1]) is None]
        looks = self._looks(entry[1] for _, entry in beside)
        trouble, outcomes = yield from self._write(flight, direct, looks.operations)
        trouble = next((one for one in outcomes if isinstance(one, StoreError)), None) or trouble
        if trouble is not None:
            return trouble, (yield from _anyway(trouble, then))
        found = looks.read(outcomes)
        resolved = self._resolved(flight, beside, found)
        trouble, outcomes = yield from self._write(
            flight, resolved, [*then, *looks.operations], keeps=True
        )
        later = outcomes[len(then) :]
        failed = next((one for one in later if isinstance(one, StoreError)), None) or trouble
        if failed is None:
            changed = _changed(beside, found, looks.read(later))
            failed = yield from self._correct(flight, changed)
        if failed is None:
            flight.done(origin for origin, _ in beside)
        return trouble, outcomes[: len(then)]

    def beside(self, scope: Scope, marks: Sequence[Mark]) -> Plan[int]:
        """Send marks of which some are beside another room, now; how many came online."""
        now = self._now()
        looks = self._looks(marks)
        found = looks.read((yield looks.operations))
        sent = [mark for mark in (deferred.as_there(one, found) for one in marks) if mark]
        writes: list[Write] = [
            (scope, partial(_naming, scope, part)) for part in marking.chunks(sent)
        ]
        outcomes = yield from self._memory.write(writes, looks.operations)
        came: int = sum(answer(outcome).result for outcome in outcomes[: len(writes)])
        asked: list[_Sent] = [((scope, one, now), (scope, one, now)) for one in marks]
        changed = _changed(asked, found, looks.read(outcomes[len(writes) :]))
        trouble = yield from self._correct(Flight([], []), changed)
        if trouble is not None:
            raise trouble
        return came

    # what must be known first

    def _named(self, flight: Flight) -> Plan[list[_Sent]]:
        now = self._now()  # the clock may be the caller's
        made = [(one, deferred.made(one, now)) for one in (*flight.copied, *flight.taken)]
        flight.done(one for one, entry in made if entry is None)
        known = [(one, entry) for one, entry in made if entry is not None]
        entries = [entry for _, entry in known]
        named = yield from deferred.named(entries, self.namers, self._day_key)
        return [(one, entry) for (one, _), entry in zip(known, named, strict=True)]

    def _looks(self, marks: Iterable[Mark]) -> "_Looks":
        return _Looks(deferred.bases(marks), self._scope_of)

    def _resolved(
        self, flight: Flight, beside: Iterable[_Sent], found: deferred.Found
    ) -> list[_Sent]:
        resolved: list[_Sent] = []
        for origin, (scope, mark, moment) in beside:
            there = deferred.as_there(mark, found)
            if there is None:
                flight.done([origin])
            else:
                resolved.append((origin, (scope, there, moment)))
        return resolved

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
            for scope, marks, moments in by_room(entry for _, entry in sent)
            for part, part_moments in zip(
                marking.chunks(marks), marking.chunks(moments), strict=True
            )
        ]
        writes: list[Write] = [
            (scope, partial(self._touch, scope, part, moments)) for scope, part, moments in batches
        ]
        outcomes = yield from self._memory.write(writes, then)
        trouble: StoreError | None = None
        lost: set[tuple[str, str]] = set()
        own = {(scope.room, mark) for origin, (scope, mark, _) in sent if id(origin) in flight.kept}
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
            flight.done(
                one for one, (scope, mark, _) in sent if (scope.room, mark.user) not in lost
            )
        return trouble, outcomes[len(writes) :]

    def _touch(
        self, scope: Scope, marks: Sequence[Mark], moments: Sequence[float], naming: bool
    ) -> Operation[Written]:
        told = ages(scope, marks, moments, self._now())
        date = marking.dated(self._memory.now_at_latest(scope)) if scope.clock is None else ""
        return marking.touch(scope, marks, told, naming=naming, lenient=True, date=date)

    def _correct(
        self, flight: Flight, changed: Sequence[tuple[Entry, Mark | None]]
    ) -> Plan[StoreError | None]:
        """Have who changed in the base while she was marked beside it be so there too."""
        if not changed:
            return None
        now = self._now()  # later than what it corrects, whatever way that took
        hidden: list[_Sent] = [
            ((scope, mark, now), (scope, mark, now))
            for (scope, _, _), mark in changed
            if mark is not None
        ]
        trouble, _ = yield from self._write(flight, hidden, ())
        gone: dict[str, tuple[Scope, list[tuple[str, str | None]]]] = {}
        for (scope, asked, _), mark in changed:
            if mark is None:
                gone.setdefault(scope.room, (scope, []))[1].append((asked.user, ""))
        writes: list[Write] = [
            (scope, partial(_ending, scope, part))
            for scope, many in gone.values()
            for part in marking.chunks(many, _ENDED_AT_ONCE)
        ]
        outcomes = (yield from self._memory.write(writes)) if writes else []
        return next((one for one in outcomes if isinstance(one, StoreError)), None) or trouble


_ENDED_AT_ONCE: Final = 250


class _Looks:
    """A look at what users are in the rooms that marks take their kinds from."""

    def __init__(self, bases: deferred.Bases, scope_of: Callable[[str], Scope]) -> None:
        self._asked = [
            (base, part)
            for base, names in bases.items()
            for part in marking.chunks(names, users.MOST_AT_ONCE)
        ]
        self.operations: list[Operation[Any]] = [
            users.lookup(scope_of(base), part, include_hidden=True) for base, part in self._asked
        ]

    def read(self, outcomes: Sequence[Outcome]) -> Mapping[str, Mapping[str, UserPresence]]:
        found: dict[str, dict[str, UserPresence]] = {}
        for (base, part), outcome in zip(self._asked, outcomes, strict=True):
            found.setdefault(base, {}).update(zip(part, answer(outcome), strict=True))
        return found


def _changed(
    beside: Iterable[_Sent], before: deferred.Found, after: deferred.Found
) -> list[tuple[Entry, Mark | None]]:
    """Whose state in the base changed since the first look, as it is to be beside it; None: not there."""
    changed: list[tuple[Entry, Mark | None]] = []
    for _, entry in beside:
        was, now = (deferred.as_there(entry[1], found) for found in (before, after))
        if was is not None and was != now:
            changed.append((entry, now))
    return changed


def _anyway(trouble: StoreError, then: Sequence[Operation[Any]]) -> Plan[list[Outcome]]:
    """Ask what was to be asked after marks that failed; not where the store is unavailable."""
    if isinstance(trouble, StoreUnavailable | StoreTimeout):
        return [trouble] * len(then)
    return list((yield then) if then else [])


def _naming(scope: Scope, part: Sequence[Mark], naming: bool) -> Operation[Written]:
    return marking.touch(scope, part, naming=naming)


def _ending(
    scope: Scope, part: Sequence[tuple[str, str | None]], naming: bool
) -> Operation[Written]:
    return marking.end(scope, part, naming=naming)
