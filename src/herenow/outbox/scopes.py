"""The settings of a Presence, validated, and the scopes that they give its rooms.

Owns what was named where a Presence was made: window, retention, history, resolution, prefix and clock.
What the store says of a room's is learned elsewhere: see `room_cache`.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Final

from herenow import clocks, names
from herenow.operations import Argument
from herenow.operations.scope import Scope, make_scope

DEFAULT_ROOM: Final = "site"
DEFAULT_WINDOW: Final = 300.0
DEFAULT_RETENTION: Final = 30 * 86_400.0
DEFAULT_HISTORY: Final = 31 * 86_400_000
DEFAULT_TIMEOUT: Final = 0.25
_SCOPES_KEPT: Final = 10_000


class Scopes:
    """What a Presence was made with; ``day`` tells which day's uniques a write of a room is given."""

    def __init__(
        self,
        *,
        window: object,
        retention: object,
        resolution: object,
        history: object,
        prefix: object,
        clock: Callable[[], float] | None,
        day: Callable[[Scope, Argument], int | None],
    ) -> None:
        if clock is not None and not callable(clock):
            raise ValueError("clock is a function that gives Unix seconds, or None for the store's")
        self.clock = clock
        # a moment on this process's clock, in seconds, to tell ages by
        self.now: Callable[[], float] = clocks.steady if clock is None else partial(_now, clock)
        self.prefix = names.clean_prefix(prefix)
        self._window_named = window is not None
        self._window = names.milliseconds(DEFAULT_WINDOW if window is None else window, "a window")
        self._retention_named = retention is not None
        self._retention = names.milliseconds(
            DEFAULT_RETENTION if retention is None else retention, "a retention"
        )
        self._history_named = history is not None
        self._history = names.clean_history(False if history is None else history, DEFAULT_HISTORY)
        self._day = day
        self.resolution: float | None = None
        if resolution is not None:
            self.resolution = names.age_milliseconds(resolution, "a resolution") / 1000
            if self.resolution * 1000 >= self._window:
                raise ValueError("a resolution is shorter than the window")
        self.of = lru_cache(maxsize=_SCOPES_KEPT)(self._of)
        self.site = self._of(
            DEFAULT_ROOM,
            self._window if self._window_named else None,
            self._history if self._history_named else None,
        )

    def _of(self, room: str, window: int | None = None, history: int | None = None) -> Scope:
        usual = self._history
        if not self._history_named and room == DEFAULT_ROOM:
            usual = DEFAULT_HISTORY
        return make_scope(
            room,
            self.prefix,
            window=self._window if window is None else window,
            window_named=window is not None,
            retention=self._retention,
            retention_named=self._retention_named,
            history=usual if history is None else history,
            history_named=history is not None,
            day=self._day,
            clock=self.clock,
        )

    def room(self, name: object, window: object = None, history: object = None) -> Scope:
        """Name a room, and perhaps its window and its history."""
        milliseconds = None if window is None else names.milliseconds(window, "a window")
        kept = None if history is None else names.clean_history(history, DEFAULT_HISTORY)
        room = names.clean_room(name)
        if milliseconds is None and kept is None and room == DEFAULT_ROOM:
            return self.site
        return self.of(room, milliseconds, kept)

    def named(self, rooms: Iterable[object]) -> list[Scope]:
        """Name several rooms."""
        return [self.room(one) for one in names.clean_many(rooms, "rooms is a list of rooms")]


def _now(clock: Callable[[], float]) -> float:
    return names.clock_milliseconds(clock()) / 1000
