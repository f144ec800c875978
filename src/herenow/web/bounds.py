"""Bounds: at most so many names within a window, so that nobody fills the store by making names up."""

import logging
from collections.abc import Callable
from typing import Final

from herenow.clocks import steady

_log: Final = logging.getLogger("herenow")


class Bound:
    """At most ``most`` names within a window, of those that this process marks.

    Two generations, each a window long: a name that was let in stays in while it is active. ``window``
    gives the seconds; ``setting`` is named in the log where there are too many.
    """

    def __init__(self, most: int, setting: str, window: Callable[[], float]) -> None:
        self._most = most
        self._setting = setting
        self._window = window
        self._new: set[str] = set()
        self._old: set[str] = set()
        self._turned = steady()
        self._warned = False

    def admits(self, name: str) -> bool:
        """Whether a name may be marked."""
        if name in self._new:
            return True
        now, window = steady(), self._window()
        if now - self._turned >= window:
            self._old = self._new if now - self._turned < 2 * window else set()
            self._new, self._turned, self._warned = set(), now, False
        if name in self._old:
            self._old.discard(name)
        elif len(self._new) + len(self._old) >= self._most:
            if not self._warned:
                self._warned = True
                _log.warning("%s: more than %d are not marked", self._setting, self._most)
            return False
        self._new.add(name)
        return True
