"""The scripts: one an operation, each with what it includes, as the text and its SHA-1.

A script's header lists KEYS, ARGV and the reply. A line ``--#include parts/x.lua`` stands for that
file: a script sent to the store must be whole.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PRELUDE = ""
"""Put before every script. Empty; the tests put a check of the declared keys there."""

READING = frozenset(
    [
        "active",
        "count",
        "events",
        "explain",
        "list",
        "lookup",
        "now",
        "page",
        "peak",
        "read_to",
        "recent",
        "rooms",
        "rooms_of",
        "samples",
        "snapshot",
        "uniques",
        "watched",
    ]
)
"""The scripts that only read: to run one twice changes nothing."""

_FOLDER = files(__name__)  # here, not at the first use: it imports, and a fork may come into that
_INCLUDE = re.compile(r"^--#include (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script as it is sent; the store keeps it under the SHA-1 of its text."""

    name: str
    text: str
    sha: str
    reads: bool


@cache
def load(name: str) -> Script:
    """Read the script ``name``.lua, once a process."""

    def read(path: str) -> str:
        text = _FOLDER.joinpath(path).read_text(encoding="utf-8")
        return _INCLUDE.sub(lambda found: read(found[1]), text)

    text = PRELUDE + read(f"{name}.lua")
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name, text, sha, name in READING)
