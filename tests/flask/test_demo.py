"""`herenow demo` as a newcomer meets it: a process, its one line, its pages, its end."""

import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import herenow
from herenow.demo.content import MEMBERS, THREADS
from herenow.demo.crowd import Crowd
from tests.flask.conftest import Program, Visitor, working_in
from tests.servers import HOST, Server
from tests.waiting import poll

Run = Callable[..., Program]
LINE = r"http://127\.0\.0\.1:(\d+)\n"
DEMO = ("-m", "herenow", "demo")


def members(page: str) -> list[str]:
    """Read who is in the block: names; "you" beside one's own."""
    chips = re.findall(r'class="chip".*?</span><bdi>(\w+)</bdi>( <em>you</em>)?', page)
    return [name + (" (you)" if you else "") for name, you in chips]


def counts(page: str) -> str:
    found = re.search(r'class="counts">(.*?)</p>', page)
    return found[1] if found else "unknown"


@pytest.fixture
def demo(run: Run) -> Program:
    return run(*DEMO, PORT="0")


def test_two_members_see_one_another(demo: Program) -> None:
    port = demo.said(LINE)
    one, other = Visitor(port), Visitor(port, "127.0.0.2")
    assert members(one.get()) == []
    assert members(one.get("/login", form="member=wren")) == ["Wren (you)"]
    assert members(other.get("/login", form="member=heron")) == ["Heron (you)", "Wren"]
    assert members(one.get()) == ["Heron", "Wren (you)"]
    assert counts(one.get()).startswith("2 members, 0 hidden, 0 guests, 0 bots; most ever 2 on ")
    assert other.get("/online") == "Online: Heron, Wren"
    assert "Online now" in other.get("/member/wren")
    assert members(other.get("/logout", form="")) == ["Wren"]
    assert "Last seen: " in one.get("/member/heron")


def test_who_hides_has_left_for_the_others(demo: Program) -> None:
    port = demo.said(LINE)
    one, other = Visitor(port), Visitor(port, "127.0.0.2")
    one.get("/login", form="member=wren")
    one.get("/thread/1")
    other.get("/login", form="member=heron")
    assert members(other.get("/thread/1")) == ["Heron (you)", "Wren"]
    page = one.get("/hide", form="")
    assert "You are hidden" in page
    assert members(other.get()) == ["Heron (you)"]
    one.get()
    one.get("/thread/1")
    assert members(other.get("/thread/1")) == ["Heron (you)"]
    assert counts(other.get()).startswith("1 member, 1 hidden,")
    assert "Last seen: " in other.get("/member/wren")
    one.get("/hide", form="")
    assert members(other.get()) == ["Heron (you)", "Wren"]


def test_readers_of_a_thread(demo: Program) -> None:
    port = demo.said(LINE)
    one, other = Visitor(port), Visitor(port, "127.0.0.2")
    one.get("/login", form="member=wren")
    other.get("/login", form="member=heron")
    assert members(one.get("/thread/2")) == ["Wren (you)"]
    assert members(other.get("/thread/3")) == ["Heron (you)"]
    assert other.get().count(">1 reading<") == 2


def test_a_killed_store_takes_no_page_down_and_comes_back(demo: Program, place: Path) -> None:
    port = demo.said(LINE)
    visitor = Visitor(port)
    visitor.get("/login", form="member=wren")
    [store] = [one for one in working_in(place) if "valkey" in one.name()]
    store.send_signal(signal.SIGSTOP)
    for path in ("/", "/thread/1", "/member/wren", "/online"):
        assert "nknown" in visitor.get(path)
    store.kill()
    poll(lambda: members(visitor.get()) == ["Wren (you)"], "the store")
    assert psutil.pid_exists(demo.process.pid)


def test_there_are_no_other_birds(demo: Program) -> None:
    visitor = Visitor(demo.said(LINE))
    for bird in ("dodo", "", "<script>"):
        with pytest.raises(AssertionError, match="400 Bad Request"):
            visitor.get("/login", form=f"member={bird}")
    for path in ("/member/dodo", "/thread/99"):
        with pytest.raises(AssertionError, match="404 Not Found"):
            visitor.get(path)


def test_visitors_come_read_and_leave(run: Run) -> None:
    visitor = Visitor(run(*DEMO, "--visitors", "40", PORT="0").said(LINE))
    poll(lambda: len(members(visitor.get())) > 3, "members")
    poll(lambda: "reading" in visitor.get(), "readers")
    poll(lambda: int(counts(visitor.get()).split(", ")[2].split()[0]) > 5, "guests")
    assert re.search(r"Last seen: (an|\d+) hours? ago", "".join(map(visitor.get, profiles())))


def profiles() -> list[str]:
    return [f"/member/{one}" for one in MEMBERS]


def test_a_crowd_keeps_its_number_and_takes_everybody_along(server: Server) -> None:
    with herenow.Presence(server.url, window=20, resolution=0, timeout=5) as presence:
        crowd = Crowd(presence, 60, seed=1)
        seen = set()
        for _ in range(120):
            crowd.tick(5)
            here = {one.user for one in crowd._here}
            assert len(here) == len(crowd._here) <= 60
            seen |= here
            kinds = presence.counts()
            assert kinds.bot == 3 or len(seen) < 10
            assert set(presence.get_online_users()) >= here & {*MEMBERS} - hidden(crowd)
        assert len(seen) > 150
        readers = presence.room_counts(one.room for one in THREADS.values())
        assert sum(one.people for one in readers.values()) > 10


def hidden(crowd: Crowd) -> set[str]:
    return {one.user for one in crowd._here if one.kind == "hidden"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_nothing_else_and_leaves_nothing(
    run: Run, place: Path, how: signal.Signals
) -> None:
    demo = run(*DEMO, "--visitors", "10", PORT="0")
    Visitor(demo.said(LINE)).get()
    assert re.fullmatch(LINE, demo.output)
    assert len(working_in(place)) == 2  # the store and its supervisor
    assert demo.stop(how) == 0
    poll(lambda: not working_in(place), "the end of the store")
    assert re.fullmatch(LINE, demo.output)
    assert not list(place.glob("herenow-*/*.aof"))


def test_a_port_that_is_taken_is_one_line(run: Run) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        program = run(*DEMO, PORT=str(port))
        assert program.process.wait(60) == 2
    assert program.output == (
        f"herenow: cannot listen on {HOST}:{port}: Address already in use; choose another --port, "
        "or 0 for a free one\n"
    )


@pytest.mark.parametrize("port", ["http", "70000", "-1"])
def test_a_port_that_is_none_is_one_line(run: Run, port: str) -> None:
    program = run(*DEMO, PORT=port)
    assert program.process.wait(60) == 2
    assert re.fullmatch(r"herenow: Invalid value for '--port'.*\n", program.output)
