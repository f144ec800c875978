"""Every key name, and nothing else.

A room's keys share one hash tag, ``{room}``, so that one script touches them all atomically, on a
single server and on a cluster. The name inside the tag is percent-encoded: no brace can end it early.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from herenow import lua

_START: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - to name days by, in UTC as all is

META: Final = lua.ROOM.index("meta")
EVENTS: Final = lua.ROOM.index("events")
"""The stream; its name is that of the room's doorbell too."""
ONLINE: Final = {
    name.removeprefix("online:"): at
    for at, name in enumerate(lua.ROOM)
    if name.startswith("online:")
}


def room_keys(prefix: str, room: str) -> tuple[bytes, ...]:
    """Name the keys of one room, in the order of `lua.ROOM`."""
    tag = _tag(prefix, room)
    return tuple((tag + name).encode() for name in lua.ROOM)


def of(room: Sequence[bytes], script: lua.Script) -> tuple[bytes, ...]:
    """Choose those keys of a room that a script takes, in its order."""
    return tuple([room[at] for at in script.of_room])


def _tag(prefix: str, room: str) -> str:
    return f"{prefix}{{{quote(room, safe='')}}}:"


def samples_key(prefix: str, room: str, hour: int) -> bytes:
    """Name the key of the minutes of one hour, counted from 1970: ``samples:2026-01-03T16``."""
    return f"{_tag(prefix, room)}samples:{_START + timedelta(hours=hour):%Y-%m-%dT%H}".encode()


@lru_cache(maxsize=10_000)
def uniques_keys(prefix: str, room: str, day: int) -> tuple[bytes, ...]:
    """Name the keys of who was seen on one day, counted from 1970, in the order of `lua.UNIQUES`."""
    start = f"{_tag(prefix, room)}uniques:{_START + timedelta(days=day):%Y-%m-%d}:"
    return tuple((start + name.removeprefix("uniques:")).encode() for name in lua.UNIQUES)


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
