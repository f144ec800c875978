"""Several touches and counts of one room in one call, each at a moment of its own: a log, replayed."""

from collections.abc import Sequence
from typing import Any

from herenow import lua
from herenow.operations import Argument, Operation
from herenow.operations.scope import Scope


def timeline(scope: Scope, steps: Sequence[Operation[Any]]) -> Operation[list[Any]]:
    """Join touches and counts of every kind, in the order of their moments; their answers.

    It holds the store for as long as all of them take, and is atomic as they are together.
    """
    args: list[Argument] = []
    which = [*scope.keys]
    places: dict[tuple[bytes, ...], int] = {(): 0}
    for step in steps:
        uniques = step.keys[len(scope.keys) :]
        if uniques not in places:
            places[uniques] = len(which)
            which += uniques
        args += (step.script.name, len(step.args), places[uniques], *step.args)

    def read(reply: Any) -> list[Any]:
        return [step.read(one) for step, one in zip(steps, reply, strict=True)]

    return Operation(lua.load("timeline"), tuple(which), tuple(args), read)
