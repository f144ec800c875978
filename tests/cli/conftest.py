"""What the tests of the command line share: the program, on real stores.

``call`` and ``ask`` run it in this process, which is many times faster; ``start`` starts a process, for
tests of what belongs to one: its imports, locale, signals.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO
from unittest import mock

import pytest

import herenow
from herenow.cli import program
from tests.servers import Server

ROOT = Path(__file__).parents[2]
SOURCE = Path(herenow.__file__).parents[1]


@dataclass(frozen=True)
class Done:
    """How a call of the program ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """The environment of a call: no setting comes from whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HERENOW_")}
    for name in ("NO_COLOR", "ONLINE_LAST_MINUTES", "COLUMNS", "FORCE_COLOR"):
        kept.pop(name, None)
    return {**kept, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "error", **more}


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty working directory."""
    with tempfile.TemporaryDirectory(prefix="hn-", ignore_cleanup_errors=True) as made:
        yield Path(made).resolve()


Call = Callable[..., Done]


@pytest.fixture
def start(place: Path) -> Call:
    """Start the program as a process, with no store named, and wait for its end."""

    def start(*arguments: str, stdin: str = "", **more: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "herenow", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=place,
            env=environment(**{"XDG_STATE_HOME": str(place / "state"), **more}),
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return start


def in_this_process(
    arguments: list[str], stdin: TextIO, out: TextIO, err: TextIO, more: dict[str, str]
) -> int:
    """Run the program here, with these streams and settings; its exit code."""
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        with (
            mock.patch.dict(os.environ, environment(**more), clear=True),
            mock.patch.multiple(sys, stdin=stdin, stdout=out, stderr=err),
        ):
            code = program.run(arguments)
            out.flush()
            err.flush()
            return code
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)


def run(*arguments: str, stdin: str | bytes = "", **more: str) -> Done:
    """Run the program in this process, to its end."""
    given = BytesIO(stdin if isinstance(stdin, bytes) else stdin.encode())
    stdin_, out, err = (
        TextIOWrapper(one, encoding="utf-8") for one in (given, BytesIO(), BytesIO())
    )
    code = in_this_process(list(arguments), stdin_, out, err, more)
    out.seek(0)
    err.seek(0)
    return Done(code, out.read(), err.read())


@pytest.fixture
def call(place: Path) -> Call:
    """Run the program in this process, with no store named."""

    def call(*arguments: str, stdin: str = "", **more: str) -> Done:
        with contextlib.chdir(place):
            more = {"XDG_STATE_HOME": str(place / "state"), **more}
            return run(*arguments, stdin=stdin, **more)

    return call


@pytest.fixture
def ask(call: Call, server: Server) -> Call:
    """Run the program in this process, on the server of the test."""

    def ask(*arguments: str, **more: Any) -> Done:
        return call(*arguments, HERENOW_URL=server.url, **more)

    return ask
