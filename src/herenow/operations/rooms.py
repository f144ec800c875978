"""The list of rooms: one sorted set beside them, `rooms`, scored by how many are online.

A room is put there before its first touch and again hourly, and its score follows the count when that
moves by an eighth. What times out unswept leaves a score too high, never too low by more than an
eighth: so the busiest are found by looking from the top until no score below can beat them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from herenow import lua
from herenow.models import Counts, Peak, Room
from herenow.operations import Operation, Plan, answer, keys, online, text, texts, upkeep, users
from herenow.operations.scope import Scope

AT_ONCE: Final = 100
_LISTED_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """A room as the list has it: its name, how many it says are online, and the score as stored."""

    room: str
    count: int
    score: str


def _read_listed(reply: Any) -> list[Listed]:
    flat = [one if isinstance(one, list) else [one] for one in reply]
    values = [text(one) for part in flat for one in part]
    return [
        Listed(room, int(float(score)), score)
        for room, score in zip(values[::2], values[1::2], strict=True)
    ]


def enlist(scope: Scope, count: int | None, *, ttl: int, others: int) -> Operation[list[Listed]]:
    """Put a room on the list; get a few ``others`` whose counts may be stale."""
    script = lua.load("room/enlist")
    number = "" if count is None else count
    args = script.order(room=scope.room, count=number, ttl=ttl, others=others)
    return Operation(script, (keys.rooms_key(scope.prefix),), args, _read_listed)


def delist(prefix: str, listed: Listed) -> Operation[bool]:
    """Take a room that is gone off the list, unless it was touched since."""
    script = lua.load("room/delist")
    args = script.order(room=listed.room, score=listed.score)
    return Operation(script, (keys.rooms_key(prefix),), args, bool)


def listed(prefix: str, first: int, last: int) -> Operation[list[Listed]]:
    """Rooms as the list has them, by rank, busiest first."""
    script = lua.load("reading/rooms")
    args = script.order(first=first, last=last)
    return Operation(script, (keys.rooms_key(prefix),), args, _read_listed)


def every_room(prefix: str) -> Plan[list[str]]:
    """Name every room there is."""
    [outcome] = yield [listed(prefix, 0, -1)]
    return [one.room for one in answer(outcome)]


def note(prefix: str, user: str, rooms: Sequence[tuple[str, int]]) -> Operation[int]:
    """Note in which rooms a user may be, each for so many milliseconds."""
    args = tuple(one for pair in rooms for one in pair)
    return Operation(lua.load("room/rooms_note"), (keys.rooms_of_key(prefix, user),), args, int)


def noted(prefix: str, user: str) -> Operation[list[str]]:
    """Name the rooms that are noted of a user."""
    return Operation(lua.load("reading/rooms_of"), (keys.rooms_of_key(prefix, user),), (), texts)


def forget_noted(prefix: str, user: str) -> Operation[int]:
    """Forget what is noted of a user."""
    return Operation(lua.load("room/rooms_forget"), (keys.rooms_of_key(prefix, user),), (), int)


def with_user(
    prefix: str, scope_of: Callable[[str], Scope], user: str, *, among: Sequence[str] | None = None
) -> Plan[list[Scope]]:
    """Find the rooms that a user is in, hidden or not: ``among`` some, or (None) all that are busy."""
    found: list[Scope] = []
    busy = (yield from _with_somebody(prefix)) if among is None else among
    for i in range(0, len(busy), AT_ONCE):
        scopes = [scope_of(room) for room in busy[i : i + AT_ONCE]]
        outcomes = yield [users.lookup(one, [user], include_hidden=True) for one in scopes]
        looked_up = zip(scopes, outcomes, strict=True)
        found += [scope for scope, outcome in looked_up if answer(outcome)[0].online]
    return found


def counts(scopes: Sequence[Scope]) -> Plan[dict[str, Counts]]:
    """Count several rooms: one round trip a node."""
    outcomes = (yield [online.counts(scope) for scope in scopes]) if scopes else []
    return {scope.room: answer(one) for scope, one in zip(scopes, outcomes, strict=True)}


def peaks(scopes: Sequence[Scope], kind: object, *, include_hidden: bool) -> Plan[dict[str, Peak]]:
    """Read the records of several rooms: one round trip a node."""
    asked = [online.peak(one, kind, include_hidden=include_hidden) for one in scopes]
    outcomes = (yield asked) if asked else []
    return {scope.room: answer(one) for scope, one in zip(scopes, outcomes, strict=True)}


def forget(prefix: str, scope_of: Callable[[str], Scope], user: str) -> Plan[int]:
    """Erase one user everywhere; in how many rooms there was anything of theirs."""
    found = 0
    known = yield from every_room(prefix)
    for i in range(0, len(known) or 1, AT_ONCE):
        rooms = [upkeep.forget(scope_of(room), user) for room in known[i : i + AT_ONCE]]
        last = [forget_noted(prefix, user)] if i + AT_ONCE >= len(known) else []
        answers = [answer(outcome) for outcome in (yield [*rooms, *last])]
        found += sum(answers[: len(rooms)])
    return found


def _with_somebody(prefix: str) -> Plan[list[str]]:
    """Name every room that somebody may be in."""
    found: list[str] = []
    while True:
        first = len(found)
        [outcome] = yield [listed(prefix, first, first + _LISTED_AT_ONCE - 1)]
        part: list[Listed] = answer(outcome)
        found += [one.room for one in part if one.count > 0]
        if len(found) < first + _LISTED_AT_ONCE:
            return found


def busiest(
    prefix: str, limit: int, scope_of: Callable[[str], Scope], *, include_hidden: bool
) -> Plan[list[Room]]:
    """Find the rooms where most are online, exactly; empty ones are not there."""

    def size(room: Room) -> int:
        counts = room.counts
        return counts.people + counts.bot - (0 if include_hidden else counts.hidden)

    found: list[Room] = []
    first = 0
    while True:
        [outcome] = yield [listed(prefix, first, first + AT_ONCE - 1)]
        part: list[Listed] = answer(outcome)
        if not part or (len(found) >= limit and size(found[limit - 1]) >= _most(part[0])):
            return found[:limit]
        outcomes = yield [online.counts(scope_of(one.room)) for one in part]
        for one, outcome in zip(part, outcomes, strict=True):
            counts: Counts = answer(outcome)
            room = Room(one.room, counts)
            if size(room):
                found.append(room)
        found.sort(key=lambda room: (-size(room), room.name))
        if len(part) < AT_ONCE:
            return found[:limit]
        first += AT_ONCE


def _most(listed_room: Listed) -> int:
    return listed_room.count + listed_room.count // 8 + 1
