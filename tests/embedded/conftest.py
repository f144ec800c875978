"""Real user processes, and the rule that they leave nothing behind.

Both supervisor and server have the store's directory as their working directory: that is how they
are told from everybody else's.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import redis

import herenow.embedded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60.0
_PROGRAM = Path(__file__).with_name("user.py")
_SOURCE = Path(herenow.embedded.__file__).parents[2]


class User:
    """A process that uses an embedded server, and does as it is told."""

    def __init__(self, *options: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *options, str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_SOURCE), **env},
        )

    def send(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout
        said = json.loads(self.process.stdout.readline())
        assert isinstance(said, dict)
        return said

    def do(self, line: str) -> Any:
        self.send(line)
        said = self.receive()
        assert "error" not in said, said
        return said["answer"]

    def fail(self, line: str) -> tuple[str, str]:
        self.send(line)
        said = self.receive()
        return said["error"], said["message"]

    def leave(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def kill(self) -> None:
        self.process.kill()
        self.leave()


def opening(directory: Path | None, **options: object) -> str:
    """Write the line that opens a directory and answers the server's socket."""
    where = None if directory is None else str(directory)
    more = "".join(f", {name}={value!r}" for name, value in options.items())
    return (
        "from herenow.embedded import open_server\n"
        f"server = open_server({where!r}{more})\n"
        "answer = server.socket"
    )


def until(true: Callable[[], object], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def processes(directory: Path) -> list[psutil.Process]:
    """List supervisors and servers of this directory and of those below it."""
    found = []
    for process in psutil.process_iter():
        try:
            where = process.cwd().removesuffix(" (deleted)")
        except psutil.Error:
            continue
        inside = where == str(directory) or where.startswith(f"{directory}{os.sep}")
        if inside and process.pid != os.getpid():
            found.append(process)
    return found


def supervisors(directory: Path) -> list[psutil.Process]:
    return [each for each in processes(directory) if not _is_server(each)]


def servers(directory: Path) -> list[psutil.Process]:
    return [each for each in processes(directory) if _is_server(each)]


def _is_server(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name().endswith("-server")
    return False


def on(socket: str) -> redis.Redis:
    return redis.Redis(unix_socket_path=socket, socket_timeout=PATIENCE)


def server_pid(socket: str) -> int:
    with on(socket) as client:
        return int(client.info("server")["process_id"])


def counted(socket: str) -> int:
    with on(socket) as client:
        return int(client.incr("n"))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def place() -> Iterator[Path]:
    """A place with a short path; who still runs in it when the users are gone fails the test."""
    with tempfile.TemporaryDirectory(prefix="hn-", ignore_cleanup_errors=True) as made:
        place = Path(made).resolve()
        yield place
        deadline = time.monotonic() + PATIENCE
        while (left := processes(place)) and time.monotonic() < deadline:
            time.sleep(0.02)
        told = [str(process) for process in left]
        for process in left:
            process.kill()
        assert not told, "left behind"


@pytest.fixture
def directory(place: Path) -> Path:
    return place / "store"


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., User]]:
    started: list[User] = []

    def start(*options: str, **env: str) -> User:
        started.append(User(*options, **env))
        return started[-1]

    yield start
    for user in started:
        if user.process.poll() is None:
            user.kill()


@pytest.fixture
def opened(start: Callable[..., User], directory: Path) -> Callable[..., tuple[User, str]]:
    """Start a user who opens the directory; the user and the socket."""

    def opened(**options: object) -> tuple[User, str]:
        user = start()
        return user, user.do(opening(directory, **options))

    return opened
