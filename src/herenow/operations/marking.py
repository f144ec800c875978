"""Sightings and leaves: what changes who is online.

A writing script answers more than its result: what the caller should learn of the room (`Written`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from herenow import lua, names
from herenow.models import Sighting
from herenow.operations import Operation
from herenow.operations.scope import LETTERS, Scope

MOST_AT_ONCE: Final = 1000
"""How many sightings one script call takes: it holds the store for about a millisecond."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a writing script answers.

    ``result`` is the operation's own (how many came online or left); ``window`` the room's in
    milliseconds; ``listed`` what the list of rooms should say now, None where it is right;
    ``window_before`` the window that a named one has just replaced; ``pending`` that a named one is
    not stored yet; ``rest`` the indexes of the sightings that were refused, or a sweep's next due.
    """

    result: int
    window: int
    mixed: bool
    listed: int | None
    window_before: int | None
    pending: bool
    rest: tuple[int, ...]


def read_written(reply: Any) -> Written:
    """Read the reply of a script that ends with close() (see lua/parts/room.lua)."""
    result, window, mixed, listed, before, pending, *rest = reply
    return Written(
        result,
        window,
        mixed == 1,
        None if listed < 0 else listed,
        None if before < 0 else before,
        pending == 1,
        tuple(rest),
    )


@dataclass(frozen=True, slots=True)
class Mark:
    """A sighting, validated: strings and milliseconds, ``info`` as JSON."""

    user: str
    kind: names.Kind | None = None
    session: str = ""
    away: bool | None = None
    info: str | None = None
    age: int = 0
    replaces: str | None = None

    @property
    def plain(self) -> bool:
        """Whether it says only that the user is here, now."""
        return (
            self.age == 0
            and self.kind is None
            and not self.session
            and self.away is None
            and self.info is None
            and self.replaces is None
        )


def clean(sighting: Sighting) -> Mark:
    """Validate a sighting."""
    user = names.clean_user(sighting.user)
    replaces = None if sighting.replaces is None else names.clean_user(sighting.replaces)
    if replaces == user:
        raise ValueError("a user does not replace herself")
    return Mark(
        user,
        None if sighting.kind is None else names.clean_kind(sighting.kind),
        names.clean_session(sighting.session),
        names.clean_away(sighting.away),
        names.encode_info(sighting.info),
        names.age_milliseconds(sighting.age),
        replaces,
    )


def clean_all(sightings: Iterable[object]) -> list[Mark]:
    """Validate what `mark_online_many` takes: users, or Sightings."""
    if isinstance(sightings, str | bytes):
        raise ValueError("many is a list of users or Sightings, not one string")
    return [
        clean(one) if isinstance(one, Sighting) else Mark(names.clean_user(one))
        for one in sightings
    ]


def mark_plain(scope: Scope, user: str) -> Operation[Written]:
    """Mark one user, as `touch` does, on its lean path."""
    args = (*scope.writing(naming=False), "plain", user)
    return Operation(lua.load("touch"), scope.keys, args, read_written)


def touch(
    scope: Scope, marks: Sequence[Mark], *, naming: bool = False, lenient: bool = False
) -> Operation[Written]:
    """Record at most `MOST_AT_ONCE` marks; ``lenient`` refuses one at a time, not all."""
    head = scope.writing(naming=naming)
    script = lua.load("touch")
    if all(mark.plain for mark in marks):
        users = dict.fromkeys(mark.user for mark in marks)
        return Operation(script, scope.keys, (*head, "plain", *users), read_written)
    how = "lenient" if lenient else "strict"
    return Operation(script, scope.keys, (*head, how, *map(_encode, marks)), read_written)


def _encode(mark: Mark) -> str:
    if mark.plain:
        return mark.user
    away = "" if mark.away is None else "1" if mark.away else "0"
    kind = "" if mark.kind is None else LETTERS[mark.kind]
    return "\t".join(
        (
            mark.user,
            str(mark.age) if mark.age else "",
            kind,
            mark.session,
            away,
            mark.info or "",
            mark.replaces or "",
        )
    )


def chunks(marks: Sequence[Mark]) -> list[Sequence[Mark]]:
    """Split marks into what one script call takes."""
    return [marks[i : i + MOST_AT_ONCE] for i in range(0, len(marks), MOST_AT_ONCE)]


def leave(
    scope: Scope, user: object, session: object = None, *, naming: bool = False
) -> Operation[Written]:
    """End one session of a user, or (None) everything of hers."""
    name = names.clean_user(user)
    what = ("all", "") if session is None else ("session", names.clean_session(session))
    args = (*scope.writing(naming=naming), name, *what)
    return Operation(lua.load("leave"), scope.keys, args, read_written)
