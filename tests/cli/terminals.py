"""The program on a terminal: a pty as its standard output, its standard error, or both."""

import contextlib
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

from tests.cli.conftest import environment, in_this_process

_TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "100"}


@contextlib.contextmanager
def _pty() -> Iterator[tuple[int, list[bytes]]]:
    """Open a terminal: the program's end, which is closed by then, and what was written there."""
    ours, theirs = pty.openpty()
    got: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(ours, 65_536):
                got.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield theirs, got
    finally:
        with contextlib.suppress(OSError):
            os.close(theirs)
        reader.join(60)
        os.close(ours)


def start_on_terminal(
    arguments: list[str],
    *,
    place: Path | None = None,
    out: bool = True,
    err: bool = True,
    **more: str,
) -> tuple[int, str, str]:
    """Run the program as a process; its exit code, what the terminal got, and what went elsewhere."""
    with (
        _pty() as (theirs, got),
        subprocess.Popen(
            [sys.executable, "-m", "herenow", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=theirs if out else subprocess.PIPE,
            stderr=theirs if err else subprocess.PIPE,
            cwd=place,
            env=environment(**_TERMINAL, **more),
        ) as program,
    ):
        os.close(theirs)
        elsewhere = program.communicate(timeout=100)
    rest = b"".join(one for one in elsewhere if one)
    return program.returncode, b"".join(got).decode(), rest.decode()


def on_terminal(arguments: list[str], **more: str) -> tuple[int, str]:
    """Run the program in this process, on a terminal; its exit code, and what the terminal got."""
    with (
        _pty() as (theirs, got),
        open(theirs, "w", encoding="utf-8", buffering=1) as terminal,  # noqa: PTH123 - a descriptor
    ):
        nothing = TextIOWrapper(BytesIO())
        code = in_this_process(arguments, nothing, terminal, terminal, {**_TERMINAL, **more})
    return code, b"".join(got).decode()
