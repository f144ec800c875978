"""The rules for what callers pass in: users, rooms, sessions, info, durations, limits.

Everything is validated once, here, at the edge; behind it the values are plain ``str`` and ``int``
(milliseconds). Each function returns the clean value or raises a ``ValueError`` that names the rule.
"""

import json
import math
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal, TypeGuard, cast

Kind = Literal["member", "hidden", "guest", "bot"]

Step = Literal["minute", "hour", "day"]

KINDS: Final[tuple[Kind, ...]] = ("member", "hidden", "guest", "bot")
MAX_USER_BYTES: Final = 256
MAX_ROOM_BYTES: Final = 128
MAX_SESSION_BYTES: Final = 128
MAX_INFO_BYTES: Final = 1024
MAX_LIMIT: Final = 2**31
MAX_DAYS: Final = 400
STEPS: Final = {"minute": 1, "hour": 60, "day": 1440}
MAX_SECONDS: Final = 100 * 366 * 86_400
"""A century: nothing longer is meant, and everything below it is exact in a double."""

# one encoder for all: json.dumps makes one a call when it is given options
_COMPACT = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def clean_user(value: object) -> str:
    """Check a user id: 1 to 256 UTF-8 bytes; ``int`` and ``UUID`` become ``str(id)``."""
    return _name(value, "a user", MAX_USER_BYTES)


def all_users(values: Sequence[object]) -> TypeGuard[Sequence[str]]:
    """Whether all are surely users as they stand: a few passes over many, not a call for each."""
    return _surely(values, 1, MAX_USER_BYTES)


def all_sessions(values: Sequence[object]) -> TypeGuard[Sequence[str]]:
    """The same of sessions."""
    return _surely(values, 0, MAX_SESSION_BYTES)


def _surely(values: Sequence[object], least: int, most: int) -> TypeGuard[Sequence[str]]:
    if {*map(type, values)} != {str}:
        return False
    texts = cast("Sequence[str]", values)
    joined, sizes = "".join(texts), [*map(len, texts)]
    return joined.isascii() and joined.isprintable() and least <= min(sizes) and max(sizes) <= most


def clean_room(value: object) -> str:
    """Check a room's name: 1 to 128 UTF-8 bytes."""
    return _name(value, "a room", MAX_ROOM_BYTES)


def clean_session(value: object) -> str:
    """Check a session's name: at most 128 UTF-8 bytes; "" is the unnamed one."""
    return "" if value == "" else _name(value, "a session", MAX_SESSION_BYTES)


def _name(value: object, what: str, most: int) -> str:
    if type(value) is str and value.isascii() and value.isprintable() and 0 < len(value) <= most:
        return value  # nearly every name: the rules below hold
    if isinstance(value, str | int | uuid.UUID) and not isinstance(value, bool):
        name = str(value)
    else:
        raise ValueError(f"{what} is a str, an int or a UUID, not {type(value).__name__}")
    if not name:
        raise ValueError(f"{what} is not empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} has no lone surrogate: {name!a}") from None
    if size > most:
        raise ValueError(f"{what} has at most {most} UTF-8 bytes; this has {size}")
    if _CONTROL.search(name):
        raise ValueError(f"{what} has no control character: {name!a}")
    return name


def clean_kind(value: object) -> Kind:
    """Check a kind: member, hidden, guest or bot."""
    for kind in KINDS:
        if value == kind:
            return kind
    raise ValueError(f"a kind is one of {', '.join(KINDS)}, not {value!r}")


def clean_away(value: object) -> bool | None:
    """Check the ``away`` of a sighting: True, False, or None to leave it as it is."""
    if value is None or isinstance(value, bool):
        return value
    raise ValueError(f"away is True, False or None, not {value!r}")


def encode_info(value: object) -> str | None:
    """Encode info as compact JSON: an object of at most 1 KiB; None says nothing, {} clears."""
    if value is None:
        return None
    if type(value) is dict and {*map(type, value), *map(type, value.values())} == {str}:
        return _encode_texts(tuple(value.items()))
    if not isinstance(value, Mapping):
        raise ValueError(f"info is a JSON object (a dict), not {type(value).__name__}")
    return _encode(value)


