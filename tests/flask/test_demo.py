"""`examples/demo.py` as a newcomer meets it: a process, its one line, its page, its end."""

import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flask.conftest import Program, Visitor, working_in
from tests.servers import HOST, poll

Run = Callable[..., Program]
LINE = r"http://127\.0\.0\.1:(\d+)\n"
DEMO = "examples/demo.py"


def people(page: str) -> list[tuple[str, str]]:
    """Read who is on the page: name, and "online" or "gone"; "you" beside one's own."""
    rows = re.findall(
        r'<li( class="on")?>.*?<span>(.*?)</span>(.*?)<small>(.*?)</small>', page, re.DOTALL
    )
    assert all(re.fullmatch(r"just now|\d+ (s|min) ago", ago) for _, _, _, ago in rows)
    return [
        (name + (" (you)" if "you" in you else ""), "online" if on else "gone")
        for on, name, you, _ in rows
    ]


@pytest.fixture
def demo(run: Run) -> Program:
    return run(DEMO, PORT="0")


def test_two_visitors_see_one_another(demo: Program) -> None:
    port = demo.said(LINE)
    one, other = Visitor(port), Visitor(port, "127.0.0.2")
    assert people(one.get()) == [("127.0.0.1 (you)", "online")]
    assert people(other.get()) == [("127.0.0.1", "online"), ("127.0.0.2 (you)", "online")]
    assert people(one.get()) == [("127.0.0.1 (you)", "online"), ("127.0.0.2", "online")]
    assert other.get("/online") == "Online: 127.0.0.2, 127.0.0.1"


def test_two_browsers_at_one_address_are_two_birds(demo: Program) -> None:
    port = demo.said(LINE)
    one, other = Visitor(port), Visitor(port)
    one.get()
    page = one.get("/be", form="bird=Wren")
    assert people(page) == [("Wren (you)", "online"), ("127.0.0.1", "gone")]
    page = other.get("/be", form="bird=Heron")
    assert people(page)[:2] == [("Heron (you)", "online"), ("Wren", "online")]
    assert "<b>2</b> online now" in page
    page = one.get("/be", form="bird=Robin")
    assert people(page)[:2] == [("Heron", "online"), ("Robin (you)", "online")]
    assert ("Wren", "gone") in people(page)


def test_there_are_no_other_birds(demo: Program) -> None:
    visitor = Visitor(demo.said(LINE))
    for bird in ("Dodo", "", "<script>"):
        assert people(visitor.get("/be", form=f"bird={bird}")) == [("127.0.0.1 (you)", "online")]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_nothing_else_and_leaves_nothing(
    demo: Program, place: Path, how: signal.Signals
) -> None:
    Visitor(demo.said(LINE)).get()
    assert re.fullmatch(LINE, demo.output)
    assert len(working_in(place)) == 2  # the store and its supervisor
    assert demo.stop(how) == 0
    poll(lambda: not working_in(place), "the end of the store", 10)
    assert re.fullmatch(LINE, demo.output)
    assert not list(place.glob("herenow-*/*.aof"))


def test_a_port_that_is_taken_is_one_line(run: Run) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        program = run(DEMO, PORT=str(port))
        assert program.process.wait(20) == 1
    assert program.output == (
        f"port {port} cannot be had: Address already in use; name another, or PORT=0 for any\n"
    )


@pytest.mark.parametrize("port", ["", "http", "70000", "-1"])
def test_a_port_that_is_none_is_one_line(run: Run, port: str) -> None:
    program = run(DEMO, PORT=port)
    assert program.process.wait(20) == 1
    assert program.output == f"PORT is a number from 0 to 65535, not {port!r}\n"
