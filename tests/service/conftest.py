"""What the tests of the service share: the application around a real store, `herenow serve` running."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import herenow
from herenow.service import Service, create_app
from tests.cli.conftest import environment
from tests.conftest import SERVER
from tests.servers import Server, binary, start_server
from tests.service import streaming_app
from tests.service.following import Following

SECRET = "only-for-tests-0123456789"
PATIENT = 10.0
"""Seconds for the store to answer, where a test is not of one that does not."""
API_KEY = "a-key-for-tests-0123456789"
APPLICATION = str(Path(streaming_app.__file__))


def token(user: str | None = None, **how: Any) -> str:
    """A token that the tests' service believes."""
    return herenow.sign_token(user, secret=SECRET, **how)


def bearer(credential: str | None) -> dict[str, str]:
    """The header that shows a credential."""
    return {} if credential is None else {"Authorization": f"Bearer {credential}"}


@pytest.fixture
def presence(server: Server) -> Iterator[herenow.Presence]:
    """A Presence that sends every mark, however long a busy machine takes for it."""
    with herenow.Presence(server.unix_url, resolution=0, timeout=PATIENT) as made:
        yield made


@pytest.fixture
async def service(server: Server) -> AsyncIterator[Service]:
    """The application, around the server of the test."""
    presence = herenow.AsyncPresence(server.unix_url, resolution=0, timeout=PATIENT)
    app = create_app(presence, secret=SECRET, api_key=API_KEY, rate_limit="1000000/second")
    yield app
    await app.aclose()


@pytest.fixture
async def api(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, with every right unless it says another."""
    transport = httpx.ASGITransport(app=service, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://service.test", headers=bearer(API_KEY)
    ) as client:
        yield client


@pytest.fixture
def frail() -> Iterator[Server]:
    """A server that the test may hang and kill."""
    with start_server(binary(SERVER)) as own:
        yield own


Serve = Callable[..., str]


@pytest.fixture
def serve(server: Server, tmp_path: Path) -> Iterator[Serve]:
    """Start `herenow serve` as a process; its address."""
    with contextlib.ExitStack() as running:

        def start(*options: str, **more: str) -> str:
            process = Process(tmp_path, server.unix_url, options, more)
            running.callback(process.stop)
            return process.address

        yield start


class Process:
    """A `herenow serve` that runs, at ``address``; ``by`` is the program that starts it."""

    def __init__(
        self,
        place: Path,
        url: str,
        options: tuple[str, ...],
        more: dict[str, str],
        by: tuple[str, ...] = (),
    ) -> None:
        settings = {"HERENOW_SECRET": SECRET, "HERENOW_API_KEY": API_KEY, "HERENOW_URL": url}
        settings["HERENOW_TIMEOUT"] = str(PATIENT)
        self.log = place / f"serve-{id(self)}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*by, sys.executable, "-m", "herenow", "serve", "--port", "0", *options],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=place,
                env=environment(
                    **{name: value for name, value in {**settings, **more}.items() if value}
                ),
                text=True,
                start_new_session=True,
            )
        self.address = self.link().rstrip("/")

    def link(self) -> str:
        """The address in the next line that it prints; one that prints no more is ended."""
        assert self.process.stdout is not None
        late = threading.Timer(60, self.process.kill)
        late.start()
        line = self.process.stdout.readline()
        late.cancel()
        found = re.search(r"http://\S+", line)
        assert found, line + self.log.read_text()
        return found[0]

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        code = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class Streaming:
    """A process that serves streams alone (`streaming_app`), at ``url``."""

    def __init__(self, store: str, log: Path, **settings: Any) -> None:
        self.log = log
        self._follows: list[Following] = []
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, APPLICATION, store, json.dumps(settings)],
                stdout=subprocess.PIPE,
                stderr=out,
                env=environment(),
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        port = self.process.stdout.readline().strip()
        assert port, log.read_text()
        self.port = int(port)
        self.url = f"http://127.0.0.1:{port}"

    def follow(self, last: str | None = None, rooms: Any = None, /, **params: Any) -> Following:
        """Open a stream; it is closed with the rest."""
        made = Following(self.url, params, last, rooms)
        self._follows.append(made)
        return made

    def count(self) -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(f"{self.url}/count", timeout=60).json()
        return told

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def close(self) -> None:
        try:
            for one in self._follows:
                one.close()
        finally:
            self.stop()
        told = self.log.read_text()
        assert "Traceback" not in told, told
        assert "ERROR" not in told, told


Stream = Callable[..., Streaming]


@pytest.fixture
def stream(server: Server, tmp_path: Path) -> Iterator[Stream]:
    """Start a process that serves streams of the test's server, or of another one, by these settings."""
    with contextlib.ExitStack() as running:

        def start(store: str = "", **settings: Any) -> Streaming:
            log = tmp_path / f"streams-{time.monotonic_ns()}.log"
            made = Streaming(store or server.unix_url, log, **{"interval": 0.2} | settings)
            running.callback(made.close)
            return made

        yield start