@lru_cache(maxsize=1024)
def _encode_texts(items: tuple[tuple[str, str], ...]) -> str:
    return _encode(dict(items))  # what is shown is mostly a page, and many are on one


def _encode(value: Mapping[Any, Any]) -> str:
    try:
        encoded = _COMPACT.encode(dict(value))
        size = len(encoded.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"info is JSON: {error}") from None
    if size > MAX_INFO_BYTES:
        raise ValueError(f"info has at most {MAX_INFO_BYTES} bytes as JSON; this has {size}")
    return encoded


def milliseconds(value: object, what: str) -> int:
    """Turn a duration in seconds (a number or a timedelta) into whole milliseconds, at least 1."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} is a number of seconds or a timedelta, not {value!r}")
    if not (0 < value <= MAX_SECONDS):  # NaN fails too
        raise ValueError(f"{what} is more than 0 seconds and at most a century, not {value!r}")
    whole = round(value * 1000)
    if whole < 1:
        raise ValueError(f"{what} is at least a millisecond, not {value!r} seconds")
    return whole


def age_milliseconds(value: object, what: str) -> int:
    """Turn a duration that may be 0 (a sighting's age, a resolution) into whole milliseconds."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} is a number of seconds or a timedelta, not {value!r}")
    if not (0 <= value <= MAX_SECONDS):
        raise ValueError(f"{what} is 0 seconds or more and at most a century, not {value!r}")
    return round(value * 1000)


def clean_many(values: object, what: str) -> list[Any]:
    """Check what should be many: a list, a set, an iterator, but no string and no mapping."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{what}, not {type(values).__name__}")
    return list(values)


def clean_limit(value: object) -> int:
    """Check a limit: a whole number, at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or value > MAX_LIMIT:
        raise ValueError(f"a limit is a whole number of at least 1, not {value!r}")
    return value


def clean_history(value: object, default: int) -> int:
    """Check a history: False for none, True for the ``default``, or how long; in milliseconds."""
    if isinstance(value, bool):
        return default if value else 0
    return milliseconds(value, "a history")


def clean_step(value: object) -> int:
    """Check the step of a history: minute, hour or day; in minutes."""
    if isinstance(value, str) and value in STEPS:
        return STEPS[value]
    raise ValueError(f"a step is one of {', '.join(STEPS)}, not {value!r}")


def clean_moment(value: object, what: str) -> int:
    """Check a moment: a datetime that knows its time zone; in whole milliseconds since 1970."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise ValueError(f"{what} is a datetime with a time zone, not {value!r}")
    return math.floor(value.timestamp() * 1000)


def clean_days(value: object, kind: Kind) -> int:
    """Check a number of days to count different users on."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_DAYS:
        raise ValueError(f"days is a whole number from 1 to {MAX_DAYS}, not {value!r}")
    if kind == "guest" and value > 1:
        raise ValueError("guests are told apart for a day only: days is 1")
    return value


def clean_prefix(value: object) -> str:
    """Check a key prefix: no braces (they would move the hash tag), no control characters."""
    if not isinstance(value, str) or not value.isprintable() or "{" in value or "}" in value:
        raise ValueError(f"a prefix is a printable str without braces, not {value!r}")
    if len(value.encode()) > MAX_ROOM_BYTES:
        raise ValueError(f"a prefix has at most {MAX_ROOM_BYTES} UTF-8 bytes")
    return value


def clock_milliseconds(value: object) -> int:
    """Turn what ``clock()`` gave (Unix seconds) into milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"clock() gives Unix seconds as a finite float, not {value!r}")
    if not 0 <= value <= MAX_SECONDS * 81:  # the year 9999 is within
        raise ValueError(f"clock() gives Unix seconds, 0 or later, not {value!r}")
    return round(value * 1000)
