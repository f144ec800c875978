"""What must be known before marks can be sent: real names, and what users are in another room.

Whoever came may wait as facts, of which a mark is made here, many in a row: that costs a request nothing.
Two kinds of marks wait for an answer of the store. Of users with a name of the meantime the real one
depends on a key that is not known yet (see `Namer`). And who is in a room *beside* another (a thread of a
site) is there what she is in that other one, its base: hidden if she is hidden, and not at all if she is
gone. Such a mark has the base's name for a kind, until it is sent. Pure: what to ask, and what follows.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, Protocol

from herenow.models import UserPresence
from herenow.operations import Operation, Plan, answer
from herenow.operations.marking import Mark, base_of
from herenow.outbox.buffer import Entry, Unnamed, Waiting

_log: Final = logging.getLogger("herenow")


class Namer(Protocol):
    """Who gave users names of the meantime: the real ones depend on keys that only the store knows."""

    facts: dict[str, Any]
    """What stands behind names of the meantime."""

    @property
    def wanted(self) -> list[date]:
        """The days whose keys are not known."""

    def learn(self, day: date, key: str) -> None:
        """Take the key of a day."""

    def real(self, user: str) -> str:
        """Give the name to be sent."""


# who was seen


def made(waiting: Waiting, now: float) -> Entry | None:
    """Make a mark that is not made yet; ``now`` in seconds on the process's clock."""
    scope, mark, moment = waiting
    if not isinstance(mark, Unnamed):
        return scope, mark, moment
    one = _of(mark, now - moment)
    return None if one is None else (scope, one, moment)


def _of(seen: Unnamed, ago: float) -> Mark | None:
    try:
        return seen.make(seen.address, seen.agent, ago)
    except Exception:  # noqa: BLE001 - the others go on
        _log.exception("somebody could not be named, and is not marked")
        return None


# names of the meantime


def named(
    entries: Sequence[Entry], namers: Iterable[Namer], key_of: Callable[[date], Operation[str]]
) -> Plan[Sequence[Entry]]:
    """Ask for the keys that names wait for, and put the real names in their place."""
    for namer in namers:
        days = namer.wanted
        outcomes = (yield [key_of(day) for day in days]) if days else []
        for day, outcome in zip(days, outcomes, strict=True):
            namer.learn(day, answer(outcome))
        meant = namer.facts
        entries = [
            one
            if one[1].user not in meant and one[1].replaces not in meant
            else (one[0], _renamed(one[1], namer.real), one[2])
            for one in entries
        ]
    return entries


def _renamed(mark: Mark, real: Callable[[str], str]) -> Mark:
    user = real(mark.user)
    replaces = None if mark.replaces is None else real(mark.replaces)
    return mark._replace(user=user, replaces=None if replaces == user else replaces)


# rooms beside others


Bases = Mapping[str, Sequence[str]]
Found = Mapping[str, Mapping[str, UserPresence]]


def bases(marks: Iterable[Mark]) -> Bases:
    """List whom marks ask about, by base."""
    asked: dict[str, dict[str, None]] = {}
    for mark in marks:
        base = base_of(mark)
        if base is not None:
            asked.setdefault(base, {})[mark.user] = None
    return {base: list(users) for base, users in asked.items()}


def as_there(mark: Mark, found: Found) -> Mark | None:
    """Make a mark what its base says; None for somebody who is not there."""
    base = base_of(mark)
    if base is None:
        return mark
    there = found[base][mark.user]
    return mark._replace(kind=there.kind) if there.online else None
