"""Waiting for what comes in its time, on a machine of any speed: an error of the store means "not yet".

A store that is back need not answer the first question: its breaker, which all Presences of one URL in a
process share, may still be open, and a slow machine may take longer than a Presence is ready to wait. How
long is waited here guards against hanging alone; what a test promises of time, it asserts itself.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

import herenow
from tests import servers

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds; half of what pytest gives a test."""
ATTEMPTS = 3


def poll(done: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Ask until it is so; TimeoutError naming ``what`` when it is not within ``seconds``."""
    servers.poll(done, what, seconds, not_yet=herenow.StoreError)


def in_time(seconds: float, attempt: Callable[[], float]) -> None:
    """Assert that one of three attempts takes less than so many seconds; each tells how long it took.

    What a promise of time is broken by is slow each time; a machine that stalls is not.
    """
    took = [attempt()]
    while min(took) >= seconds and len(took) < ATTEMPTS:
        took.append(attempt())
    assert min(took) < seconds, took


def once_back(ask: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Ask until the store answers: the answer."""
    answers: list[T] = []

    def answered() -> bool:
        answers.append(ask())
        return True

    poll(answered, "the store to answer", seconds)
    return answers[0]


async def apoll(done: Callable[[], Awaitable[Any]], what: str, seconds: float = PATIENCE) -> None:
    """The same as `poll`, of a coroutine function."""
    import asyncio

    deadline = monotonic() + seconds
    while True:
        try:
            if await done():
                return
        except herenow.StoreError:
            pass
        if monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}")
        await asyncio.sleep(0.01)
