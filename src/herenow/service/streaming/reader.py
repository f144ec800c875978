"""One open stream: what waits for its reader, and the ASGI response that sends it.

An idle stream is one task, the server's own, which waits for the client to go; what there is to send is
sent by a task that lives as long as something waits. What waits is bounded: a reader too slow for that,
or whose connection takes nothing, is cut off, and its connection aborted.
"""

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from herenow.service.streaming import connection
from herenow.service.streaming.frames import COMMENT, Frame, beginning
from herenow.service.streaming.ids import Known, StreamId
from herenow.service.streaming.settings import StreamSettings

_log: Final = logging.getLogger("herenow")
_dice: Final = random.SystemRandom()  # whoever seeds the common one wants the next for themselves
_AT_ONCE: Final = 50
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
_END: Final[Message] = {"type": "http.response.body", "body": b"", "more_body": False}


class Turns:
    """Who may begin to send: so many at a time, so that the loop hears of the store in between.

    Otherwise what is sent to thousands would keep it for so long that calls under way time out.
    """

    __slots__ = ("_free", "_scheduled", "_waiting")

    def __init__(self) -> None:
        self._free = _AT_ONCE
        self._scheduled = False
        self._waiting: deque[Reader] = deque()

    def ask(self, reader: "Reader") -> None:
        """Have a reader sent to, at once or soon."""
        if self._free:
            self._free -= 1
            reader.write()
        else:
            self._waiting.append(reader)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        waiting = self._waiting
        self._free = _AT_ONCE
        while waiting and self._free:
            self._free -= 1
            waiting.popleft().write()
        self._scheduled = self._free < _AT_ONCE
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._go_on)


class Reader:
    """What waits for one stream, and where the stream is. ``users`` None: of all users."""

    __slots__ = (
        "_asked", "_most", "_queue", "_send", "_task", "_transport", "_turns", "_waiting", "_writer",
        "believed", "closed", "dropped", "ending", "last", "rooms", "since", "stream_id",
        "until", "users",
    )  # fmt: skip

    def __init__(
        self,
        rooms: Sequence[str],
        users: frozenset[str] | None,
        places: list[Known | None],
        most: int,
        turns: Turns,
    ) -> None:
        self.rooms = rooms
        self.users = users
        self.stream_id: StreamId | None = None
        if len(rooms) > 1:
            self.stream_id = StreamId(rooms)
            for at, place in enumerate(places):
                self.stream_id.move(at, place)
        self.believed: dict[int, dict[str, bool]] | None = None
        """Which watched users the client takes to be online, by room, until that is sure to be right."""
        self.closed = self.ending = self.dropped = False
        self.until = math.inf
        self.last = monotonic()
        self.since = 0.0
        """Since when a send is under way; 0 when none is."""
        self._most = most
        self._turns = turns
        self._asked = False
        self._writer: asyncio.Task[None] | None = None  # or it may be collected
        self._queue: list[bytes] = []
        self._waiting = 0
        self._send: Send | None = None
        self._task: asyncio.Task[Any] | None = None
        self._transport: Any = None

    def begin(self, send: Send, transport: Any) -> None:
        """Send from now on, in the task that serves the request, by its transport where that is known."""
        self._send = send
        self._task = asyncio.current_task()
        self._transport = transport
        self._write_soon()

    def send(self, room: int, frames: Sequence[Frame], whole: bytes) -> None:
        """Have frames sent, which together are ``whole`` in a stream of one room."""
        if self.stream_id is None:
            self.put(whole)
        else:
            for frame in frames:
                self.put(frame.among(self.stream_id, room))

    def put(self, data: bytes) -> None:
        """Have bytes sent."""
        if self.closed or self.ending:
            return
        self._queue.append(data)
        self._waiting += len(data)
        if self._waiting > self._most and len(self._queue) > 1:
            self.cut()
        elif not self._asked:
            self._write_soon()

    def _write_soon(self) -> None:
        if self._send is not None and not self._asked and (self._queue or self.ending):
            self._asked = True
            self._turns.ask(self)

    def write(self) -> None:
        """Send what waits, and what comes meanwhile."""
        if self._send is not None and not self.closed:
            self._writer = asyncio.get_running_loop().create_task(self._write(self._send))

    async def _write(self, send: Send) -> None:
        try:
            while self._queue and not self.closed:
                queue, self._queue, self._waiting = self._queue, [], 0
                body = queue[0] if len(queue) == 1 else b"".join(queue)
                self.last = self.since = monotonic()
                await send({"type": "http.response.body", "body": body, "more_body": True})
                self.since = 0.0
            if self.ending and not self.closed:
                await send(_END)
        except Exception as error:  # noqa: BLE001 - whatever a server raises when its client is gone
            _log.debug("a stream ends: %s", error)
            self.cut()
        finally:
            self._writer, self._asked = None, False

    def end(self) -> None:
        """End it well, after what waits; the client comes back when it likes."""
        if not self.ending:
            self.ending = True
            self._write_soon()

    def cut(self) -> None:
        """End it now: nothing more is sent, and the connection is aborted."""
        if self.closed:
            return
        self.dropped = True
        self.close()
        if self._transport is not None:
            connection.abort(self._transport)
        elif self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Let go of what waits: the client is gone, or will be."""
        self.closed = True
        self._queue, self._waiting = [], 0


class Stream(Response):
    """The response that is a stream. ``opened`` and ``ended`` are called around it."""

    media_type = "text/event-stream"

    def __init__(
        self,
        reader: Reader,
        settings: StreamSettings,
        opened: Callable[[Reader], None],
        ended: Callable[[Reader], None],
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers()
        self.raw_headers = list(_HEADERS)
        self.reader = reader
        self._settings = settings
        self._opened, self._ended = opened, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client goes, or the stream is ended."""
        reader = self.reader
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send(_END)
                return
            retry = round(self._settings.retry * _dice.uniform(1, 2) * 1000)
            first = {"type": "http.response.body", "body": beginning(retry), "more_body": True}
            await send(first)
            transport = connection.find(receive)
            if transport is not None:
                connection.bound(transport, self._settings.gone_after)
            reader.begin(send, transport)
            self._opened(reader)
            while (await receive())["type"] != "http.disconnect":
                pass
        except OSError as error:  # how servers may say that the client is gone
            _log.debug("a stream ends: %s", error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not reader.closed or task is None or task.uncancel() > 0:
                raise  # it was not `cut`
        finally:
            reader.close()
            self._ended(reader)


def heartbeat(reader: Reader) -> None:
    """Say that the stream lives."""
    reader.put(COMMENT)
