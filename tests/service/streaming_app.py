"""A program: streams of one store under a real uvicorn, as an application would mount them.

``python streaming_app.py URL SETTINGS``, the settings as JSON; ``"behind": true`` puts middleware before
it that runs it in a task of its own. Prints its port, and serves
``/events`` (`room` and `user` repeat; `hidden`; `who`, `kind`, `session`: an identity) and ``/count``.
"""

import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import herenow
from herenow.service.streaming import Identity, Streams, StreamSettings, TooManyStreams


async def _passing(request: Request, call: Any) -> Response:
    passed: Response = await call(request)
    return passed


def application(url: str, settings: StreamSettings, *, behind: bool = False) -> Starlette:
    happened: dict[str, int] = {}

    def notify(what: str) -> None:
        happened[what] = happened.get(what, 0) + 1

    presence = herenow.AsyncPresence(url, resolution=0, timeout=10)
    made: dict[str, Streams] = {}

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        made["streams"] = Streams(presence, settings, notify=notify)
        yield
        await made["streams"].close()
        await presence.aclose()

    async def events(request: Request) -> Response:
        query = request.query_params
        try:
            who = query.get("who")
            identity = None
            if who is not None:
                kind: Any = query.get("kind")
                identity = Identity(who, kind, query.get("session", ""))
            return await made["streams"].open(
                query.getlist("room") or ["site"],
                users=query.getlist("user") or None,
                include_hidden="hidden" in query,
                after=request.headers.get("last-event-id"),
                identity=identity,
            )
        except herenow.TooManySessions as error:
            return PlainTextResponse(str(error), 409)
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        except TooManyStreams as error:
            return PlainTextResponse(str(error), 503)

    async def count(_: Request) -> Response:
        streams = made["streams"]
        feeds = [len(one._sides) for one in streams._feeds.values()]
        return JSONResponse({"open": streams.count, "feeds": feeds, **happened})

    before = [Middleware(BaseHTTPMiddleware, dispatch=_passing)] * 2 if behind else []
    routes = [Route("/events", events), Route("/count", count)]
    return Starlette(routes=routes, lifespan=lifespan, middleware=before)


if __name__ == "__main__":
    how = json.loads(sys.argv[2])
    app = application(sys.argv[1], behind=how.pop("behind", False), settings=StreamSettings(**how))
    config = uvicorn.Config(app, log_level="warning", lifespan="on", ws="none")
    listening = socket.socket(proto=socket.IPPROTO_TCP)  # or asyncio leaves Nagle's delay on
    listening.bind(("127.0.0.1", 0))
    listening.listen(4096)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listening])
