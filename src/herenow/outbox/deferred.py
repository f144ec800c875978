"""Deferred marks: what must be known before they can be sent, and what they are then.

Two things may be unknown when a mark is made. A `Stranger` has facts instead of a name, which takes the
keys of days that perhaps only the store knows. And who is marked in a room that is *linked* to another
one (a thread of a site) is there what they are in that one: hidden if they are hidden, and not at all if
they are gone. A deferred mark waits as it is, and is resolved at each send. Pure: what to ask, and what
follows from the answers.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple, Protocol

from herenow import names
from herenow.models import UserPresence
from herenow.operations import Operation, Outcome, Plan, answer, marking, users
from herenow.operations.marking import Mark
from herenow.operations.scope import Scope

_log: Final = logging.getLogger("herenow")


class Stranger(Hashable, Protocol):
    """Somebody of whom only facts are known, some seconds ``ago``; equal where the facts are."""

    def wanted(self, ago: float) -> Iterable[date]:
        """The days whose keys must be learned before they can be named."""

    def learn(self, day: date, key: str) -> None:
        """Take the key of a day."""

    def mark(self, ago: float) -> Mark | None:
        """Name them, as a mark; None marks nobody."""


class Deferred(NamedTuple):
    """A mark that is resolved when it is sent.

    ``kind`` None is what the user is already, or what a Stranger's own mark says; ``linked_to`` names the
    room that the kind is taken from instead.
    """

    user: str | Stranger
    kind: names.Kind | None = None
    replaces: str | Stranger | None = None
    linked_to: str | None = None

    @property
    def strange(self) -> bool:
        """Whether nobody knows yet whom it names."""
        return not (isinstance(self.user, str) and isinstance(self.replaces, str | None))


def clean(deferred: Deferred) -> Deferred:
    """Validate a deferred mark, as far as its names are known."""
    user, kind, replaces, linked_to = deferred
    if not _is_stranger(user):
        user = names.clean_user(user)
    if replaces is not None and not _is_stranger(replaces):
        replaces = names.clean_user(replaces)
    if replaces is not None and replaces == user:
        raise ValueError("a user does not replace themselves")
    return Deferred(
        user,
        None if kind is None else names.clean_kind(kind),
        replaces,
        None if linked_to is None else names.clean_room(linked_to),
    )


def _is_stranger(user: object) -> bool:
    return type(user) is not str and hasattr(user, "wanted")


# strangers


def learn(
    waiting: Iterable[tuple[Deferred, float]], key_of: Callable[[date], Operation[str]]
) -> Plan[None]:
    """Ask for the keys of days that strangers want, each seen so many seconds ago: one round trip."""
    wanted: dict[date, list[tuple[Stranger, float]]] = {}
    for deferred, ago in waiting:
        for one in (deferred.user, deferred.replaces):
            if one is not None and not isinstance(one, str):
                for day in one.wanted(ago):
                    wanted.setdefault(day, []).append((one, ago))
    outcomes = (yield [key_of(day) for day in wanted]) if wanted else []
    for (day, strangers), outcome in zip(wanted.items(), outcomes, strict=True):
        key = answer(outcome)
        for one, ago in strangers:
            if day in one.wanted(ago):  # it may share its keys with one that has learned this
                one.learn(day, key)


def name(deferred: Deferred, ago: float) -> Mark | None:
    """Make a mark with the names that are known by now; None marks nobody."""
    user, kind, replaces, _ = deferred
    try:
        mark = Mark(user) if isinstance(user, str) else user.mark(ago)
        if mark is None:
            return None
        if kind is not None:
            mark = mark._replace(kind=kind)
        if replaces is None:
            return mark
        if not isinstance(replaces, str):
            other = replaces.mark(ago)
            replaces = None if other is None else other.user
    except Exception:  # noqa: BLE001 - the others go on
        _log.exception("a stranger could not be named, and is not marked")
        return None
    return mark._replace(replaces=None if replaces == mark.user else replaces)


# linked rooms


Found = Mapping[str, Mapping[str, UserPresence]]
"""What users are, by linked room."""


def linked(mark: Mark, room: str, found: Found) -> Mark | None:
    """Make a mark what its user is in the linked room; None for one who is not online there."""
    there = found[room][mark.user]
    return mark._replace(kind=there.kind) if there.online else None


class Look:
    """A look at what users are in the rooms that marks take their kinds from."""

    def __init__(self, marks: Iterable[tuple[Mark, str]], scope_of: Callable[[str], Scope]) -> None:
        asked: dict[str, dict[str, None]] = {}
        for mark, room in marks:
            asked.setdefault(room, {})[mark.user] = None
        self._asked = [
            (room, part)
            for room, names in asked.items()
            for part in marking.chunks(list(names), users.MOST_AT_ONCE)
        ]
        self.operations: list[Operation[Any]] = [
            users.lookup(scope_of(room), part, include_hidden=True) for room, part in self._asked
        ]

    def read(self, outcomes: Sequence[Outcome]) -> Found:
        """Take the outcomes of its operations."""
        found: dict[str, dict[str, UserPresence]] = {}
        for (room, part), outcome in zip(self._asked, outcomes, strict=True):
            found.setdefault(room, {}).update(zip(part, answer(outcome), strict=True))
        return found
