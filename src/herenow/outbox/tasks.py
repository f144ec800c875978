"""What an AsyncPresence does by tasks: run what is asked after what is buffered, keep sessions fresh.

The rules are those of `threads`. A task belongs to its loop; a loop that ends cancels it, and it sends
what is left before it goes.
"""

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final, TypeVar

from herenow.errors import StoreError, StoreTimeout
from herenow.operations import Operation, Plan, single
from herenow.operations.scope import Scope
from herenow.outbox.buffer import MOST_A_FLIGHT, Buffer, Flight
from herenow.outbox.held import Held
from herenow.outbox.outbox import Alone, Outbox
from herenow.outbox.port import AsyncPort
from herenow.outbox.threads import BUSY, ROUND_TRIPS
from herenow.store.aio_engine import AsyncEngine

T = TypeVar("T")
_log: Final = logging.getLogger("herenow")


class AsyncFlushing:
    """When the buffer of an AsyncPresence is sent: by a task, and before whatever reads."""

    def __init__(self, outbox: Outbox, engine: AsyncEngine, patience: float, owner: object) -> None:
        self._owner = weakref.ref(owner)
        outbox.rooms.topology = weakref.proxy(engine.store)  # no circle
        self._outbox = outbox
        self._engine = engine
        self._patience = ROUND_TRIPS * patience
        self._buffered = outbox.buffer is not None
        self._buffer = Buffer(0) if outbox.buffer is None else outbox.buffer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        outbox.flushed_by(self._wake)

    def _on_this_loop(self) -> None:
        """Have what belongs to a loop be of the running one; what another had under way waits again."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._ended, self._task = loop, asyncio.Event(), None
            for flight in list(self._buffer.flying):
                self._buffer.end(flight)

    @property
    def _busy(self) -> bool:
        """Whether anything waits, or is being sent."""
        buffer = self._buffer
        return self._buffered and (bool(buffer) or bool(buffer.flying))

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

    def _wake(self) -> None:
        """Have what was put sent soon, or when the loop ends."""
        self._on_this_loop()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._later())

    async def _later(self) -> None:
        try:
            await asyncio.sleep(self._outbox.flush_after())
        finally:
            self._task = None
            try:
                await self.send_all()
            except StoreError as error:
                _log.debug("a flush waits for the store: %s", error)
            except Exception:  # noqa: BLE001 - a task of ours must not die of it
                _log.exception("a flush failed")

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
        buffer = self._buffer
        self._on_this_loop()
        flight: Flight | None = None
        try:
            self._engine.store.refuse()
            flight = buffer.begin(rooms, ending) or await self._turn(rooms, ending)
            yield flight
        finally:
            if flight is not None:
                buffer.end(flight)
                ended, self._ended = self._ended, asyncio.Event()
                ended.set()
            if buffer and self._owner() is not None:
                self._wake()

    async def _turn(self, rooms: Collection[str] | None, ending: Collection[str]) -> Flight:
        """Wait for those flights that can't be overtaken. Where none ends in time, the store hangs."""
        began = monotonic()
        while (flight := self._buffer.begin(rooms, ending)) is None:
            try:
                async with asyncio.timeout(self._patience):
                    await self._ended.wait()
            except TimeoutError:
                raise self._engine.store.wait_failed(StoreTimeout(BUSY), began) from None
            self._engine.store.refuse()
        return flight

    async def _wait(self) -> None:
        """Wait for what is under way now: it may be put back."""
        self._on_this_loop()
        flights, began = [*self._buffer.flying], monotonic()
        try:
            async with asyncio.timeout(self._patience):
                while self._buffer.fly(flights):
                    await self._ended.wait()
        except TimeoutError:
            raise self._engine.store.wait_failed(StoreTimeout(BUSY), began) from None

    async def close(self) -> None:
        """Send all that waits, and stop the task."""
        if not self._buffered:
            return
        self._engine.store.hasten()
        try:
            await self._wait()
            await self.send_all()
        finally:
            task, self._task = self._task, None
            if task is not None and task.get_loop() is asyncio.get_running_loop():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


class AsyncOpenSession(Held):
    """A session that is held open by a task; see `Presence.session`."""

    def __init__(self, presence: Any, *shows: Any) -> None:
        super().__init__(*shows)
        self._presence = presence
        self._port = AsyncPort(presence)
        self.over = False

    @asynccontextmanager
    async def held(self) -> "AsyncIterator[AsyncOpenSession]":
        """Hold it open."""
        await self._presence.mark_online(self.user, self._kind, self.name, self._away, self._info)
        beat = asyncio.create_task(self.beat())
        try:
            yield self
        finally:
            self.over = True
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            try:
                await self._presence.mark_offline(self.user, self.name)
            except StoreError as error:
                self._not_ended(error)

    async def update(
        self, *, away: bool | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Say that the user is away or back, or what the session shows now."""
        await self._port.mark_session(self._mark(away, info))
        self._updated(away, info)

    async def beat(self) -> None:
        """Mark the session until it is over; a client may take the cancellation for its own."""
        while True:
            await asyncio.sleep(self._port.beat_due)
            if self.over:
                return
            try:
                await self.mark()
            except Exception as error:  # noqa: BLE001 - the next beat may go well
                self._went(error)
            else:
                self._went(None)

    async def mark(self) -> None:
        """Mark the session, with all that it says."""
        self._beaten(await self._port.beat(self._mark(self._away, self._info)))
