"""The dashboard: one page, which holds no data and asks the service for it as whoever opens it.

`herenow token --admin` prints a link to it. The page trades the token behind its # for a cookie that no
script can read, and that is good for reading alone.
"""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Final

from herenow.service.documents import Document

_PARTS: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@cache
def page() -> Document:
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
