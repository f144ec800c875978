"""No process outlives the one that started it, not even by kill -9.

A watchdog, one a test process, reads a pipe that only we hold; when we are gone
the kernel closes it, and the watchdog kills what was told and not taken back.
PDEATHSIG would do so in fewer lines, but it fires when the *thread* that started
the server ends.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import subprocess
import sys

_PROGRAM = """
import os, shutil, signal, sys
alive = {}
for line in sys.stdin:
    sign, pid, directory = line.rstrip("\\n").split(" ", 2)
    alive[int(pid)] = directory
    if sign == "-":
        del alive[int(pid)]
for pid, directory in alive.items():
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if directory:
        shutil.rmtree(directory, ignore_errors=True)
"""


def watch(pid: int, directory: str = "") -> None:
    """Kill ``pid`` and remove ``directory`` (if any) should this process end before ``unwatch``."""
    _tell(f"+ {pid} {directory}\n")


def unwatch(pid: int) -> None:
    """Take it back; to be called before ``pid`` is reaped, while it cannot be anybody else's."""
    _tell(f"- {pid} \n")


def _tell(line: str) -> None:
    os.write(_pipe(), line.encode())  # below PIPE_BUF: whole, whatever thread writes


@functools.cache
def _pipe() -> int:
    reading, writing = os.pipe()
    watchdog = subprocess.Popen(
        [sys.executable, "-IS", "-c", _PROGRAM], stdin=reading, start_new_session=True
    )
    os.close(reading)

    def end(owner: int = os.getpid()) -> None:
        os.close(writing)
        if os.getpid() == owner:  # a forked child may hold the pipe open: do not wait for it long
            with contextlib.suppress(subprocess.TimeoutExpired):
                watchdog.wait(60)

    atexit.register(end)
    return writing
