"""Logs that a room follows: sightings, together with how far the log that has them was read."""

from collections.abc import Sequence
from typing import Any

from herenow import lua
from herenow.operations import Operation, keys
from herenow.operations.marking import Mark, Written, touch
from herenow.operations.scope import Scope


def follow(
    scope: Scope,
    marks: Sequence[Mark],
    ages: Sequence[int],
    log: str,
    read_to: str,
    *,
    naming: bool = False,
) -> Operation[Written]:
    """Record at most `MOST_AT_ONCE` marks, or none, and how far a log was read."""
    touched = touch(scope, marks, ages, naming=naming, lenient=True)
    script = lua.load("sighting/follow")
    head = script.order(log=log, read_to=read_to, ttl=scope.retention + scope.window)
    logs = keys.logs_key(scope.prefix, scope.room)
    return Operation(script, (logs, *touched.keys), (*head, *touched.args), touched.read)


def read_to(scope: Scope, log: str) -> Operation[str | None]:
    """How far a log was read."""

    def read(reply: Any) -> str | None:
        return reply.decode() if isinstance(reply, bytes) else reply

    return Operation(
        lua.load("reading/read_to"), (keys.logs_key(scope.prefix, scope.room),), (log,), read
    )
