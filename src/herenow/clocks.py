"""The clock by which this process tells ages: how long ago somebody was seen, or something was done.

Nobody sets it, it is the same for all processes of a machine, and it goes on while the machine is
suspended: the store's clock does so too, and what waited through that is as old as it is.
`time.monotonic`, which stands still then, is for how long something may take.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final


def _make() -> Callable[[], float]:
    # Linux has one clock for it; macOS' CLOCK_MONOTONIC is such a one, and so is Windows' time.monotonic
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        if hasattr(time, name):
            return partial(time.clock_gettime, getattr(time, name))
    return time.monotonic


steady: Final = _make()
"""Seconds, those in which the machine was suspended among them."""
