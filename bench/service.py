"""Rows: `herenow serve` under requests on kept connections, against bare uvicorn and Starlette.

The opponent is this module, run as a program: two routes without any rule, which ask the same of the same
store and answer JSON of the same. What it is short of is access, limits, parameters, problems, metrics.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Final

import herenow
from bench.stage import Measured, Stage, row, times_as_long
from bench.timing import Figures, Side
from herenow.models import Room
from herenow.web.json_form import json_form

KEY: Final = "a-key-for-the-bench-0123"
HEAD: Final = f"Host: localhost\r\nAuthorization: Bearer {KEY}\r\n"
GET: Final = f"GET /v1/rooms/site HTTP/1.1\r\n{HEAD}\r\n".encode()
PUT: Final = (
    f"PUT /v1/rooms/site/users/alice HTTP/1.1\r\n{HEAD}"
    "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
).encode()
AT_ONCE: Final = 8
_BARE: Final = ("-m", "bench.service")
_OURS: Final = ("-m", "herenow", "serve", "--port", "0")


@contextmanager
def served(stage: Stage, *command: str) -> Iterator[int]:
    """Run a program that prints its address; its port."""
    settings = {
        "HERENOW_URL": stage.url,
        "HERENOW_API_KEY": KEY,
        "HERENOW_RATE_LIMIT": "1000000/second",
    }
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings, "HERENOW_SECRET": KEY},
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found, "no address"  # noqa: S101
        yield int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


class Caller:
    """Kept connections to one of them, each with one request at a time."""

    def __init__(self, stack: ExitStack, port: int) -> None:
        where = ("127.0.0.1", port)
        self._ends = [
            stack.enter_context(socket.create_connection(where, 10)) for _ in range(AT_ONCE)
        ]
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes, connections: int) -> None:
        """Send it on so many connections, and read all the answers."""
        ends = self._ends[:connections]
        for end in ends:
            end.sendall(request)
        for end in ends:
            self._read(end)

    @staticmethod
    def _read(end: socket.socket) -> None:
        told = b""
        while (head := told.find(b"\r\n\r\n")) < 0:
            told += end.recv(65_536)
        length = re.search(rb"(?i)content-length: (\d+)", told[:head])
        assert length is not None and b" 20" in told[:13], told  # noqa: S101, PT018
        while len(told) < head + 4 + int(length[1]):
            told += end.recv(65_536)


@cache
def _fought(stage: Stage, request: bytes, connections: int) -> list[Figures]:
    with ExitStack() as stack:
        ours, theirs = (
            Caller(stack, stack.enter_context(served(stage, *command)))
            for command in (_OURS, _BARE)
        )
        sides = [
            Side(lambda _, by=by: by.ask(request, connections), holds=connections)  # type: ignore[misc]
            for by in (ours, theirs)
        ]
        return stage.fight(sides[0], sides[1], (20, 20))


def _a_second(bouts: list[Figures]) -> Measured:
    best = bouts[0]
    told = f"{1 / best.ours:,.0f} : {1 / best.theirs:,.0f} a second"
    return Measured(best.ratio, told, tuple(one.ratio for one in bouts))


@row("GET /v1/rooms/site of herenow serve, p50", "x bare", must=1.5, aim=1.25)
def get_p50(stage: Stage) -> Measured:
    return times_as_long(_fought(stage, GET, 1))


@row("PUT of a user to herenow serve, p50", "x bare", must=1.5, aim=1.25)
def put_p50(stage: Stage) -> Measured:
    return times_as_long(_fought(stage, PUT, 1))


@row("GET /v1/rooms/site, 8 connections: time a request", "x bare", must=1.5, aim=1.25)
def get_rate(stage: Stage) -> Measured:
    return _a_second(_fought(stage, GET, AT_ONCE))


@row("PUT of a user, 8 connections: time a request", "x bare", must=1.5, aim=1.25)
def put_rate(stage: Stage) -> Measured:
    return _a_second(_fought(stage, PUT, AT_ONCE))


def bare_application(url: str) -> Any:
    """The opponent."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    presence = herenow.AsyncPresence(url, resolution=0)

    async def room(request: Request) -> Response:
        there = presence.room(request.path_params["room"])
        counts, peak = await asyncio.gather(there.counts(), there.peak())
        form = json_form(Room(there.name, counts), hidden=True)
        return JSONResponse({**form, "peak": json_form(peak)})

    async def mark(request: Request) -> Response:
        await request.json()
        there, user = presence.room(request.path_params["room"]), request.path_params["user"]
        await there.mark_online(user)
        found = await there.lookup([user], include_hidden=True)
        return JSONResponse(json_form(found[user]))

    return Starlette(
        routes=[
            Route("/v1/rooms/{room}", room),
            Route("/v1/rooms/{room}/users/{user}", mark, methods=["PUT"]),
        ]
    )


def _serve_bare() -> None:
    import uvicorn

    config = uvicorn.Config(
        bare_application(os.environ["HERENOW_URL"]),
        log_level="warning",
        access_log=False,
        ws="none",
    )
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    _serve_bare()
