"""Every key name, and nothing else.

A room's keys share one hash tag, ``{room}``, so that one script touches them all atomically, on a
single server and on a cluster. The name inside the tag is percent-encoded: no brace can end it early.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import quote

_START: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - to name days by, in UTC as all is

ROOM_KEYS: Final = (
    "meta",
    "online:member",
    "online:hidden",
    "online:guest",
    "online:bot",
    "last:member",
    "last:hidden",
    "sessions",
    "left",
    "events",
    "samples",
)
"""In the order in which every script that takes a whole room takes its KEYS."""

META: Final = 0
EVENTS: Final = 9
"""The stream; its name is that of the room's doorbell too."""
SAMPLES: Final = 10
ONLINE: Final = {"member": 1, "hidden": 2, "guest": 3, "bot": 4}


def room_keys(prefix: str, room: str) -> tuple[bytes, ...]:
    """Name the keys of one room, in the order of `ROOM_KEYS`."""
    tag = _tag(prefix, room)
    return tuple((tag + name).encode() for name in ROOM_KEYS)


def _tag(prefix: str, room: str) -> str:
    return f"{prefix}{{{quote(room, safe='')}}}:"


def samples_key(prefix: str, room: str, hour: int) -> bytes:
    """Name the key of the minutes of one hour, counted from 1970: ``samples:2026-01-03T16``."""
    return f"{_tag(prefix, room)}samples:{_START + timedelta(hours=hour):%Y-%m-%dT%H}".encode()


@lru_cache(maxsize=10_000)
def uniques_keys(prefix: str, room: str, day: int) -> tuple[bytes, ...]:
    """Name the keys of who was seen on one day, counted from 1970, in the order of `ONLINE`."""
    start = f"{_tag(prefix, room)}uniques:{_START + timedelta(days=day):%Y-%m-%d}:"
    return tuple((start + kind).encode() for kind in ONLINE)


def rooms_key(prefix: str) -> bytes:
    """Name the one key that lists every room."""
    return f"{prefix}rooms".encode()


def rooms_of_key(prefix: str, user: str) -> bytes:
    """Name the sorted set of the rooms that a user is in; in a slot of its own."""
    return f"{prefix}rooms-of:{quote(user, safe='')}".encode()


def day_key(prefix: str, day: str) -> bytes:
    """Name the key that holds the random key of a day, by which guests are named."""
    return f"{prefix}guests:{day}".encode()


def hosts_key(prefix: str) -> bytes:
    """Name the key that holds what the hosts of access logs are hashed with."""
    return f"{prefix}hosts".encode()


def logs_key(prefix: str, room: str) -> bytes:
    """Name the hash of how far each log that a room follows was read; in the room's slot."""
    return f"{prefix}{{{quote(room, safe='')}}}:logs".encode()
