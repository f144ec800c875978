"""The program on a terminal: a pty as its standard output, its standard error, or both."""

import contextlib
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

from tests.cli.conftest import environment


def on_terminal(
    place: Path, *arguments: str, out: bool = True, err: bool = False
) -> tuple[int, str, str]:
    """Run it to its end; its exit code, what the terminal got, and what went elsewhere."""
    master, slave = pty.openpty()
    got: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(master, 65_536):
                got.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with subprocess.Popen(
        [sys.executable, "-m", "herenow", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=slave if out else subprocess.PIPE,
        stderr=slave if err else subprocess.PIPE,
        cwd=place,
        env=environment(TERM="xterm-256color", COLUMNS="100"),
    ) as program:
        os.close(slave)
        elsewhere = program.communicate(timeout=100)
    reader.join(60)
    os.close(master)
    rest = b"".join(one for one in elsewhere if one)
    return program.returncode, b"".join(got).decode(), rest.decode()
