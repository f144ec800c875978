"""Connections, as ``herenow serve`` takes them: how many, how long for a head, how long unread.

uvicorn waits for a head as long as its sender likes, takes as many connections as there are files, and
keeps an answer for as long as its reader takes nothing of it: whoever opens those keeps everybody else
out, without a single request that could be refused. So here

- there are at most so many connections, and of one address (IPv6: of its /64) a part of them; a proxy
  that was named (``--proxy``) has no bound of its own, for all come through it;
- a request's head comes in time. A stream's connection waits for no head, and is left alone;
- an answer is taken in time, by a reader who is not too slow, or the connection is aborted; and all that
  is not taken is bounded, the oldest goes first. The transport keeps nothing beside what the kernel does
  not take, so uvicorn waits before each further part, and answers requests of one connection one by one;
- what is sent beyond the request under way (pipelining) is bounded too.

ASGI knows nothing of all this, so whoever mounts the service leaves it to their own server.
"""

import asyncio
import resource
from collections import Counter
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import h11
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from herenow.service.problems import ProblemError, respond
from herenow.service.rates import household
from herenow.service.streaming import StreamSettings, connection

HEAD_WITHIN: Final = 10.0
"""Seconds for a request's head: from the connection on, or from its first byte on a kept one."""
BESIDE_STREAMS: Final = 1000
"""How many connections there may be beside as many streams as may be open."""
BESIDE_OF_ADDRESS: Final = 100
"""The same, of one address."""
MOST_PIPELINED: Final = 65_536
"""Bytes that may wait behind the request under way."""
SLOWEST: Final = 8192
"""Bytes a second that a reader takes at least, after the first seconds of patience."""
_GONE_AFTER: Final = 45.0
_OTHER_FILES: Final = 100
"""What the process has open beside connections: the store's, logs, libraries."""


@dataclass(eq=False)
class Bounds:
    """What the connections of one server share. Times in seconds."""

    connections: int
    of_address: int
    proxies: Container[str] = ()
    patience: float = 20.0
    """For how long nothing of an answer need be taken."""
    unread: int = 256 * 2**20
    """Bytes of answers that nobody has taken yet, of all connections."""
    addresses: Counter[str] = field(default_factory=Counter)
    blocked: "dict[Connection, int]" = field(default_factory=dict)
    """Whose answer waits to be taken, the longest first, and how much there was of it."""
    waiting: int = 0
    """All these bytes."""


class Connection(H11Protocol):
    """A connection of `herenow serve`."""

    bounds: ClassVar[Bounds]
    _address: str | None = None
    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
    _since = 0.0

    # how many

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head, unless there are too many connections already."""
        super().connection_made(transport)
        bounds = self.bounds
        if len(self.connections) > bounds.connections:
            transport.abort()  # a word to each would keep what there is none of
            return
        transport.set_write_buffer_limits(high=0)
        connection.bound(transport, _GONE_AFTER)
        if self.client is not None and self.client[0] not in bounds.proxies:
            self._address = household(self.client[0])
            bounds.addresses[self._address] += 1
            if bounds.addresses[self._address] > bounds.of_address:
                detail = (
                    f"at most {bounds.of_address} connections of an address (--proxy names a proxy)"
                )
                self._refuse(ProblemError(429, detail, {"Retry-After": "5"}))
                return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._forget()
        self._unblock()
        if self._address is not None:
            self.bounds.addresses[self._address] -= 1
            if not self.bounds.addresses[self._address]:
                del self.bounds.addresses[self._address]
        super().connection_lost(exc)

    # what comes

    def data_received(self, data: bytes) -> None:
        """Take what came; what begins another head has its time from now on."""
        super().data_received(data)
        if not getattr(self.cycle, "response_complete", True):  # None before the first
            self._forget()
            if len(self.conn.trailing_data[0]) > MOST_PIPELINED:
                connection.abort(self.transport)
        elif self._late is None and not self.transport.is_closing():
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Say of what is no request that it is none, as a problem like any other."""
        self._refuse(ProblemError(400, msg))

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEAD_WITHIN, self._is_late)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _is_late(self) -> None:
        if self.transport.get_write_buffer_size():  # it does not even take what it has asked for
            connection.abort(self.transport)
        elif not self.transport.is_closing():
            detail = f"the request's head did not come within {HEAD_WITHIN:g} s"
            self._refuse(ProblemError(408, detail))

    def _refuse(self, problem: ProblemError) -> None:
        answer = respond(problem)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        messages: list[Any] = [
            h11.Response(status_code=answer.status_code, headers=headers),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ]
        with suppress(h11.LocalProtocolError):  # after an answer that a body was still to follow
            for one in messages:
                self.transport.write(self.conn.send(one) or b"")
        self.transport.close()

    # what is not taken

    def pause_writing(self) -> None:
        """Begin to wait for the reader: the kernel takes no more of an answer."""
        super().pause_writing()
        bounds, size = self.bounds, self.transport.get_write_buffer_size()
        bounds.blocked[self] = size
        bounds.waiting += size
        self._since = self.loop.time()
        self._stuck = self.loop.call_later(bounds.patience, self._look)
        while bounds.waiting > bounds.unread:
            next(iter(bounds.blocked)).give_up()

    def resume_writing(self) -> None:
        """Go on: all of it is taken."""
        self._unblock()
        super().resume_writing()

    def give_up(self) -> None:
        """Abort it, and let go of what it does not take."""
        self._unblock()
        connection.abort(self.transport)

    def _look(self) -> None:
        patience = self.bounds.patience
        waited = self.loop.time() - self._since
        taken = self.bounds.blocked[self] - self.transport.get_write_buffer_size()
        if taken <= max(0, (waited - patience) * SLOWEST):
            self.give_up()
        else:
            self._stuck = self.loop.call_later(patience, self._look)

    def _unblock(self) -> None:
        self.bounds.waiting -= self.bounds.blocked.pop(self, 0)
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


def taking(streams: StreamSettings, proxy: str | None = None) -> type[Connection]:
    """Make the kind of connection of which there are enough for these streams, where files allow it.

    ``proxy`` is whose addresses, with commas between, have no bound of their own.
    """
    wanted = streams.max_streams + BESIDE_STREAMS
    proxies: Any = ProxyHeadersMiddleware(_nothing, proxy).trusted_hosts if proxy else ()
    most = max(1, _files(wanted) - _OTHER_FILES)
    bounds = Bounds(most, streams.of_address + BESIDE_OF_ADDRESS, proxies)
    return type("Connection", (Connection,), {"bounds": bounds})


async def _nothing(*_: Any) -> None:
    """Stand for the application that the middleware is asked for its addresses without."""


def _files(wanted: int) -> int:
    """How many files this process may have open, raised to what is wanted where it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(OSError, ValueError):  # a system may have a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return needed if soft == resource.RLIM_INFINITY else min(needed, soft)
