"""Upkeep: expiring, forgetting, and the random keys that every process shares."""

from datetime import date
from typing import Any, Final

from herenow import lua, names
from herenow.operations import Operation, keys, text
from herenow.operations.marking import Written, read_written
from herenow.operations.scope import Scope

_DAY_KEY_TTL: Final = 2 * 86_400_000
_HOSTS_KEY_TTL: Final = 400 * 86_400_000


def sweep(scope: Scope, *, naming: bool = False) -> Operation[Written | None]:
    """Expire up to 250 now; None where there is no such room."""

    def read(reply: Any) -> Written | None:
        return None if len(reply) == 1 else read_written(reply)

    return Operation(lua.load("room/sweep"), *scope.writing(naming=naming), read)


def now(scope: Scope) -> Operation[int]:
    """Read the clock of the store that has a room, in milliseconds."""
    script = lua.load("reading/now")
    return Operation(script, keys.of(scope.keys, script), (), int)


def forget(scope: Scope, user: object) -> Operation[bool]:
    """Erase one user from one room; whether there was anything of theirs."""
    script = lua.load("room/forget")
    wanted, head = scope.writing(naming=False)
    args = script.order(*head, user=names.clean_user(user))
    return Operation(script, wanted, args, lambda reply: bool(reply[0]))


def day_key(prefix: str, day: object, offered: str) -> Operation[str]:
    """Get the key of a day; ``offered``, a random one, becomes it where there is none yet."""
    if type(day) is not date:
        raise ValueError(f"a day is a datetime.date, not {type(day).__name__}")
    return _shared(keys.day_key(prefix, day.isoformat()), offered, _DAY_KEY_TTL, "")


def hosts_key(prefix: str, offered: str) -> Operation[str]:
    """Get the key that a log's hosts are hashed with, kept for 400 days after it was last asked for."""
    return _shared(keys.hosts_key(prefix), offered, _HOSTS_KEY_TTL, "1")


def _shared(key: bytes, offered: str, ttl: int, renew: str) -> Operation[str]:
    script = lua.load("room/sharedkey")
    return Operation(script, (key,), script.order(offered=offered, ttl=ttl, renew=renew), text)
