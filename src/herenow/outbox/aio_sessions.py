"""A session that is held open, and marked now and again, until it ends; see `Presence.session`.

Written once, for asyncio, in ``aio_sessions.py``; ``sessions.py`` is generated from that, for threads
(`make generate`). What its marks say is the business of `held`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from herenow.errors import StoreError
from herenow.outbox.held import Held
from herenow.outbox.port import AsyncPort
from herenow.store.tasks import Flag, ended, start


class AsyncOpenSession(Held):
    """A session that is held open."""

    def __init__(self, presence: Any, *shows: Any) -> None:
        super().__init__(*shows)
        self._presence = presence
        self._port = AsyncPort(presence)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Self]:
        """Hold it open."""
        await self._presence.mark_online(self.user, self._kind, self.name, self._away, self._info)
        stop = Flag()
        beat = start("herenow-session", self.beat, stop)
        try:
            yield self
        finally:
            stop.set()
            await ended(beat)
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

    async def beat(self, stop: Flag) -> None:
        """Mark the session until it is to stop."""
        while not await stop.wait(self._port.beat_due):
            try:
                await self.mark()
            except Exception as error:  # noqa: BLE001 - the next beat may go well
                self._went(error)
            else:
                self._went(None)

    async def mark(self) -> None:
        """Mark the session, with all that it says."""
        self._beaten(await self._port.beat(self._mark(self._away, self._info)))
