"""Documents: JSON as the service writes it, and what it answers the same to everybody, made once."""

import gzip
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from herenow.web.escapes import json_text


def json_bytes(content: Any) -> bytes:
    """Write JSON that may be shown in a terminal too."""
    return json_text(msgspec.json.encode(content).decode()).encode()


class Document:
    """One of them: its bytes, and its headers."""

    def __init__(self, content: bytes, headers: Mapping[str, str]) -> None:
        self.content = content
        self.zipped: Final = gzip.compress(content, mtime=0)
        self._headers = {**headers, "Vary": "Accept-Encoding"}

    def respond(self, request: Request) -> Response:
        """Answer with it, compressed for whoever takes that."""
        if not _takes_gzip(request.headers.get("accept-encoding", "")):
            return Response(self.content, headers=self._headers)
        return Response(self.zipped, headers={**self._headers, "Content-Encoding": "gzip"})


def _takes_gzip(accepted: str) -> bool:
    for one in accepted.lower().split(","):
        name, _, weight = one.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or not weight
    return False
