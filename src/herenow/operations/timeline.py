"""Several touches and counts of one room in one call, each at a moment of its own: a log, replayed."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

from herenow import lua
from herenow.models import Counts
from herenow.operations import Argument, Operation, keys
from herenow.operations.marking import MOST_AT_ONCE, Written, read_written
from herenow.operations.scope import Scope

_DAY: Final = 86_400_000


class Step(NamedTuple):
    """What is done at a moment, in milliseconds: ``how`` its sightings are recorded, or ``count``."""

    at: int
    how: str
    sightings: Sequence[Argument] = ()


class Passed(NamedTuple):
    """What a timeline answers: as one write, and each count."""

    written: Written
    counts: list[Counts]


def count(at: int) -> Step:
    """Count every kind."""
    return Step(at, "count")


def touches(at: int, users: Sequence[str], ages: Sequence[int], kinds: str = "") -> list[Step]:
    """Record sightings, each so many milliseconds before; ``kinds``, a letter each, or "": members."""
    if kinds:
        arguments: list[Argument] = [
            f"{user}\t{age or ''}\t{kind}\t\t\t\t"
            for user, age, kind in zip(users, ages, kinds, strict=True)
        ]
        return [
            Step(at, "lenient", arguments[i : i + MOST_AT_ONCE])
            for i in range(0, len(arguments), MOST_AT_ONCE)
        ]
    pairs: list[Argument] = [one for pair in zip(users, ages, strict=True) for one in pair]
    most = 2 * MOST_AT_ONCE
    return [Step(at, "aged", pairs[i : i + most]) for i in range(0, len(pairs), most)]


def timeline(scope: Scope, steps: Sequence[Step]) -> Operation[Passed]:
    """Join steps, in the order of their moments; one at least.

    It holds the store for as long as all of them take, and is atomic as they are together.
    """
    first = replace(scope, clock=partial(float, steps[0].at / 1000))
    which, head = first.writing(naming=False)
    arguments: list[Argument] = []
    given = [*scope.keys]
    places: dict[int, int] = {}
    for at, how, sightings in steps:
        place = 0
        if len(which) > len(scope.keys) and sightings:
            day = at // _DAY
            if day not in places:
                places[day] = len(given)
                given += keys.uniques_keys(scope.prefix, scope.room, day)
            place = places[day]
        arguments += (at, how, place, len(sightings), *sightings)

    def read(reply: Any) -> Passed:
        written, *flat = reply
        counts = [Counts(*flat[i : i + 4]) for i in range(0, len(flat), 4)]
        return Passed(read_written(written), counts)

    script = lua.load("sighting/timeline")
    return Operation(script, tuple(given), script.order(*head, rest=arguments), read)
