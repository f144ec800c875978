"""A room as an operation needs it: its keys, its clock, and the settings to use or to store.

Owns the head that every script's ARGV begins with, and the reading of moments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from herenow import lua, names
from herenow.operations import Argument, keys

LETTERS: Final = {"member": "m", "hidden": "h", "guest": "g", "bot": "b"}
KIND_OF: Final[dict[str, names.Kind]] = {
    "m": "member",
    "h": "hidden",
    "g": "guest",
    "b": "bot",
    "M": "member",
    "H": "hidden",
    "-": "member",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """One room, as one process names it.

    ``window``, ``retention`` and ``history`` (how long it is kept, 0 for none) in milliseconds hold where
    the room has none stored; a named one is to be stored there (see `naming`). ``day`` tells the day,
    counted from 1970, whose uniques a write at some moment is to be given; None for a room without.
    """

    room: str
    prefix: str
    keys: tuple[bytes, ...]
    window: int
    window_named: bool
    retention: int
    retention_named: bool
    history: int
    history_named: bool
    clock: Callable[[], float] | None
    day: Callable[["Scope", Argument], int | None]

    @property
    def named(self) -> bool:
        """Whether this process has a window, a retention or a history to store in the room."""
        return self.window_named or self.retention_named or self.history_named

    def now(self) -> Argument:
        """The moment to use, in milliseconds, or "" for the store's own."""
        return "" if self.clock is None else names.clock_milliseconds(self.clock())

    def writing(self, *, naming: bool) -> tuple[tuple[bytes, ...], lua.Write]:
        """Give the KEYS of a script that writes, and begin its ARGV; ``naming`` stores what is named."""
        now = self.now()
        day = self.day(self, now)
        args = lua.Write(  # by place: names cost half as much again
            now,
            self.window,
            "1" if naming and self.window_named else "",
            self.retention,
            "1" if naming and self.retention_named else "",
            self.history,
            "1" if naming and self.history_named else "",
            "" if day is None else day,
        )
        if day is None:
            return self.keys, args
        return (*self.keys, *keys.uniques_keys(self.prefix, self.room, day)), args

    def looking(self, window: object = None) -> lua.Look:
        """Begin the ARGV of a script that reads, within ``window`` seconds or the room's."""
        asked = "" if window is None else names.milliseconds(window, "a window")
        return lua.Look(self.now(), self.window, asked, self.retention)


def make_scope(
    room: str,
    prefix: str,
    *,
    window: int,
    window_named: bool,
    retention: int,
    retention_named: bool,
    history: int,
    history_named: bool,
    clock: Callable[[], float] | None,
    day: Callable[[Scope, Argument], int | None],
) -> Scope:
    """Make the scope of a room whose name is clean."""
    return Scope(
        room,
        prefix,
        keys.room_keys(prefix, room),
        window,
        window_named,
        retention,
        retention_named,
        history,
        history_named,
        clock,
        day,
    )


_from_timestamp = datetime.fromtimestamp


def moment(milliseconds: float) -> datetime:
    """Turn the store's milliseconds into an aware UTC datetime, exactly."""
    return _from_timestamp(milliseconds / 1000, UTC)


def letters(kind: object, *, include_hidden: bool) -> str:
    """Which online sets a reading of ``kind`` looks into: hidden ones only where asked for."""
    letter = LETTERS[names.clean_kind(kind)]
    if letter == "m" and include_hidden:
        return "mh"
    if letter == "h" and not include_hidden:
        return ""
    return letter
