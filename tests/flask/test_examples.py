"""The examples as a reader would run them: processes, a browser's cookies, a real worker."""

import http.cookiejar
import re
import signal
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

import herenow
from tests.flask.conftest import ROOT, Program
from tests.servers import Server
from tests.waiting import poll

Run = Callable[..., Program]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.mark.parametrize("name", ["flask_recipe", "flask_login", "celery_notify"])
def test_an_example_is_under_a_hundred_lines(name: str) -> None:
    assert len((ROOT / f"examples/{name}.py").read_text().splitlines()) < 100


class Browser:
    """Somebody with cookies, who follows where a form leads."""

    def __init__(self, base: str, agent: str = FIREFOX) -> None:
        self._base = base
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self._opener.addheaders = [("User-Agent", agent)]

    def get(self, path: str = "/", form: dict[str, str] | None = None) -> str:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        with self._opener.open(self._base + path, data, timeout=10) as answer:
            return str(answer.read().decode())

    def sees(self) -> tuple[str, list[str]]:
        """Who is online, as the page has it."""
        page = self.get()
        heading = re.search(r"<h1>(.*)</h1>", page)
        assert heading
        return heading[1], re.findall(r"<li>(\w+), ", page)


def test_flask_login(run: Run, place: Path) -> None:
    program = run(
        *["-m", "flask", "--app", "examples.flask_login", "run", "--port", "0"],
        HERENOW_URL=f"embedded://{place / 'store'}",
    )
    base = program.said(r"Running on (http://127\.0\.0\.1:\d+)")
    one, other = Browser(base), Browser(base, FIREFOX + " another")
    assert one.sees() == ("0 members, 1 guests", [])
    one.get("/in/1", {})
    assert one.sees() == ("1 members, 0 guests", ["Alice"])
    assert other.sees() == ("1 members, 1 guests", ["Alice"])
    other.get("/in/2", {"remember": "1"})
    assert sorted(other.sees()[1]) == ["Alice", "Bob"]
    one.get("/hide", {})
    assert one.sees() == ("1 members, 0 guests", ["Bob"])
    assert other.sees() == ("1 members, 0 guests", ["Bob"])
    one.get("/show", {})
    assert sorted(other.sees()[1]) == ["Alice", "Bob"]
    one.get("/out", {})
    assert other.sees() == ("1 members, 1 guests", ["Bob"])
    Browser(base, "curl/8").get("/")
    assert other.sees() == ("1 members, 1 guests", ["Bob"])
    assert other.get("/online") == "Online: Bob"
    program.stop(signal.SIGINT)


def test_celery_notify(run: Run, place: Path, server: Server) -> None:
    outbox = place / "outbox"
    program = run(
        *["-m", "celery", "--app", "examples.celery_notify", "worker", "--pool", "solo"],
        *["--without-gossip", "--without-mingle", "--loglevel", "INFO"],
        HERENOW_URL=server.url,
        CELERY_BROKER_URL=server.url,
        OUTBOX=str(outbox),
    )
    with herenow.Presence(server.url, timeout=5) as presence:
        presence.mark_online("alice")
        presence.mark_online("bob", away=True)
        presence.mark_online("carol")
        presence.mark_offline("carol")
    program.said(r"(celery@\S+ ready)")
    code = "from examples.celery_notify import notify; notify.delay(%r, 'Hello')"
    send = run(
        *["-c", code % ["alice", "bob", "carol", "dave"]],
        HERENOW_URL=server.url,
        CELERY_BROKER_URL=server.url,
    )
    assert send.process.wait(60) == 0, send.output
    told = program.said(r"succeeded in \S+: (\{.*\})")
    assert told == "{'page': ['alice'], 'mail': ['bob', 'carol'], 'nobody': ['dave']}"
    poll(lambda: len(list(outbox.iterdir())) == 2, "the mails")
    assert (outbox / "bob.txt").read_text() == "Hello\n"
    program.stop(signal.SIGTERM)
    server.control.flushall()  # the broker's own keys have no TTL
