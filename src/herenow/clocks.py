"""The clock by which this process tells ages: how long ago somebody was seen, or something was done.

Nobody sets it, it is the same for all processes of a machine, and it goes on while the machine is
suspended: the store's clock does so too, and what waited through that is as old as it is.
`time.monotonic`, which stands still then, is for how long something may take.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Final

_DRIFT: Final = 0.1
"""Milliseconds a second by which two clocks may part, as far as is assumed."""


def _make() -> Callable[[], float]:
    # Linux has one clock for it; macOS' CLOCK_MONOTONIC is such a one, and so is Windows' time.monotonic
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        if hasattr(time, name):
            return partial(time.clock_gettime, getattr(time, name))
    return time.monotonic


steady: Final = _make()
"""Seconds, those in which the machine was suspended among them."""


class StoreClock:
    """The store's clock, as far as its answers tell: the latest that it may show, in milliseconds.

    An answer tells a moment between that of the question and its own. So the store's clock is known to
    that time, and of several answers the one that knows it best counts; not for ever: two clocks part.
    """

    def __init__(self) -> None:
        self._known: tuple[float, float] | None = None  # how far it is ahead, and as of when

    def at_latest(self, moment: float) -> int | None:
        """What it shows at a moment of `steady`, at the latest; None where nothing is known."""
        latest = self._latest(moment)
        return None if latest is None else math.ceil(latest)

    def _latest(self, moment: float) -> float | None:
        if self._known is None:
            return None
        ahead, since = self._known
        return moment * 1000 + ahead + (moment - since) * _DRIFT

    def learn(self, told: int, asked: float, came: float) -> float:
        """Take what an answer told; by how much more than was taken to be the latest: it was set."""
        latest = self._latest(came)
        behind = 0.0 if latest is None else max(0.0, told - latest)
        ahead = told + 1 - asked * 1000
        if latest is None or behind or came * 1000 + ahead < latest:
            self._known = ahead, came
        return behind
