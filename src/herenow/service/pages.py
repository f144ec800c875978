"""Pages: what a browser opens of the service, and how it logs in there.

The dashboard is one page, which holds no data and asks the service for it as whoever opens it. `herenow
token --admin` prints a link to it. The page trades the token behind its # for a cookie that no script
can read, and that is good for reading alone.
"""

import base64
import hashlib
import re
import time
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from herenow.service import shapes
from herenow.service.access import API_KEY, bearer
from herenow.service.calls import Call, Routes
from herenow.service.documents import Document
from herenow.service.problems import HEADERS, forbidden

PAGES: Final = Routes()
_PARTS: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@PAGES("GET", "/", "text/html", None)
async def dashboard(call: Call) -> Any:
    """The dashboard."""
    return _dashboard().respond(call.request)


@cache
def _dashboard() -> Document:
    """Read the page; its headers let it run its own script and nothing else."""
    text = files("herenow").joinpath("browser", "dashboard.html").read_text(encoding="utf-8")
    hashes = {name: _hash(part) for name, part in _PARTS.findall(text)}
    policy = (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Document(
        text.encode(),
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        },
    )


def _hash(part: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"


@PAGES("POST", "/v1/login", shapes.Login)
async def log_in(call: Call) -> Any:
    """Trade a token for a cookie, to read with.

    A page's scripts can't read it.
    """
    gate, asked = call.service.gate, call.request.scope
    shown = bearer(asked)
    if shown is None or call.access is API_KEY:
        raise forbidden("a token is traded; the API key is for servers")
    token, access = gate.trade(shown, call.access)
    answer = JSONResponse({"scope": access.scope}, headers=HEADERS)
    answer.set_cookie(
        gate.cookie_name(asked),
        token,
        max_age=max(1, int((access.until or 0) - time.time())),
        path=_root(call),
        secure=asked["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@PAGES("DELETE", "/v1/login", None, None, statuses=(HTTPStatus.NO_CONTENT,))
async def log_out(call: Call) -> Any:
    """Take that cookie away."""
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    answer.delete_cookie(call.service.gate.cookie_name(call.request.scope), path=_root(call))
    return answer


def _root(call: Call) -> str:
    return call.request.scope.get("root_path", "") or "/"


@PAGES("GET", "/openapi.json", dict, None)
async def description(call: Call) -> Any:
    """This description."""
    return call.service.described.respond(call.request)
