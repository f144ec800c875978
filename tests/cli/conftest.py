"""What the tests of the command line share: the real program, as a process, on real stores."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import herenow
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
def call(place: Path) -> Call:
    """Call the program, with no store named, and wait for its end."""

    def call(*arguments: str, stdin: str = "", **more: str) -> Done:
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

    return call


@pytest.fixture
def ask(call: Call, server: Server) -> Call:
    """Call the program on the server of the test."""

    def ask(*arguments: str, **more: Any) -> Done:
        return call(*arguments, HERENOW_URL=server.url, **more)

    return ask
