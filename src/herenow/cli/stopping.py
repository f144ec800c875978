"""Commands that run until they are ended: by SIGTERM or Ctrl-C, and through a store that is down."""

import signal
from collections.abc import Callable
from typing import Final, TypeVar

from herenow.cli.output import say
from herenow.errors import StoreError
from herenow.store.finalizing import Flag

T = TypeVar("T")
_RETRIES: Final = (0.5, 1.0, 2.0, 5.0)


def stop_on_signals() -> Flag:
    """Make the flag that SIGTERM and Ctrl-C set from now on."""
    stop = Flag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def insist(call: Callable[[], T], stop: Flag) -> T | None:
    """Call until the store accepts it, and return the answer; None if ``stop`` comes first."""
    tried = 0
    while True:
        try:
            return call()
        except StoreError as error:
            if not tried:
                say(f"{error}; waiting for the store")
            if stop.wait(_RETRIES[min(tried, len(_RETRIES) - 1)]):
                return None
            tried += 1
