"""Watching by tasks: one that keeps the rooms' watches told, one a node that listens to doorbells.

As `watchers` does by threads. Tasks and lines belong to the loop that the first watch was made in; they
run only while anybody watches. A watch of a loop that is over is over too.
"""

import asyncio
import contextlib
import logging
import time
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

from herenow import store
from herenow.errors import StoreError
from herenow.models import Event
from herenow.operations import text
from herenow.operations.events import Place, read_bell
from herenow.operations.scope import Scope
from herenow.outbox.outbox import Outbox
from herenow.store.aio_engine import AsyncEngine
from herenow.store.finalizing import weakly
from herenow.watching import Hub, Switchboard, Watch
from herenow.watching.threads import PING_EVERY

_log: Final = logging.getLogger("herenow")
_CONNECT_WITHIN: Final = 5.0


class AsyncEvents:
    """The events of a room, one after the other, until `aclose`: for ``async for`` and ``async with``.

    It begins when ``async with`` has entered it, or soon after it is made; nothing is lost by a
    cancellation. The store being away makes it wait, never raise.
    """

    def __init__(self, watchers: "AsyncWatchers", watch: Watch) -> None:
        self._watchers = watchers
        self._watch = watch
        self._batch: list[Event] = []
        self._at = 0
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        watch.tell = self._told.set

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while self._at >= len(self._batch):
            if self._watch.closed:
                raise StopAsyncIteration
            self._batch, self._at = await self.batch(), 0
        event = self._batch[self._at]
        self._at += 1
        return event

    async def batch(self, seconds: float | None = None) -> list[Event]:
        """All that came together, oldest first; none: nothing did in ``seconds``, or it has ended.

        The list may be another watch's too: do not change it.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    self._told.clear()
                    batch = self._watch.take()
                    if batch or self._watch.closed:
                        return batch
                    self._begin()
                    self._watchers.hub.ask(self._watch)
                    await self._told.wait()
        return []

    def take(self) -> list[Event]:
        """The oldest batch that waits, at once; empty for none."""
        return self._watch.take()

    @property
    def place(self) -> Place | None:
        """Where it is once all that waits is taken; None before it has begun, or while it starts over."""
        watch = self._watch
        return watch.place if watch.started and not watch.lost else None

    def _begin(self) -> None:
        """Have it served, by the running loop."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            self._watchers.attach(self, self._watch)
        elif loop is not self._loop:
            self._watch.closed = True
        self._watchers.run()

    async def aclose(self) -> None:
        """End it: whoever waits for an event is let go."""
        self._close()
        await self._watchers.ended()

    def _close(self) -> None:
        self._watch.closed = True
        with contextlib.suppress(RuntimeError):  # its loop is over, and nobody waits
            self._watchers.hub.detach(self._watch)
            self._told.set()

    async def __aenter__(self) -> Self:
        self._begin()
        while not (self._watch.started or self._watch.closed):
            await self._told.wait()
            self._told.clear()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # by any thread, in the middle of anything: it takes no lock, and leaves the rest to the loop
        if hasattr(self, "_told") and not self._watch.closed:
            self._watch.closed = True
            hub = self._watchers.hub
            hub.dropped.append(self._watch)
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # its loop is over, and nobody serves
                    self._loop.call_soon_threadsafe(hub.wake)


