"""What an AsyncPresence does by tasks: send what is buffered, and keep open sessions fresh.

The rules are those of `background`. A task belongs to its loop; a loop that ends cancels it, and it sends
what is left before it goes.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final, TypeVar

from herenow.aio_execution import AsyncEngine
from herenow.background import BUSY, told_once
from herenow.core import Core
from herenow.errors import StoreError, StoreTimeout
from herenow.names import Kind
from herenow.operations import Plan, marking
from herenow.operations.marking import Mark

T = TypeVar("T")
_log: Final = logging.getLogger("herenow")


class AsyncFlushing:
    """When the buffer of an AsyncPresence is sent: by a task, and before whatever reads."""

    def __init__(self, core: Core, engine: AsyncEngine, patience: float) -> None:
        self._core = core
        self._engine = engine
        self._patience = patience
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def _sending(self) -> asyncio.Lock:
        """Held while a flush is under way; of the running loop, as the task is."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._lock, self._task = loop, asyncio.Lock(), None
        return self._lock

    @property
    def busy(self) -> bool:
        """Whether anything waits, or is being sent."""
        return bool(self._core.buffer) or self._sending().locked()

    def wake(self) -> None:
        """Have what was put sent soon, or when the loop ends."""
        self._sending()
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
        if self.busy and self._core.buffer is not None:
            try:
                async with self._alone():
                    await self._engine.run(self._core.flush_all())
            finally:
                self._again()

    async def run_after(self, room: str, plan: Plan[T]) -> T:
        """Run a plan after what waits for its room, in the same round trip."""
        try:
            async with self._alone():
                return await self._engine.run(self._core.after(room, plan))
        finally:
            self._again()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        # a store that hangs costs whoever waits behind a flush its own timeout, not the sum of all
        engine = self._engine
        engine.refuse()
        sending = self._sending()
        began = monotonic()
        try:
            await asyncio.wait_for(sending.acquire(), self._patience)
        except TimeoutError:
            raise engine.failed(StoreTimeout(BUSY), began) from None
        try:
            yield
        finally:
            sending.release()

    def _again(self) -> None:
        if self._core.buffer:
            self.wake()

    async def close(self) -> None:
        """Send all that waits, and stop the task."""
        self._engine.store.hasten()
        try:
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
