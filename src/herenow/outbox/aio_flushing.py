"""When what is buffered is sent: soon after it came, and before whatever reads.

Written once, for asyncio, in ``aio_flushing.py``; ``flushing.py`` is generated from that, for threads
(`make generate`). What is different there is in `tasks` and `threads`. What a flight takes and which may
overtake another, the `Buffer` decides: a read waits for none but a flight of many marks, or one that says
something else of the same user.
"""

import weakref
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final, TypeVar

from herenow.errors import StoreTimeout
from herenow.operations import Operation, Plan, single
from herenow.operations.scope import Scope
from herenow.outbox import tasks
from herenow.outbox.buffer import MOST_A_FLIGHT, Buffer, Flight
from herenow.outbox.outbox import Alone, Outbox
from herenow.store.aio_engine import AsyncEngine

T = TypeVar("T")
_ROUND_TRIPS: Final = 4
"""What a flight may take, each as long as the store may: the list of rooms, the marks, what follows."""
_BUSY: Final = "the store did not answer in time: a flush is under way"


class AsyncFlushing:
    """Runs what is asked after what waits for that; without a buffer, nothing does."""

    def __init__(self, outbox: Outbox, engine: AsyncEngine, patience: float, owner: object) -> None:
        outbox.rooms.topology = weakref.proxy(engine.store)  # no circle
        self._outbox = outbox
        self._engine = engine
        self._patience = _ROUND_TRIPS * patience
        self._buffer = Buffer(0) if outbox.buffer is None else outbox.buffer
        self._ends = tasks.Ends(self._buffer)
        self._flusher: tasks.Flusher | None = None
        if outbox.buffer is not None:
            self._flusher = tasks.Flusher(self.send_all, outbox.flush_after, owner)
            outbox.flushed_by(self._flusher.wake)

    @property
    def _busy(self) -> bool:
        """Whether anything waits, or is being sent."""
        buffer = self._buffer
        return self._flusher is not None and (bool(buffer) or bool(buffer.flying))

    async def mark(self, scope: Scope, given: Plan[bool] | Alone) -> bool:
        """Run what `Outbox.mark_online` gave."""
        if isinstance(given, Alone):
            written = await self._engine.call(given.operation)
            came = self._outbox.marked(scope, given, written)
            if isinstance(came, bool):
                return came
            given = came
        return await self._engine.run(given)

    async def call(self, scope: Scope, operation: Operation[T]) -> T:
        """Run an operation of a room after what waits for that: one round trip."""
        if self._busy:
            return await self._run_after((scope.room,), single(operation))
        return await self._engine.call(operation)

    async def run(
        self, rooms: Collection[str] | None, plan: Plan[T], ending: Collection[str] = ()
    ) -> T:
        """Run a plan after what waits for its rooms, None: for all, in the same round trip.

        Of ``ending``, users, nothing else is under way meanwhile.
        """
        if self._busy:
            return await self._run_after(rooms, plan, ending)
        return await self._engine.run(plan)

    async def send_all(self) -> None:
        """Send all that waits, of every room. What the store does not take waits on."""
        if self._busy:
            await self._send(1 + len(self._buffer) // MOST_A_FLIGHT)

    async def _send(self, flights: int, rooms: Collection[str] | None = None) -> None:
        for _ in range(flights):
            async with self._flight(rooms) as flight:
                trouble, _ = await self._engine.run(self._outbox.flush(flight))
            if trouble is not None:
                return

    async def _run_after(
        self, rooms: Collection[str] | None, plan: Plan[T], ending: Collection[str] = ()
    ) -> T:
        await self._send(len(self._buffer) // MOST_A_FLIGHT, rooms)
        async with self._flight(rooms, ending) as flight:
            return await self._engine.run(self._outbox.after(flight, plan))

    @asynccontextmanager
    async def _flight(
        self, rooms: Collection[str] | None, ending: Collection[str] = ()
    ) -> AsyncIterator[Flight]:
        flight: Flight | None = None
        self._ends.here()
        try:
            await self._engine.open()  # which may take its time, the first time
            self._engine.store.refuse()
            flight = self._buffer.begin(rooms, ending) or await self._turn(rooms, ending)
            yield flight
        finally:
            if flight is not None:
                self._ends.end(flight)
            self._wake()

    def _wake(self) -> None:
        if self._buffer and self._flusher is not None:
            self._flusher.wake()

    async def _turn(self, rooms: Collection[str] | None, ending: Collection[str]) -> Flight:
        """Wait for those flights that can't be overtaken. Where none ends in time, the store hangs."""
        began = monotonic()
        while True:
            count = self._ends.count
            flight = self._buffer.begin(rooms, ending)
            if flight is not None:
                return flight
            await self._one_ends(count, monotonic(), began)
            self._engine.store.refuse()

    async def _wait(self) -> None:
        """Wait for what is under way now: it may be put back."""
        self._ends.here()
        flights, began = [*self._buffer.flying], monotonic()
        while True:
            count = self._ends.count
            if not self._buffer.fly(flights):
                return
            await self._one_ends(count, began, began)

    async def _one_ends(self, count: int, since: float, began: float) -> None:
        """Wait until more than ``count`` flights have ended, but not for ever."""
        if not await self._ends.wait(count, since + self._patience - monotonic()):
            raise self._engine.store.wait_failed(StoreTimeout(_BUSY), began)

    async def aclose(self) -> None:
        """Send all that waits, and stop what does that by itself."""
        if self._flusher is None:
            return
        await self._flusher.aclose()
        self._engine.store.hasten()
        try:
            await self._wait()
            await self.send_all()
        finally:
            await self._flusher.aclose()
            self._wake()  # for what came meanwhile, or could not be sent
