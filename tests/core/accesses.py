"""Which part of a script reads and writes which keys: recorded by the scripts themselves, as they run.

A shim around `redis.call` notes the key, and the line that called: where an error raised there would be.
Lines are found again in the files that a script was put together from.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest.mock import patch

from herenow import lua
from tests.servers import Server

FOLDER = Path(str(files(lua)))
FILES = sorted(str(one.relative_to(FOLDER)) for one in FOLDER.rglob("*.lua"))
NOTED = "noted by the shim"
SHIM = """
local real = redis
local redis = setmetatable({}, {__index = real})
local function noting(call) return function(command, ...)
  if command ~= 'TIME' and command ~= 'INFO' then
    local _, at = pcall(error, '', 3)
    local line = tostring(string.match(at, ':(%d+):'))
    real.call('SADD', 'NOTED', 'SCRIPT ' .. line .. ' ' .. command .. ' ' .. (...))
  end
  return call(command, ...)
end end
redis.call, redis.pcall = noting(real.call), noting(real.pcall)
""".replace("\n", " ")


def lines_of(path: str) -> list[tuple[str, str]]:
    """The lines of a file with all that it includes, each with the file that it is of."""
    found = []
    for line in (FOLDER / path).read_text().split("\n"):
        included = re.fullmatch(r"--#include (\S+)", line)
        if included:
            inner = lines_of(included[1])
            found += inner[:-1]  # what ends a file begins the next line
            if inner[-1][1] == "":
                found.append((path, ""))
        else:
            found.append((path, line))
    return found


class Recording:
    """What scripts do: of each file, the families of keys that it reads and those that it writes."""

    def __init__(self, server: Server) -> None:
        self.control = server.control
        self.scripts = {name: lines_of(name) for name in FILES if "/_" not in name}
        self.reads: dict[str, set[str]] = defaultdict(set)
        self.writes: dict[str, set[str]] = defaultdict(set)
        about = self.control.command()
        self.writing = {name for name, one in about.items() if "write" in one["flags"]}

    def collect(self) -> None:
        """Take what was noted; to be called before the store is emptied."""
        notes: Any = self.control.smembers(NOTED)
        for note in notes:
            script, line, command, key = note.decode().split(" ", 3)
            family = re.match(r"[a-z-]+", key.rpartition("}:")[2].removeprefix("herenow:"))
            if line != "nil" and family and not command.endswith("PUBLISH"):
                path = self.scripts[script][int(line) - 1][0]
                side = self.writes if command.lower() in self.writing else self.reads
                side[path].add(family[0])
        self.control.delete(NOTED)


@contextmanager
def recording(server: Server) -> Iterator[Recording]:
    """Record what scripts do meanwhile."""
    found = Recording(server)
    names = {"\n".join(line for _, line in lines): name for name, lines in found.scripts.items()}
    with_places = lua._with_places

    def noted(text: str, lists: Any) -> str:
        shim = SHIM.replace("NOTED", NOTED).replace("SCRIPT", names[text])
        return shim + with_places(text, lists)

    with patch.object(lua, "_with_places", noted), patch.object(lua, "PRELUDE", ""):
        lua.load.cache_clear()
        yield found
    lua.load.cache_clear()
    found.collect()


def declared(path: str) -> tuple[set[str], set[str]]:
    """What a file says that it reads and writes."""
    text = (FOLDER / path).read_text()
    found = re.search(r"^-- reads: (.+)\n-- writes: (.+)$", text, re.MULTILINE)
    assert found, f"{path} does not say what it reads and writes"
    return set(found[1].split()) - {"nothing"}, set(found[2].split()) - {"nothing"}
