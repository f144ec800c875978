"""Connections, as ``herenow serve`` takes them: a request's head comes in time, and there is a bound.

uvicorn waits for a head as long as its sender likes, also for one that comes a byte a minute, and takes
as many connections as there are files: whoever opens those keeps everybody else out, without a single
request that could be refused. A stream's connection waits for no head, and is left alone.
"""

import asyncio
import resource
from contextlib import suppress
from typing import Any, ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from herenow.service.problems import ProblemError, respond

HEAD_WITHIN: Final = 10.0
"""Seconds for a request's head: from the connection on, or from its first byte on a kept one."""
BESIDE_STREAMS: Final = 1000
"""How many connections there may be beside as many streams as may be open."""
_OTHER_FILES: Final = 100
"""What the process has open beside connections: the store's, logs, libraries."""


class Connection(H11Protocol):
    """A connection of `herenow serve`."""

    most: ClassVar[int]
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head, unless there are too many connections already."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()  # a word to each would keep what there is none of
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came; what begins another head has its time from now on."""
        super().data_received(data)
        if not getattr(self.cycle, "response_complete", True):  # None before the first
            self._forget()
        elif self._late is None and not self.transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._forget()
        super().connection_lost(exc)

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
            self.transport.abort()
        elif not self.transport.is_closing():
            detail = f"the request's head did not come within {HEAD_WITHIN:g} s"
            self._refuse(ProblemError(408, detail))

    def _refuse(self, problem: ProblemError) -> None:
        answer = respond(problem)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        said: list[Any] = [
            h11.Response(status_code=answer.status_code, headers=headers),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ]
        with suppress(h11.LocalProtocolError):  # after an answer that a body was still to follow
            for one in said:
                self.transport.write(self.conn.send(one) or b"")
        self.transport.close()


def taking(streams: int) -> type[Connection]:
    """Make the kind of connection of which there are enough for so many streams, where files allow it."""
    wanted = streams + BESIDE_STREAMS
    return type("Connection", (Connection,), {"most": max(1, _files(wanted) - _OTHER_FILES)})


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
