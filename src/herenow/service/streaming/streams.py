"""All open streams of one service: the rooms that they follow, their heartbeat, their end."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from sse_starlette.sse import AppStatus
from starlette.responses import Response

from herenow import names
from herenow.aio import AsyncPresence
from herenow.errors import StoreError
from herenow.service.streaming.attendance import Attendance, Attendances, Identity
from herenow.service.streaming.feeds import Feed
from herenow.service.streaming.ids import read_id
from herenow.service.streaming.reader import Reader, Stream, Turns, heartbeat
from herenow.service.streaming.settings import MAX_ROOMS, MAX_USERS, StreamSettings
from herenow.service.streaming.taken import Taken, TooManyStreams

_log: Final = logging.getLogger("herenow")
_LOOK_EVERY: Final = 0.2
_SCAN_EVERY: Final = 1.0
_ROOMS_AT_ONCE: Final = 500


def _silent(what: str) -> None:
    """Do nothing."""


class Streams:
    """All open streams of one service, in one event loop.

    ``notify`` is called with ``opened``, ``ended`` or ``cut`` (too slow, or stuck; it ends too) for each
    stream. Streams end by `close`, and by themselves when uvicorn is to stop: it waits for open
    responses, and does not end them.
    """

    def __init__(
        self,
        presence: AsyncPresence,
        settings: StreamSettings | None = None,
        *,
        notify: Callable[[str], None] = _silent,
    ) -> None:
        self.presence = presence
        self.settings = settings or StreamSettings()
        self.dirty: dict[Feed, None] = {}
        """Rooms that have something to send at the next tick."""
        self._notify = notify
        self._feeds: dict[tuple[str, bool], Feed] = {}
        self._readers: dict[Reader, bool] = {}
        self._taken = Taken()
        self._attendances = Attendances(presence)
        self._turns = Turns()
        self._hurried: dict[Feed, None] = {}
        self._hurry = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._keepers: list[asyncio.Task[Any]] = []
        self._closing = False
        self._end: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._scan = 0.0
        self._exited_before = AppStatus.should_exit

    @property
    def count(self) -> int:
        """How many streams are open."""
        return len(self._readers)

    async def open(
        self,
        rooms: Sequence[str],
        *,
        users: Sequence[str] | None = None,
        include_hidden: bool = False,
        after: str | None = None,
        identity: Identity | None = None,
        until: datetime | None = None,
        address: str | None = None,
        token: str | None = None,
    ) -> Response:
        """Make the response that is a stream of these rooms' events.

        ``users`` at most 500, of whose events alone it is (with the counts); ``after`` the id of the last
        event that the client had; ``identity`` whose presence the stream is; ``until`` when it ends, as a
        token does; ``address`` and ``token`` whose streams are counted, where those are bounded. Raises
        ValueError for bad arguments, TooManySessions for a 33rd of this user, TooManyStreams. At most a
        round trip a room for one with an identity, none for others.
        """
        cleaned = tuple(dict.fromkeys(map(names.clean_room, rooms)))
        if not 1 <= len(cleaned) <= MAX_ROOMS:
            raise ValueError(f"a stream has 1 to {MAX_ROOMS} rooms; this has {len(cleaned)}")
        listed = None if users is None else frozenset(map(names.clean_user, users))
        if listed is not None and not 1 <= len(listed) <= MAX_USERS:
            raise ValueError(f"a stream watches 1 to {MAX_USERS} users; this {len(listed)}")
        places = read_id(after, cleaned)
        if self._closing:
            raise TooManyStreams("the service is about to end")
        reader = Reader(cleaned, listed, places, self.settings.max_waiting, self._turns)
        self._taken.take(reader, self.settings, address, token)
        attendance = None
        if identity is not None:
            attendance = Attendance(self.presence, cleaned, identity)
            try:
                await self._attendances.begin(attendance)
            except BaseException:
                self._taken.give_back(reader)
                raise
        if until is not None:
            reader.until = monotonic() + (until - datetime.now(UTC)).total_seconds()

        def opened(reader: Reader) -> None:
            self._opened(reader, hidden=include_hidden)
            for at, (room, place) in enumerate(zip(cleaned, places, strict=True)):
                self._feed(room, hidden=include_hidden).enter(reader, at, place)

        if attendance is not None:  # its session is ended even where the client is gone already
            self._attendances.hold(reader, attendance)
        return Stream(reader, self.settings, opened, self._ended)

    def _feed(self, room: str, *, hidden: bool) -> Feed:
        feed = self._feeds.get((room, hidden))
        if feed is None:
            feed = self._feeds[room, hidden] = Feed(self, room, hidden=hidden)
        return feed

    def _opened(self, reader: Reader, *, hidden: bool) -> None:
        self._readers[reader] = hidden
        if not self._keepers:
            self._keepers = [
                self.spawn(self._keep(self._tick)),
                self.spawn(self._keep(self._look)),
                self.spawn(self._keep(self._attend)),
            ]
        self._notify("opened")

    def _ended(self, reader: Reader) -> None:
        self._taken.give_back(reader)
        hidden = self._readers.pop(reader, None)
        attendance = self._attendances.let_go(reader)
        if attendance is not None:
            self.spawn(self._attendances.end(attendance))
        if hidden is None:
            return
        for room in reader.rooms:
            if self._feeds[room, hidden].leave(reader):
                feed = self._feeds.pop((room, hidden))
                self.dirty.pop(feed, None)
                self._hurried.pop(feed, None)
        if reader.dropped:
            self._notify("cut")
        self._notify("ended")
        if not self._readers:
            self._empty.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Have something done beside; what it raises is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("streams: %s", error, exc_info=error)

    # what is kept up

    async def _keep(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await step()
            except Exception:  # noqa: BLE001 - one failure must not end all streams
                _log.exception("streams go on")
                await asyncio.sleep(1)

    def hurry(self, feed: Feed) -> None:
        """Have a room looked at before the next tick: it may send too much."""
        self._hurried[feed] = None
        self._hurry.set()

    def started_over(self) -> None:
        """Note that a room's past is gone: with it may be the sessions of whoever is in a stream."""
        self._attendances.hasten()

    async def _tick(self) -> None:
        """Wait for the next tick of all rooms, or for the first in a hurry, and have them send."""
        end = monotonic() + self.settings.interval
        while (left := end - monotonic()) > 0:
            try:
                await asyncio.wait_for(self._hurry.wait(), left)
            except TimeoutError:
                break
            self._hurry.clear()
            hurried, self._hurried = self._hurried, {}
            await self._send_all(list(hurried))
        dirty, self.dirty = self.dirty, {}
        await self._send_all(list(dirty))

    async def _send_all(self, feeds: list[Feed]) -> None:
        for i in range(0, len(feeds), _ROOMS_AT_ONCE):
            part = feeds[i : i + _ROOMS_AT_ONCE]
            try:
                counted = await self.presence.room_counts({feed.name for feed in part})
            except StoreError as error:
                _log.debug("counts wait for the store: %s", error)
                self.dirty |= dict.fromkeys(feed for feed in feeds[i:] if not feed.closed)
                return
            for feed in part:
                feed.tick(counted[feed.name])

    async def _look(self) -> None:
        """See to heartbeats, to readers that are stuck, and to the server's end."""
        await asyncio.sleep(_LOOK_EVERY)
        if self._is_stopping():
            self._closing = True
            self._end = self._end or asyncio.get_running_loop().create_task(self._close())
        now = monotonic()
        if now < self._scan:
            return
        self._scan = now + _SCAN_EVERY
        silent, stuck = now - self.settings.heartbeat, now - self.settings.send_timeout
        for reader in list(self._readers):
            if reader.since and reader.since < stuck:
                reader.cut()
            elif reader.until < now:
                reader.end()
            elif reader.last < silent:
                reader.last = now
                heartbeat(reader)

    async def _attend(self) -> None:
        for stream in await self._attendances.refused():
            if isinstance(stream, Reader):
                stream.end()

    def _is_stopping(self) -> bool:
        """Whether uvicorn is to stop. It has its signals handled by a method of its server's.

        sse-starlette notes the same where an application has put a handler of its own before that.
        """
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        return bool(getattr(server, "should_exit", False)) or (
            AppStatus.should_exit and not self._exited_before
        )

    # the end

    async def close(self) -> None:
        """End all streams and their sessions, within `stop_within` seconds; none can be opened then."""
        self._closing = True
        if self._end is None:
            self._end = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._end)

    async def _close(self) -> None:
        within, began = self.settings.stop_within, monotonic()
        for keeper in self._keepers:
            keeper.cancel()
        leaving = self.spawn(self._attendances.end_all())
        await asyncio.wait(
            [leaving], timeout=within / 2
        )  # before the loop is busy with all the ends
        for reader in list(self._readers):
            reader.end()
        if self._readers:
            self._empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), within / 3)
        for reader in list(self._readers):
            reader.cut()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=max(0.1, began + within - monotonic()))
        for task in self._tasks:
            task.cancel()
