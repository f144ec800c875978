"""When a room's store was last heard of, and since when it has been unavailable. No I/O.

An outage is known as ages, by this process's clock, and becomes moments of the store's clock when that
answers again: the two clocks may differ, ages do not. Only what was noticed counts. A process that was
suspended itself noticed nothing, so the time in which it did not try is no part of an outage; and what
was noticed late began at most `NOTICED_WITHIN` before.
"""

import time
from collections.abc import Callable
from typing import Final

from herenow.clocks import steady

NOTICED_WITHIN: Final = 15.0
"""Seconds in which a line that is dead is given up: two silences, and what it takes to connect."""
SUSPENDED: Final = 30.0
"""Seconds without a try, where one is made every few: this process did not run."""

_monotonic: Final = time.monotonic


class Contact:
    """Whether the store answers for one room."""

    __slots__ = ("_clock", "_heard", "_missed", "_since", "_tried")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heard = _monotonic()
        self._since: float | None = None
        self._missed = self._tried = 0.0

    def missed(self, heard: float = 0.0) -> None:
        """Note that it did not answer; ``heard``: when something else of it was heard, if ever."""
        awake = steady()
        if self._since is None:
            silent = _monotonic() - max(self._heard, heard)
            self._since = self._clock() - min(silent, NOTICED_WITHIN)
        elif awake - self._tried > SUSPENDED:
            self._since = self._clock()
        self._tried, self._missed = awake, self._clock()

    def met(self, now: int) -> tuple[int, int] | None:
        """Note that it answered, at ``now`` by its clock; the outage that this ends: from and to when.

        All in milliseconds, by that clock too. None where there was no outage.
        """
        self._heard = _monotonic()
        if self._since is None:
            return None
        since, self._since = self._since, None
        clock = self._clock()
        until = self._missed if steady() - self._tried > SUSPENDED else clock
        return now - round((clock - since) * 1000), now - round((clock - until) * 1000)
