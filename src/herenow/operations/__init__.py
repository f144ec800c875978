"""Every operation, once, as data: which script, which keys, which arguments, how to read the reply.

Nothing here does I/O, knows sync from async, or imports a client library. `store.engine` runs an
`Operation`; a `Plan` is an operation of several steps: a generator that yields the operations of one
round trip and is sent their outcomes. By noun: `scope`, `marking`, `online`, `users`, `rooms`,
`upkeep`.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from herenow import lua
from herenow.lua import Script

T = TypeVar("T")
Argument: TypeAlias = lua.Argument
Outcome: TypeAlias = Any
"""What an operation read from its reply, or the exception that it ended with."""


class Operation(NamedTuple, Generic[T]):
    """One script call: ``read`` turns the raw reply into the answer."""

    script: Script
    keys: tuple[bytes, ...]
    args: tuple[Argument, ...]
    read: Callable[[Any], T]


Plan: TypeAlias = Generator[Sequence[Operation[Any]], list[Outcome], T]


def answer(outcome: Outcome) -> Any:
    """Take an outcome: the answer, or raise what the operation ended with."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def text(raw: Any) -> str:
    """Take a string of a reply, whether the client decodes responses or not."""
    return raw if isinstance(raw, str) else raw.decode()


def texts(raw: Sequence[Any]) -> list[str]:
    """Take a list of strings of a reply; all of them are of one type."""
    if raw and isinstance(raw[0], bytes):
        return [one.decode() for one in raw]
    return list(raw)


def single(operation: Operation[T]) -> Plan[T]:
    """Make a plan of one operation."""
    [outcome] = yield [operation]
    return answer(outcome)  # type: ignore[no-any-return]
