"""Operations as commands: how they are sent, and sent again where the store lacks a script. No I/O.

EVALSHA is sent first; EVAL brings the script where the store has not got it (new, restarted, failed
over). Knows nothing of presence, of clients, or of how a round trip is made.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from herenow.operations import Operation, Outcome, Plan
from herenow.store.client_errors import lacks_script

if TYPE_CHECKING:
    from herenow.lua import Script

T = TypeVar("T")


def as_command(operation: Operation[Any]) -> tuple[Any, ...]:
    """Make the command that runs an operation whose script the store has."""
    keys = operation.keys
    return ("EVALSHA", operation.script.sha, len(keys), *keys, *operation.args)


def as_whole_command(operation: Operation[Any]) -> tuple[Any, ...]:
    """Make the command that runs an operation and brings its script."""
    keys = operation.keys
    return ("EVAL", operation.script.text, len(keys), *keys, *operation.args)


def as_commands(operations: Sequence[Operation[Any]]) -> list[tuple[Any, ...]]:
    """One round trip's commands, in order: each names its script, which the store is taken to have.

    But a script after which another one writes to the same room is brought along: were it missing in
    the store, the other would write before it. Reads that came too early are sent
    again (see `to_send_again`).
    """
    brought: set[Script] = set()
    writers: dict[
        bytes, Script | None
    ] = {}  # the one that writes to a room from here on; None: several
    for one in reversed(operations):
        script, room = one.script, _room(one)
        alone = writers.get(room, script) is script
        if not alone:
            brought.add(script)
        if not script.reads:
            writers[room] = script if alone else None
    return [
        as_whole_command(one) if one.script in brought else as_command(one) for one in operations
    ]


def to_send_again(operations: Sequence[Operation[Any]], missing: Sequence[int]) -> list[int]:
    """What is to be sent again where the scripts of the ``missing`` were not in the store.

    These, in order, and what read in a room before one of them wrote there. No write is sent twice.
    """
    lacked, unwritten = {*missing}, set[bytes]()
    again: list[int] = []
    for i in range(min(lacked, default=len(operations)), len(operations)):
        one = operations[i]
        if i in lacked:
            again.append(i)
            if not one.script.reads:
                unwritten.add(_room(one))
        elif one.script.reads and _room(one) in unwritten:
            again.append(i)
    return again


def _room(operation: Operation[Any]) -> bytes:
    """What names the room of an operation: its keys' hash tag."""
    return operation.keys[0].partition(b"}")[0]


def advance(
    plan: Plan[T], outcomes: list[Outcome] | None
) -> tuple[Sequence[Operation[Any]] | None, Any]:
    """Take a plan one round trip further: what to send next, or None and its result."""
    try:
        return (next(plan) if outcomes is None else plan.send(outcomes)), None
    except StopIteration as stop:
        return None, stop.value


def lacking(replies: Sequence[Any]) -> list[int]:
    """Which of the replies say that the script is not there."""
    return [i for i, one in enumerate(replies) if isinstance(one, Exception) and lacks_script(one)]
