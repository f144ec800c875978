"""What the tests of the adapter share: a real store, apps on it, sites as processes, visitors."""

import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask import Flask, session
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

import herenow
from herenow.flask import HereNow
from tests.servers import HOST, Server, unwatch, watch
from tests.waiting import poll

ROOT = Path(__file__).parents[2]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
_SOURCE = Path(herenow.__file__).parents[1]


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("HERENOW_") or name == "ONLINE_LAST_MINUTES":
            monkeypatch.delenv(name)


@pytest.fixture
def url(server: Server) -> str:
    """The URL of an empty store."""
    return server.url


@pytest.fixture
def site(url: str, tmp_path: Path) -> Iterator[Callable[..., tuple[Flask, HereNow]]]:
    """Make an app with herenow on the store; keywords are HereNow's, ``config`` the app's."""
    made: list[tuple[Flask, HereNow]] = []

    def make(config: dict[str, Any] | None = None, **keywords: Any) -> tuple[Flask, HereNow]:
        app = Flask(f"app{len(made)}", instance_path=str(tmp_path))
        app.config.update(config or {})
        app.add_url_rule("/", "index", lambda: "hello")
        if "url" not in keywords:  # a healthy one, however slow this machine is
            keywords |= {"url": url, "timeout": keywords.get("timeout", 5)}
        made.append((app, HereNow(app, **keywords)))
        return made[-1]

    yield make
    for app, here in made:
        with app.app_context():
            here.presence.close()


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, user_id: str) -> None:
        self.id = user_id


@pytest.fixture
def members(site: Callable[..., tuple[Flask, HereNow]]) -> Callable[..., tuple[Flask, HereNow]]:
    """Make a site with a login; ``late`` sets Flask-Login up after herenow."""

    def make(late: bool = False, **keywords: Any) -> tuple[Flask, HereNow]:
        keywords.setdefault("buffered", False)
        app, here = site({"SECRET_KEY": "secret"}, **keywords)
        manager = LoginManager(app)
        if not late:  # hooks on the response run in the opposite order
            app.after_request_funcs[None].reverse()
        manager.user_loader(User)
        app.add_url_rule("/in/<user>", "in", lambda user: str(login_user(User(user))))
        app.add_url_rule("/remember/<user>", "remember", remember)
        app.add_url_rule("/out", "out", lambda: str(logout_user()))
        app.add_url_rule("/clear", "clear", clear)
        app.add_url_rule("/me", "me", lambda: str(current_user.get_id()))
        app.add_url_rule("/basket", "basket", lambda: str(session.get("basket")))
        app.add_url_rule("/who", "who", lambda: repr(here.visitor))
        app.add_url_rule("/count", "count", lambda: repr(here.counts()))
        return app, here

    return make


def clear() -> str:
    session.clear()
    return "out"


def remember(user: str) -> str:
    return str(login_user(User(user), remember=True))


def browser(app: Flask, agent: str = FIREFOX, address: str = "10.0.0.1") -> Any:
    client = app.test_client()
    client.environ_base.update(HTTP_USER_AGENT=agent, REMOTE_ADDR=address)
    return client


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory; whatever process still works in it or below at the end fails the test."""
    with tempfile.TemporaryDirectory(prefix="hn-", ignore_cleanup_errors=True) as made:
        place = Path(made).resolve()
        yield place
        poll(lambda: not working_in(place), f"the end of all that works in {place}")


def working_in(directory: Path) -> list[psutil.Process]:
    """List the processes whose working directory that is, or one below it."""
    found = []
    for process in psutil.process_iter():
        try:
            where = Path(process.cwd().removesuffix(" (deleted)"))
        except psutil.Error:
            continue
        if where == directory or directory in where.parents:
            found.append(process)
    return found


class Program:
    """A Python program of ours, as a process; its output goes to a file beside ``place``."""

    def __init__(self, place: Path, *arguments: str, **environment: str) -> None:
        self._output = place / f"output-{len(list(place.glob('output-*')))}"
        path = os.pathsep.join([str(_SOURCE), str(ROOT)])
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(place), **environment},
                start_new_session=True,
            )
        watch(self.process.pid)

    @property
    def output(self) -> str:
        return self._output.read_text()

    def said(self, pattern: str, seconds: float = 60) -> str:
        """Wait until the output has it; its first group."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.output)):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)
        return str(match[1])

    def stop(self, signal: int) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(signal)
        return self.process.wait(60)

    def close(self) -> None:
        unwatch(self.process.pid)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def run(place: Path) -> Iterator[Callable[..., Program]]:
    """Start a program; it ends with the test at the latest."""
    started: list[Program] = []

    def run(*arguments: str, **environment: str) -> Program:
        started.append(Program(place, *arguments, **environment))
        return started[-1]

    yield run
    for program in started:
        program.close()


class Visitor:
    """Somebody at an address of the loopback network, with a browser's cookies."""

    def __init__(self, port: int | str, address: str = HOST) -> None:
        self.address = address
        self._port = int(port)
        self._cookie = ""

    def get(self, path: str = "/", form: str | None = None) -> str:
        """Ask for a page, or post a form and follow where it leads."""
        connection = http.client.HTTPConnection(
            HOST, self._port, timeout=60, source_address=(self.address, 0)
        )
        headers = {"Cookie": self._cookie} if self._cookie else {}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request("GET" if form is None else "POST", path, form, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        self._cookie = (answer.headers["Set-Cookie"] or self._cookie).partition(";")[0]
        if form is not None:
            assert answer.status == 303, text
            return self.get(answer.headers["Location"] or "")
        assert answer.status == 200, text
        return text

    def online(self) -> list[str]:
        """Read the recipe's page."""
        label, _, names = self.get("/online?limit=500").partition(": ")  # by default a hundred
        assert label == "Online"
        return names.split(", ")