class AsyncWatchers:
    """All watches of one AsyncPresence, and the tasks that serve them."""

    def __init__(self, core: Outbox, engine: AsyncEngine) -> None:
        self._core = core
        self._engine = engine
        self._all: weakref.WeakSet[AsyncEvents] = weakref.WeakSet()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start()

    def _start(self) -> None:
        core = self._core
        self.hub = Hub(core.rooms, own_clock=core.scopes.clock is not None, clock=core.now)
        self.hub.heard = weakly(self._heard, 0.0)
        self.hub.doubt = weakly(self._doubt, None)
        self._wake = asyncio.Event()
        self.hub.wake = self._wake.set
        self._keeper: asyncio.Task[None] | None = None
        self._lines: dict[str, _Line] = {}
        self._board = Switchboard()

    def watch(
        self, scope: Scope, after: object, users: Iterable[object] | None, *, include_hidden: bool
    ) -> AsyncEvents:
        """Begin to watch a room, in the running loop if there is one."""
        watch = Watch(scope, after, users, include_hidden=include_hidden)
        events = AsyncEvents(self, watch)
        with contextlib.suppress(RuntimeError):  # no loop yet: it begins when it is read
            asyncio.get_running_loop()
            events._begin()  # noqa: SLF001 - of this module
        return events

    def attach(self, events: AsyncEvents, watch: Watch) -> None:
        """Take a watch in; what a loop that is over left behind is let go."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            for other in list(self._all):
                other._watch.closed = True  # noqa: SLF001 - of this module
            self._all.clear()
            self._start()
        self._all.add(events)
        self.hub.attach(watch)

    async def close(self) -> None:
        """End every watch."""
        for events in list(self._all):
            events._close()  # noqa: SLF001 - of this module
        await self.ended()

    async def ended(self) -> None:
        """Wait for the tasks to end, where nobody watches any more."""
        keeper = self._keeper
        if (
            keeper is not None
            and self.hub.idle
            and self._loop is asyncio.get_running_loop()
            and keeper is not asyncio.current_task()
        ):
            await asyncio.wait([keeper])

    def run(self) -> None:
        """Have the keeper run."""
        if (self._keeper is None or self._keeper.done()) and not self.hub.idle:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        while not self.hub.idle:  # somebody may have come while all was put away
            await self._serve()

    async def _serve(self) -> None:
        hub = self.hub
        try:
            while not hub.idle:
                await self._connect()
                feeds = hub.due()
                if not feeds:
                    seconds = min(hub.seconds(), self._board.seconds())
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), seconds)
                    self._wake.clear()
                    continue
                try:
                    await self._engine.run(hub.look(feeds))
                except StoreError as error:
                    _log.debug("watching waits for the store: %s", error)
                    hub.failed(feeds)
                except Exception:  # noqa: BLE001 - one failure must not end all watches
                    _log.exception("watching failed, and goes on")
                    hub.failed(feeds)
        finally:
            lines, self._lines = self._lines, {}
            self._board = Switchboard()
            for line in lines.values():
                line.cancel()
            await asyncio.gather(*(line.task for line in lines.values()), return_exceptions=True)

    async def _connect(self) -> None:
        """Have every room's bell listened to, on the line to its node."""
        board = self._board
        for channel in board.unwanted(self.hub.channels):
            for line in self._lines.values():
                await line.drop(channel)
        for name in [name for name, line in self._lines.items() if line.empty]:
            self._lines.pop(name).cancel()
        wanted = board.take()
        if not wanted:
            return
        try:
            client = await self._engine.ready()
            if (nodes := getattr(client, "nodes_manager", None)) is not None:
                await client.initialize()
                if board.stale:
                    await nodes.initialize()
            board.stale = False
            for channel in wanted:
                node = store.node_of(client, channel)
                if node.name not in self._lines:
                    self._lines[node.name] = _Line(self, node)
                await self._lines[node.name].add(channel)
        except Exception as error:  # noqa: BLE001 - whatever a client library raises for a store that is away
            _log.debug("a doorbell waits for the store: %s", error)
            self.hub.missed(wanted)
            board.lost(wanted)

    def _heard(self, channel: bytes) -> float:
        lines = [line.heard for line in self._lines.values() if line.has(channel)]
        return max(lines, default=0.0)

    def _doubt(self, channel: bytes) -> None:
        for line in self._lines.values():
            if line.has(channel):
                line.ping()

    async def heard(self, line: "_Line", message: Any) -> None:
        """Take what a line heard: whatever it is, the store is there."""
        silent = self.hub.back(line.has)
        if silent:
            self._engine.store.hasten(silent[0])  # a line is one node's
            self.hub.retry(silent)
        if isinstance(message, list) and len(message) == 3:  # noqa: PLR2004 - what, channel, payload
            what, channel, payload = text(message[0]), message[1], message[2]
            if what in ("smessage", "message"):
                self.hub.ring(channel, read_bell(payload))
            elif what in ("ssubscribe", "subscribe"):
                self._board.connected()
                self.hub.ring(channel)
            elif what == "sunsubscribe" and await line.drop(channel, gone=True):
                self._board.lost([channel], stale=True)  # its slot moved away
                self._wake.set()

    def hung_up(self, line: "_Line", channels: Iterable[bytes], error: Exception) -> None:
        """Take the end of a line; its rooms want another."""
        if self._lines.get(line.node.name) is line:
            del self._lines[line.node.name]
            self.hub.missed(channels, line.heard)
            self._board.failed(channels, error, self.hub)
            self._wake.set()

    @property
    def verb(self) -> str:
        """How to subscribe."""
        return self._board.verb


