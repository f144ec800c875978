"""What the tests of the service share: the application around a real store, `herenow serve` running."""

import contextlib
import os
import re
import signal
import subprocess
import sys
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

SECRET = "only-for-tests-0123456789"
API_KEY = "a-key-for-tests-0123456789"


def token(user: str | None = None, **how: Any) -> str:
    """A token that the tests' service believes."""
    return herenow.sign_token(user, secret=SECRET, **how)


def bearer(credential: str | None) -> dict[str, str]:
    """The header that shows a credential."""
    return {} if credential is None else {"Authorization": f"Bearer {credential}"}


@pytest.fixture
async def service(server: Server) -> AsyncIterator[Service]:
    """The application, around the server of the test."""
    presence = herenow.AsyncPresence(server.unix_url, resolution=0)
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
    """A `herenow serve` that runs, at ``address``."""

    def __init__(
        self, place: Path, url: str, options: tuple[str, ...], more: dict[str, str]
    ) -> None:
        settings = {"HERENOW_SECRET": SECRET, "HERENOW_API_KEY": API_KEY, "HERENOW_URL": url}
        self.log = place / f"serve-{id(self)}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "herenow", "serve", "--port", "0", *options],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=place,
                env=environment(
                    **{name: value for name, value in {**settings, **more}.items() if value}
                ),
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + self.log.read_text()
        self.address = found[0].rstrip("/")

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        code = self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code
