"""The scripts: one an operation, each with what it includes, as the text and its SHA-1.

A folder a noun: ``room`` what every write begins and ends with, and upkeep; ``sighting`` who comes, stays
and leaves; ``history`` what is sampled; ``reading`` what only reads: to run it twice changes nothing.
A file that begins with an underscore is a part, which scripts include.

A script opens with its lists, which Python and Lua share. What they name is replaced here, so that a name
costs nothing where it runs:

``--#keys ROOM UNIQUES`` and ``--#args WRITE user`` list KEYS and ARGV by name, in their order; capitals
stand for the lists below, ``users...`` for all that follow. ``KEYS.online_member`` is ``KEYS[2]`` then,
``ARGV.user`` is ``ARGV[9]``, and ``at(ARGV.user)`` is 9.

``--#fields stored window seq:shown`` lists fields of a hash: ``FIELDS.stored`` is their names, for HMGET,
and ``stored.seq_shown`` is ``stored[2]``.

``--#include room/_x.lua`` stands for that file: a script sent to the store must be whole.

From ``--#fast`` to ``--#end`` stands a fast path: what the lines after it do too. The oracle is compared
with the scripts as they are, and without these lines (`FAST`).
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple, TypeAlias

Argument: TypeAlias = bytes | str | int

PRELUDE = ""
"""Put before every script. Empty; the tests put a check of the declared keys there."""

FAST = True
"""Whether scripts have their fast paths: in all but some tests."""

ROOM: Final = (
    "meta",
    "online:member",
    "online:hidden",
    "online:guest",
    "online:bot",
    "last:member",
    "last:hidden",
    "sessions",
    "left",
    "events",
    "samples",
)
"""The keys of a room."""

UNIQUES: Final = ("uniques:member", "uniques:hidden", "uniques:guest", "uniques:bot")
"""Those of one day."""


class Write(NamedTuple):
    """What a script that writes is given first; times in milliseconds."""

    now: Argument
    """The clock, or "" for the store's."""
    window: int
    window_named: str
    """ "1" where this window is to be stored in the room; so with the others."""
    retention: int
    retention_named: str
    history: int
    """For how long history is kept, 0 for none."""
    history_named: str
    day: Argument
    """That of the uniques in KEYS, counted from 1970, or ""."""


class Look(NamedTuple):
    """What a script that reads a room is given first."""

    now: Argument
    window: int
    """The window and (below) the retention where the room has none."""
    asked: Argument
    """The window asked for, or "" for the room's."""
    retention: int


_LISTS: Final = {"ROOM": ROOM, "UNIQUES": UNIQUES, "WRITE": Write._fields, "LOOK": Look._fields}

_FOLDER = files(__name__)  # here, not at the first use: it imports, and a fork may come into that
_INCLUDE = re.compile(r"^--#include (\S+)$", re.MULTILINE)
_FAST_PATH = re.compile(r"^--#fast\n.*?^--#end\n", re.MULTILINE | re.DOTALL)
_FIELDS = re.compile(r"^--#fields (\w+) (.*)$", re.MULTILINE)
_PLACE = re.compile(r"at\((KEYS|ARGV)\.(\w+)\)")
_NAMED = re.compile(r"\b(KEYS|ARGV)\.(\w+)")


@dataclass(frozen=True, slots=True)
class Script:
    """A script as it is sent; the store keeps it under the SHA-1 of its text."""

    name: str
    text: str
    sha: str
    reads: bool
    keys: tuple[str, ...] = field(compare=False)
    args: tuple[str, ...] = field(compare=False)
    of_room: tuple[int, ...] = field(compare=False)
    """Where in `ROOM` those of its keys are that are a room's."""

    def order(
        self, *head: Argument, rest: Sequence[Argument] = (), **named: Argument
    ) -> tuple[Argument, ...]:
        """Put arguments in the order of the script's list, after its ``head`` and before its ``rest``."""
        wanted = self.args[len(head) : len(head) + len(named)]
        return (*head, *[named[name] for name in wanted], *rest)


@cache
def load(name: str) -> Script:
    """Read a script, as ``sighting/mark``, once a process."""

    def read(path: str) -> str:
        text = _FOLDER.joinpath(path).read_text(encoding="utf-8")
        text = text if FAST else _FAST_PATH.sub("", text)
        return _INCLUDE.sub(lambda found: read(found[1]), text)

    text = read(f"{name}.lua")
    lists = {"KEYS": _listed(text, "keys"), "ARGV": _listed(text, "args")}
    text = PRELUDE + _with_places(text, lists)
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    of_room = tuple(ROOM.index(key) for key in lists["KEYS"] if key in ROOM)
    folder, _, stem = name.partition("/")
    return Script(stem, text, sha, folder == "reading", lists["KEYS"], lists["ARGV"], of_room)


def _listed(text: str, what: str) -> tuple[str, ...]:
    found = re.search(rf"^--#{what}(.*)$", text, re.MULTILINE)
    words = found[1].split() if found else []
    return tuple(one for word in words for one in _LISTS.get(word, (word.removesuffix("..."),)))


def _with_places(text: str, lists: dict[str, tuple[str, ...]]) -> str:
    """Replace names by what they stand for; raises KeyError for one that is in no list."""
    places = {
        which: {re.sub(r"\W", "_", name): at for at, name in enumerate(names, 1)}
        for which, names in lists.items()
    }
    text = _PLACE.sub(lambda found: str(places[found[1]][found[2]]), text)
    text = _NAMED.sub(lambda found: f"{found[1]}[{places[found[1]][found[2]]}]", text)
    for table, names in _FIELDS.findall(text):
        fields = names.split()
        quoted = ", ".join(f"'{one}'" for one in fields)
        text = text.replace(f"FIELDS.{table}", quoted)
        text = re.sub(rf"\b{table}\.(\w+)", _place_of(table, fields), text)
    return text


def _place_of(table: str, fields: Sequence[str]) -> Callable[[re.Match[str]], str]:
    places = {one.replace(":", "_"): at for at, one in enumerate(fields, 1)}
    return lambda found: f"{table}[{places[found[1]]}]"
