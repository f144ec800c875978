"""The guard at the service's edge: sizes are bounded, a token never stays in a query, paths stay encoded.

Plain ASGI, before everything else, so that nothing behind it meets more than it can bear. A path is
routed as it was sent, percent-encoded, so that a name may hold a slash.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

from herenow.service.parameters import decode
from herenow.service.problems import ProblemError, respond

MAX_HEADERS: Final = 16_384
MAX_PATH: Final = 2_048
MAX_QUERY: Final = 60_000
"""500 users of a hundred letters each; servers take little more in a request's head."""
TAKEN: Final = "herenow.token"


class Guard:
    """Lets a request in, or says why not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            inner = {**scope, "path": _path(scope), TAKEN: _take_token(scope)}
            inner["query_string"] = scope["query_string"]
            _check(scope)
        except ProblemError as problem:
            await respond(problem)(scope, receive, send)
            return
        await self._app(inner, receive, send)


def _path(scope: Mapping[str, Any]) -> str:
    raw = scope.get("raw_path")
    path = quote(scope["path"]) if raw is None else raw.decode("latin-1")
    if len(path) > MAX_PATH:
        raise ProblemError(414, f"a path has at most {MAX_PATH} bytes")
    return path


def _check(scope: Mapping[str, Any]) -> None:
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
        raise ProblemError(431, f"the headers have at most {MAX_HEADERS} bytes")
    if len(scope["query_string"]) > MAX_QUERY:
        raise ProblemError(414, f"a query has at most {MAX_QUERY} bytes")


def _take_token(scope: Any) -> str | None:
    """Take a token out of the query, where the server that logs it looks: in its own scope."""
    query: bytes = scope["query_string"]
    if b"token" not in query:
        return None
    tokens: list[bytes] = []
    kept: list[bytes] = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        (tokens if name == b"token" else kept).append(value if name == b"token" else part)
    scope["query_string"] = b"&".join(kept)
    if len(tokens) > 1:
        raise ProblemError(400, "token comes at most once")
    return decode(tokens[0].decode("latin-1")) if tokens else None
