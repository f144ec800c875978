"""The service as an ASGI application: Starlette's routing around `endpoints`.

For each request, in this order: the guard's sizes, the credential, the limits of its address and its
token, path and query and body, the right to call it with them, and then the handler. Every error is a
problem (`problems`), whoever makes it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from herenow.aio import AsyncPresence, asynchronous, observe
from herenow.errors import StoreError, TooManySessions
from herenow.outbox.port import AsyncPort
from herenow.presence import Presence
from herenow.service import parameters, problems
from herenow.service.access import API_KEY, OPEN, Access, Gate
from herenow.service.calls import Call, Endpoint
from herenow.service.documents import Document, json_bytes
from herenow.service.endpoints import ENDPOINTS
from herenow.service.guard import TAKEN, Guard
from herenow.service.metrics import Metrics
from herenow.service.openapi import describe
from herenow.service.problems import ProblemError
from herenow.service.rates import Rates, is_loopback
from herenow.service.streaming import Streams, StreamSettings
from herenow.web.json_form import json_form
from herenow.web.settings import Settings, read_settings

_log: Final = logging.getLogger("herenow")
_BODY_WITHIN: Final = 10.0
_SAFE: Final = ("GET", "HEAD")
_JSON: Final = {"Content-Type": "application/json"}
_NOBODY: Final = Access("read", rooms=frozenset())


class Service(Starlette):
    """The ASGI application that `create_app` makes; `aclose` ends it where no lifespan does."""

    def __init__(
        self,
        presence: AsyncPresence,
        settings: Settings,
        streams: StreamSettings | None,
        *,
        open_to_all: bool,
    ) -> None:
        self.presence = presence
        self.gate = Gate(settings.secret, settings.api_key, open_to_all=open_to_all)
        self.rates = Rates(settings.rate_limit)
        self.metrics = Metrics()
        observe(presence, self.metrics.observe)
        AsyncPort(presence).note_rooms()  # a site's adapter may ask which rooms users are in
        streams = streams or StreamSettings(
            max_streams=settings.max_streams,
            max_streams_per_address=settings.max_streams_per_address,
        )
        self.streams = Streams(presence, streams, notify=self.metrics.stream)
        self.metrics.streams_of(self.streams)
        written = json_bytes(describe(ENDPOINTS))
        self.openapi: parameters.Json = msgspec.json.decode(written)
        self.described = Document(written, {**problems.HEADERS, **_JSON})
        paths: dict[str, dict[str, Endpoint]] = {}
        for one in ENDPOINTS:  # a 405 names all verbs of a path
            paths.setdefault(one.path, {})[one.method] = one
        super().__init__(
            routes=[
                Route(path, partial(_answer, self, verbs), methods=list(verbs))
                for path, verbs in paths.items()
            ],
            middleware=[
                Middleware(  # the first, so that a page can read whatever is answered
                    CORSMiddleware,
                    allow_origins=list(settings.cors),
                    allow_methods=["GET", "PUT", "POST", "DELETE"],
                    allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
                    max_age=3600,
                ),
                Middleware(Guard),
            ],
            exception_handlers={
                ProblemError: _problem,
                StoreError: _store_problem,
                HTTPException: _http_problem,
                Exception: _unforeseen,
            },
            lifespan=_lifespan,
        )
        self.router.redirect_slashes = False  # a room's name may end in a slash

    def admit(self, request: Request, *, stream: bool) -> Access:
        """Tell what a caller may, and count the call.

        Of its address, and of its token: the API key is for servers, which have no limit. Raises a 401
        for no credential, or a bad one, and a 429 for one call too many.
        """
        cookie = None
        if request.method in _SAFE and "cookie" in request.headers:
            cookie = request.cookies.get(self.gate.cookie_name(request.scope))
        try:
            access = self.gate.admit(
                request.scope,
                query=request.scope[TAKEN] if stream else None,
                cookie=cookie,
            )
        except ProblemError:
            self.limit_address(request)
            raise
        if access is not API_KEY:
            self.limit_address(request)
        self.limit(access)
        return access

    def limit(self, access: Access) -> None:
        """Count a call of a token; a 429 for one too many."""
        if access is not API_KEY and access is not OPEN:
            self.rates.token(access.key)

    def limit_address(self, request: Request, *, probe: bool = False) -> None:
        """Count a request of an address; a 429 for one too many. This machine may probe without end."""
        peer = None if request.client is None else request.client.host
        if not (probe and peer is not None and is_loopback(peer)):
            self.rates.address(peer)

    async def aclose(self) -> None:
        """End the open streams, and close the connection to the store."""
        await self.streams.close()
        await self.presence.aclose()


def create_app(
    presence: AsyncPresence | Presence,
    *,
    secret: str | None = None,
    api_key: str | None = None,
    open_to_all: bool = False,
    cors: Iterable[str] | str | None = None,
    rate_limit: str | None = None,
    streams: StreamSettings | None = None,
) -> Service:
    """Make the service for a Presence, as an ASGI application; mount it where you like.

    A `Presence` made from a URL is asked through an `AsyncPresence` of its own. ``secret`` is what
    tokens are signed with (`herenow.sign_token`), ``api_key`` what servers show; else HERENOW_SECRET and
    HERENOW_API_KEY: one of them is needed, unless ``open_to_all`` lets whoever reaches the service read,
    mark and erase everything. ``cors`` are the origins whose pages may ask, ``rate_limit`` how often one
    token may, and an address ten times as often (see the settings of these names); the API key has no
    limit. ``streams`` says when streams of events send diffs and counts, and how many there may be (else
    HERENOW_MAX_STREAMS says that).
    Asks no store yet. Raises ValueError for a bad setting, or for neither secret nor key.
    """
    given = {"secret": secret, "api_key": api_key, "cors": cors, "rate_limit": rate_limit}
    settings = read_settings({name: one for name, one in given.items() if one is not None}, {})
    if settings.secret is None and settings.api_key is None and not open_to_all:
        raise ValueError(
            "HERENOW_SECRET and HERENOW_API_KEY are not set, so nobody could ask: set one, or both "
            "(secret=, api_key=); open_to_all=True lets everybody do everything"
        )
    if isinstance(presence, Presence):
        presence = asynchronous(presence)
    return Service(presence, settings, streams, open_to_all=open_to_all)


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    yield
    await app.aclose()


# ------------------------------------------------------------ one request


async def _answer(service: Service, verbs: Mapping[str, Endpoint], request: Request) -> Response:
    """Let a request in, read it, and have it answered by the route's function."""
    endpoint = verbs["GET" if request.method == "HEAD" else request.method]
    access = _NOBODY
    if endpoint.scope is not None:
        access = service.admit(request, stream=endpoint.stream)
    else:
        service.limit_address(request, probe=endpoint.probe)
    values = {
        one.name: one.read(parameters.decode(request.path_params[one.name]))
        for one in endpoint.path_parameters
    }
    values |= parameters.read_query(request.scope["query_string"], endpoint.query)
    if endpoint.body is not None:
        values |= parameters.read_body(await _body(request, endpoint), endpoint.body)
    endpoint.check(access, values)
    if endpoint.stream and request.method == "HEAD":
        return Response(media_type="text/event-stream")  # a stream is opened for readers alone
    try:
        answer = await endpoint.handler(Call(service, request, access), **values)
    except TooManySessions as error:
        raise ProblemError(409, str(error)) from None
    except (ValueError, ArithmeticError) as error:  # too large or too small to be reckoned with
        raise ProblemError(400, str(error)) from None
    if isinstance(answer, Response):
        return answer
    status, content = answer if isinstance(answer, tuple) else (HTTPStatus.OK, answer)
    body = json_bytes(json_form(content, hidden=access.sees_hidden()))
    return Response(body, status, {**problems.HEADERS, **_JSON})


