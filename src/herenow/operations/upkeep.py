"""Upkeep: expiring, forgetting, and the check that the store is there."""

from typing import Any

from herenow import lua, names
from herenow.operations import Operation
from herenow.operations.marking import Written, read_written
from herenow.operations.scope import Scope


def sweep(scope: Scope, *, naming: bool = False) -> Operation[Written | None]:
    """Expire up to 250 now; None where there is no such room."""

    def read(reply: Any) -> Written | None:
        return None if len(reply) == 1 else read_written(reply)

    return Operation(lua.load("sweep"), scope.keys, scope.writing(naming=naming), read)


def forget(scope: Scope, user: object) -> Operation[bool]:
    """Erase one user from one room; whether there was anything of hers."""
    return Operation(lua.load("forget"), scope.keys, (names.clean_user(user),), bool)
