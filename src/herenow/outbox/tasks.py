"""Where asyncio differs from threads, for flushing; see `threads`, which has the same names.

A task belongs to its loop; a loop that ends cancels it, and it sends what is left before it goes.
"""

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from herenow.outbox.buffer import Buffer, Flight
from herenow.outbox.flusher import logged
from herenow.store.tasks import Flag, Task, ended


class Ends:
    """The ends of flights, for which others wait."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next = Flag()
        self.count = 0

    def here(self) -> None:
        """Have what another loop had under way, which is over, wait again."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._next = loop, Flag()
            for flight in list(self._buffer.flying):
                self._buffer.end(flight)

    def end(self, flight: Flight) -> None:
        """Have a flight over."""
        self._buffer.end(flight)
        self.count += 1
        ended_, self._next = self._next, Flag()
        ended_.set()

    async def wait(self, count: int, seconds: float) -> bool:
        """Wait until more than ``count`` have ended, or so long; whether they have."""
        return self.count > count or await self._next.wait(seconds)


class Flusher:
    """A task that calls ``flush`` some seconds ``after`` something was put, or when its loop ends.

    It holds on to whoever flushes only while something waits, and is none once the ``owner`` is dropped.
    """

    def __init__(
        self,
        flush: Callable[[], Coroutine[Any, Any, None]],
        after: Callable[[], float],
        owner: object,
    ) -> None:
        self._flush = weakref.WeakMethod(flush)
        self._after = after
        self._owner = weakref.ref(owner)
        self._task: Task | None = None

    def wake(self) -> None:
        """Have what was put flushed soon."""
        task, loop = self._task, asyncio.get_running_loop()
        if task is not None and not task.done() and task.get_loop() is loop:
            return
        flush = self._flush()
        if flush is not None and self._owner() is not None:
            self._task = loop.create_task(self._later(flush))

    async def _later(self, flush: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await asyncio.sleep(self._after())
        finally:
            if self._task is asyncio.current_task():  # else it is closed, and that flushes
                self._task = None
                with logged():
                    await flush()

    async def aclose(self) -> None:
        """Stop the task; a later `wake` starts another."""
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await ended(task)
