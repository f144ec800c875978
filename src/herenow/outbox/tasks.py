"""What an AsyncPresence does by tasks: send what is buffered, and keep open sessions fresh.

The rules are those of `background`. A task belongs to its loop; a loop that ends cancels it, and it sends
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
from herenow.names import Kind
from herenow.operations import Plan, marking
from herenow.operations.marking import Mark
from herenow.outbox.buffer import MOST_A_FLIGHT, Buffer, Flight
from herenow.outbox.core import Core
from herenow.outbox.threads import BUSY, ROUND_TRIPS, told_once
from herenow.store.aio_engine import AsyncEngine

T = TypeVar("T")
_log: Final = logging.getLogger("herenow")


class AsyncFlushing:
    """When the buffer of an AsyncPresence is sent: by a task, and before whatever reads."""

    def __init__(
        self, core: Core, buffer: Buffer, engine: AsyncEngine, patience: float, owner: object
    ) -> None:
        self._owner = weakref.ref(owner)
        self._core = core
        self._buffer = buffer
        self._engine = engine
        self._patience = ROUND_TRIPS * patience
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def _on_this_loop(self) -> None:
        """Have what belongs to a loop be of the running one; what another had under way waits again."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._ended, self._task = loop, asyncio.Event(), None
            for flight in list(self._buffer.flying):
                self._buffer.end(flight)

    @property
    def busy(self) -> bool:
        """Whether anything waits, or is being sent."""
        return bool(self._buffer) or bool(self._buffer.flying)

    def wake(self) -> None:
        """Have what was put sent soon, or when the loop ends."""
        self._on_this_loop()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._later())

    async def _later(self) -> None:
        try:
            await asyncio.sleep(self._core.flush_after())
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
        if self.busy:
            await self._send(1 + len(self._buffer) // MOST_A_FLIGHT)

    async def _send(self, flights: int, rooms: Collection[str] | None = None) -> None:
        for _ in range(flights):
            async with self._flight(rooms) as flight:
                trouble, _ = await self._engine.run(self._core.flush(flight))
            if trouble is not None:
                return

    async def run_after(
        self, rooms: Collection[str] | None, plan: Plan[T], ending: Collection[str] = ()
    ) -> T:
        """Run a plan after what waits for its rooms, None: for all, in the same round trip.

        Of ``ending``, users, nothing else is under way meanwhile.
        """
        await self._send(len(self._buffer) // MOST_A_FLIGHT, rooms)
        async with self._flight(rooms, ending) as flight:
            return await self._engine.run(self._core.after(flight, plan))

    @asynccontextmanager
    async def _flight(
        self, rooms: Collection[str] | None, ending: Collection[str] = ()
    ) -> AsyncIterator[Flight]:
        buffer = self._buffer
        self._on_this_loop()
        flight: Flight | None = None
        try:
            self._engine.refuse()
            flight = buffer.begin(rooms, ending) or await self._turn(rooms, ending)
            yield flight
        finally:
            if flight is not None:
                buffer.end(flight)
                ended, self._ended = self._ended, asyncio.Event()
                ended.set()
            if buffer and self._owner() is not None:
                self.wake()

    async def _turn(self, rooms: Collection[str] | None, ending: Collection[str]) -> Flight:
        """Wait for those flights that can't be overtaken. Where none ends in time, the store hangs."""
        began = monotonic()
        while (flight := self._buffer.begin(rooms, ending)) is None:
            try:
                async with asyncio.timeout(self._patience):
                    await self._ended.wait()
            except TimeoutError:
                raise self._engine.failed(StoreTimeout(BUSY), began) from None
            self._engine.refuse()
        return flight

    async def _settle(self) -> None:
        """Wait for what is under way now: it may be put back."""
        self._on_this_loop()
        flights, began = [*self._buffer.flying], monotonic()
        try:
            async with asyncio.timeout(self._patience):
                while self._buffer.fly(flights):
                    await self._ended.wait()
        except TimeoutError:
            raise self._engine.failed(StoreTimeout(BUSY), began) from None

    async def close(self) -> None:
        """Send all that waits, and stop the task."""
        self._engine.store.hasten()
        try:
            await self._settle()
            await self.send_all()
        finally:
            task, self._task = self._task, None
            if task is not None and task.get_loop() is asyncio.get_running_loop():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


class AsyncOpenSession:
    """A session that is held open; see `Presence.session`.

    Each beat says what the session shows, so that a store that lost it has it back; and the kind, which
    others may have changed, for where its user is gone: they come back as that, but hidden where they
    were when they were last seen here.
    """

    def __init__(
        self,
        presence: Any,
        user: object,
        name: str,
        kind: Kind | None,
        away: bool | None,
        info: Mapping[str, Any] | None,
    ) -> None:
        self.user = user
        self.name = name
        self._presence = presence
        self._kind = kind
        self._hidden = False
        self._away = away
        self._info = info
        self._trouble: str | None = None
        self.over = False

    async def update(
        self, *, away: bool | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Say that the user is away or back, or what the session shows now."""
        await self._presence._mark_session(self._said(away, info))  # noqa: SLF001 - one of its parts
        self._away = self._away if away is None else away
        self._info = self._info if info is None else info

    async def beat(self) -> None:
        """Mark the session until it is over; a client may take the cancellation for its own."""
        while True:
            await asyncio.sleep(self._presence.beat_due)
            if self.over:
                return
            try:
                await self.mark()
                self._trouble = None
            except Exception as error:  # noqa: BLE001 - the next beat may go well
                self._trouble = told_once(self.user, error, self._trouble)

    async def mark(self) -> None:
        """Mark the session, with all that it says."""
        kind = await self._presence._beat(self._said(self._away, self._info))  # noqa: SLF001
        self._hidden = self._hidden if kind is None else kind == "hidden"

    def _said(self, away: bool | None, info: Mapping[str, Any] | None) -> Mark:
        kind = "hidden" if self._hidden else self._kind
        return marking.beat(self.user, kind, self.name, away, info)