class _Line:
    """A connection to one node, and the task that listens there. It lives as long as the connection."""

    def __init__(self, watchers: AsyncWatchers, node: store.Node) -> None:
        self.node = node
        self._watchers = watchers
        self._channels: dict[bytes, None] = {}
        self._connection: Any = None
        self._silent = False
        self.heard = 0.0
        """When anything was heard, by `time.monotonic`."""
        self._over = False
        self._asking: asyncio.Task[None] | None = None
        self.task = asyncio.get_running_loop().create_task(self._listen())

    @property
    def empty(self) -> bool:
        """Whether no room is listened to."""
        return not self._channels

    def has(self, channel: bytes) -> bool:
        """Whether this room is listened to."""
        return channel in self._channels

    def ping(self) -> None:
        """Have the store say something as soon as it can."""
        self._asking = asyncio.get_running_loop().create_task(self._say("PING"))

    async def add(self, channel: bytes) -> None:
        """Listen to a room's bell."""
        self._channels[channel] = None
        await self._say(self._watchers.verb, channel)

    async def drop(self, channel: bytes, *, gone: bool = False) -> bool:
        """Listen to it no more; whether it was listened to."""
        if channel not in self._channels:
            return False
        del self._channels[channel]
        if not gone:
            await self._say(self._watchers.verb.replace("SUB", "UNSUB"), channel)
        return True

    async def _say(self, *command: Any) -> None:
        if self._connection is not None:
            try:
                await self._connection.send_command(*command, check_health=False)
            except Exception as error:  # noqa: BLE001 - the listener sees it too
                _log.debug("a doorbell's line broke: %s", error)

    def cancel(self) -> None:
        """Hang up."""
        self._over = True
        self.task.cancel()

    async def _listen(self) -> None:
        line = None
        pinging = None
        try:
            line = self.node.line()
            async with asyncio.timeout(_CONNECT_WITHIN):
                await line.connect()
            line.socket_timeout = None  # what is read now comes when it comes
            self._connection = line
            for channel in list(self._channels):
                await self._say(self._watchers.verb, channel)
            pinging = asyncio.get_running_loop().create_task(self._ping(line))
            while not self._over:  # a cancellation that met the end of a time-out is lost
                message = await line.read_response()
                self._silent, self.heard = False, time.monotonic()
                await self._watchers.heard(self, message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the keeper makes another line
            self._watchers.hung_up(self, list(self._channels), error)
        finally:
            self._connection = None
            if pinging is not None:
                pinging.cancel()
            if line is not None:
                with contextlib.suppress(Exception):
                    await line.disconnect(nowait=True)

    async def _ping(self, line: Any) -> None:
        """Try a line that has been silent; end one that does not answer."""
        while True:
            self._silent = True
            await asyncio.sleep(PING_EVERY)
            if self._silent:
                await self._say("PING")
                await asyncio.sleep(PING_EVERY)
                if self._silent:
                    await line.disconnect(nowait=True)  # the listener sees that
                    return
