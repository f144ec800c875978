"""The main job, for real: requests from several addresses, several workers, counted right."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.flask.conftest import Program, Visitor, working_in
from tests.waiting import poll

Run = Callable[..., Program]
WINDOW = 6.0
ADDRESSES = [f"127.0.0.{i}" for i in range(2, 10)]
GUNICORN = [
    "-m",
    "gunicorn",
    "examples.flask_recipe:app",
    "--bind",
    "127.0.0.1:0",
    "--workers",
    "4",
]
SERVED = ["--access-logfile", "-", "--access-logformat", "served by %(p)s"]
WSGI = [
    "-c",
    "import pyuwsgi, sys; pyuwsgi.run(sys.argv[1:])",
    "--module",
    "examples.flask_recipe:app",
]
UWSGI = [
    *[*WSGI, "--http-socket", "127.0.0.1:0", "--master", "--processes", "4", "--die-on-term"],
    *["--log-format", "served by <%(pid)>", "--socket-timeout", "10"],
]
WORKERS = {
    "sync": [*GUNICORN, *SERVED, "--worker-class", "sync"],
    "gthread": [*GUNICORN, *SERVED, "--worker-class", "gthread", "--threads", "4"],
    "gevent": [*GUNICORN, *SERVED, "--worker-class", "gevent"],
    "uwsgi": UWSGI,
    "uwsgi with threads": [*UWSGI, "--enable-threads", "--threads", "2"],
}
BOUND = r"(?:Listening at: http://|bound to TCP address )127\.0\.0\.1:(\d+)"


class Site:
    """The recipe's site under gunicorn or uWSGI, on an embedded store; and somebody who looks at it."""

    def __init__(self, run: Run, place: Path, worker: str) -> None:
        self.store = place / "store"
        self.program = run(
            *WORKERS[worker],
            HERENOW_URL=f"embedded://{self.store}",
            HERENOW_WINDOW=f"{WINDOW:g}s",
        )
        self.port = self.program.said(BOUND)
        self.looker = Visitor(self.port, "127.0.0.100")

    @property
    def served_by(self) -> set[int]:
        """The workers that have answered."""
        return set(map(int, re.findall(r"served by <(\d+)>", self.program.output)))

    def visit(self, times: int) -> None:
        """Let everybody ask for a page so often, all at once."""
        visitors = [Visitor(self.port, address) for address in ADDRESSES]
        with ThreadPoolExecutor(len(visitors)) as pool:
            answers = list(pool.map(Visitor.get, visitors * times))
        assert all(answer.startswith("Online now: ") for answer in answers)

    def until_listed(self, expected: Iterable[str], seconds: float) -> None:
        """Look until exactly these, and who looks, are listed, each once."""
        wanted = sorted([*expected, self.looker.address])
        poll(lambda: sorted(self.looker.online()) == wanted, f"the list {wanted}", seconds)


@pytest.mark.parametrize("worker", WORKERS)
def test_several_addresses_are_counted_right_across_workers(
    run: Run, place: Path, worker: str
) -> None:
    site = Site(run, place, worker)
    deadline = time.monotonic() + 30
    while len(site.served_by) < 2:
        assert time.monotonic() < deadline, "one worker serves them all"
        site.visit(2)
    site.until_listed(ADDRESSES, 2)
    assert site.looker.get() == f"Online now: {len(ADDRESSES) + 1}"

    assert ("uWSGI runs no threads" in site.program.output) is (worker == "uwsgi")

    # one worker killed: nobody is lost, and the site goes on
    os.kill(site.served_by.pop(), signal.SIGKILL)
    site.until_listed(ADDRESSES, 2)
    site.visit(1)
    last = time.monotonic()
    site.until_listed(ADDRESSES, 2)

    # all but who looks expire, when the window is over and not before
    for answer in iter(site.looker.online, [site.looker.address]):
        assert time.monotonic() - last < WINDOW + 1, answer
        time.sleep(0.1)
    assert time.monotonic() - last > WINDOW - 1

    # and nothing is left running
    everything = [site.program.process.pid, *site.served_by]
    assert working_in(site.store)
    assert site.program.stop(signal.SIGTERM) == 0
    poll(lambda: not working_in(site.store), "the end of the embedded server")
    assert not [pid for pid in everything if psutil.pid_exists(pid)]


def test_the_recipe_tells_of_one(run: Run, place: Path) -> None:
    program = run(
        *["-m", "flask", "--app", "examples/flask_recipe", "run", "--port", "0"],
        HERENOW_URL=f"embedded://{place / 'store'}",
        HERENOW_WINDOW="2s",
    )
    port = program.said(r"Running on http://127\.0\.0\.1:(\d+)")
    Visitor(port, "127.0.0.7").get()
    looker = Visitor(port)
    assert '"online":true' in looker.get("/seen/127.0.0.7")
    poll(lambda: '"online":false' in looker.get("/seen/127.0.0.7"), "the end of the window")
    assert " GMT" in looker.get("/seen/127.0.0.7")  # the user was seen, and is not online
    assert '"last seen":null' in looker.get("/seen/127.0.0.8")
    program.stop(signal.SIGINT)


def test_without_a_store_the_recipe_says_what_to_set(run: Run) -> None:
    program = run("-m", "flask", "--app", "examples/flask_recipe", "run", "--port", "0")
    assert program.process.wait(60) != 0
    assert "HERENOW_URL is not set: name the store" in program.output


def test_every_loopback_address_is_its_own(run: Run, place: Path) -> None:
    """A hundred visitors, twice each, in any order: a hundred and who looks."""
    site = Site(run, place, "gthread")
    addresses = [f"127.0.{i // 50 + 1}.{i % 50 + 1}" for i in range(100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: Visitor(site.port, one).get(), addresses * 2))
    site.until_listed(addresses, 2)
