"""Problems: how the service says no. RFC 9457 (application/problem+json), for every error it makes.

A problem's ``type`` is about:blank, so its ``title`` is that of the HTTP status; ``detail`` names the
rule. Nothing of the store's own words goes out: they may name hosts.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from herenow.errors import StoreError

TYPE: Final = "application/problem+json"
HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_RETRY_STORE: Final = "2"


class ProblemError(Exception):
    """An answer that says no: its status, the rule, and headers that belong to it."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more


def respond(problem: ProblemError) -> Response:
    """Make the answer."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **problem.more,
    }
    body = json.dumps(content, ensure_ascii=True).encode()
    return Response(body, problem.status, {**HEADERS, **problem.headers}, TYPE)


def of_store(_: StoreError) -> ProblemError:
    """Say that the store does not answer: try again, nothing was lost that was confirmed."""
    return ProblemError(503, "the store does not answer", {"Retry-After": _RETRY_STORE})


def unauthorized(detail: str, *, invalid: bool) -> ProblemError:
    """Say that this needs a credential, or (``invalid``) that the one given is none (RFC 6750)."""
    error = ', error="invalid_token"' if invalid else ""
    return ProblemError(401, detail, {"WWW-Authenticate": f'Bearer realm="herenow"{error}'})


def forbidden(detail: str) -> ProblemError:
    """Say that this credential does not reach so far."""
    return ProblemError(403, detail)