async def _body(request: Request, endpoint: Endpoint) -> bytes:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", *(("text/plain",) if endpoint.plain else ())):
        raise ProblemError(415, f"the body must be application/json; got {kind!a:.80}")
    length = request.headers.get("content-length", "")
    too_large = ProblemError(413, f"the body must have at most {endpoint.max_body} bytes")
    if length.isdecimal() and int(length[:20]) > endpoint.max_body:
        raise too_large
    raw = bytearray()
    try:
        async with asyncio.timeout(_BODY_WITHIN):
            async for part in request.stream():
                raw += part
                if len(raw) > endpoint.max_body:
                    raise too_large
    except TimeoutError:
        raise ProblemError(408, f"the body did not come within {_BODY_WITHIN:g} s") from None
    except ClientDisconnect:
        raise ProblemError(400, "the body ended early") from None
    return bytes(raw)


# ------------------------------------------------------------ errors


def _problem(_: Request, error: Any) -> Response:
    return problems.respond(error)


def _store_problem(request: Request, error: Any) -> Response:
    _log.debug("%s: %s", request.scope["path"], error)
    return problems.respond(problems.of_store(error))


def _http_problem(request: Request, error: Any) -> Response:
    try:  # no route has counted it
        request.app.limit_address(request)
    except ProblemError as problem:
        return problems.respond(problem)
    detail = {404: "there is no such path", 405: "this path has other verbs"}
    text = detail.get(error.status_code, str(error.detail))
    return problems.respond(ProblemError(error.status_code, text, error.headers))


def _unforeseen(_: Request, __: Exception) -> Response:
    return problems.respond(ProblemError(500, "something went wrong here; the log tells what"))
