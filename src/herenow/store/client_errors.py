"""What a client library raises, and what it means: one of herenow's errors, or that to send again.

Knows redis-py's and valkey-py's exceptions by name, of those two that are imported, and imports neither.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from herenow.errors import (
    StoreError,
    StoreTimeout,
    StoreUnavailable,
    TooManySessions,
    WindowTooLong,
)

_OUR_RULE: Final = "HERENOW "
# redis-py makes a class of some of these words, and takes them out of what is said
_AWAY_CLASSES: Final = (
    "ConnectionError",
    "RedisClusterException",
    "ClusterDownError",
    "MasterDownError",
)
_AWAY: Final = ("LOADING", "CLUSTERDOWN", "MASTERDOWN")
_ELSEWHERE: Final = ("MovedError", "AskError", "TryAgainError")
_SHUT_CLASSES: Final = ("NoPermissionError", "AuthenticationError")
_SHUT: Final = ("NOAUTH", "WRONGPASS", "NOPERM")


def lacks_script(error: Exception) -> bool:
    """Whether the store has not got the script."""
    return str(error).startswith("NOSCRIPT") or type(error).__name__ == "NoScriptError"


def translate(error: Exception) -> Exception:
    """Turn what a client library raised into one of our errors; others stay as they are."""
    if isinstance(error, StoreError | ValueError) and not _is(error, "RedisError"):
        return error
    said = str(error)
    if _OUR_RULE in said:
        rule = said.partition(_OUR_RULE)[2]
        return (TooManySessions if rule.endswith("sessions") else WindowTooLong)(rule)
    if _is(error, "TimeoutError") or isinstance(error, TimeoutError):
        return StoreTimeout(f"the store did not answer in time: {said}")
    if _shut_out(error) or _shut_out(error.__cause__ or error.__context__):
        return StoreUnavailable(f"the store does not let us in: {said}")
    if "DB index" in said:
        said = f"it has no database of the URL's number ({said})"
    return _unavailable(error) or (
        StoreError(f"the store refused: {said}") if _is(error, "RedisError") else error
    )


def _shut_out(error: BaseException | None) -> bool:
    if not isinstance(error, Exception):
        return False
    return str(error).startswith(_SHUT) or any(_is(error, one) for one in _SHUT_CLASSES)


def _unavailable(error: Exception) -> StoreUnavailable | None:
    said = str(error)
    away = isinstance(error, OSError) or said.startswith(_AWAY)
    if away or any(_is(error, one) for one in _AWAY_CLASSES):
        return StoreUnavailable(f"the store is not available: {said}")
    return None


def redirects(reply: Any) -> bool:
    """Whether a node of a cluster replied that another one is to be asked, or later."""
    return isinstance(reply, Exception) and any(_is(reply, one) for one in _ELSEWHERE)


def lost(error: BaseException) -> bool:
    """Whether it ended a call that was not answered."""
    if not isinstance(error, Exception) or forbidden(error):
        return False
    return isinstance(translate(error), StoreUnavailable | StoreTimeout)


@contextmanager
def translating() -> Iterator[None]:
    """Have what a client raises be one of our errors: for commands that are no operations."""
    try:
        yield
    except Exception as error:
        translated = translate(error)
        if translated is error:
            raise
        raise translated from error


def forbidden(error: Exception) -> bool:
    """Whether it answered that this user may not; others of its commands they may."""
    return str(error).startswith("NOPERM") or _is(error, "NoPermissionError")


def _is(error: Exception, name: str) -> bool:
    modules = [sys.modules.get(one) for one in ("redis.exceptions", "valkey.exceptions")]
    classes = (getattr(m, n, None) for m in modules for n in _spellings(name))
    return any(one is not None and isinstance(error, one) for one in classes)


def _spellings(name: str) -> tuple[str, str]:
    return name, name.replace("Redis", "Valkey")
