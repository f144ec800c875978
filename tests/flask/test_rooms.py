"""Rooms beside the site: who hides, leaves or logs in does so everywhere, whichever process marks."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask_login import current_user

import herenow
from herenow import Counts
from herenow.flask import HereNow
from tests.flask.conftest import Program, Visitor, browser
from tests.servers import Server
from tests.waiting import poll

Site = Callable[..., tuple[Flask, HereNow]]
Pair = tuple[tuple[Flask, HereNow], tuple[Flask, HereNow]]


def _thread(thread: str) -> str:
    return f"{thread} as {current_user.get_id()}"


def threads(request: Any) -> object:
    return (request.view_args or {}).get("thread")


@pytest.fixture(params=[True, False], ids=["buffered", "at once"])
def pair(request: pytest.FixtureRequest, members: Site) -> Pair:
    """Two processes' worth of one site: they share nothing but the store."""
    made = []
    for _ in range(2):
        app, here = members(rooms=threads, buffered=request.param)
        app.add_url_rule("/thread/<thread>", "thread", _thread)
        made.append((app, here))
    return made[0], made[1]


def read(app: Flask, client: Any, *rooms: str) -> None:
    """Read threads as whoever a browser is, by way of one of the processes."""
    cookies = client._cookies
    other = browser(app, address=client.environ_base["REMOTE_ADDR"])
    other._cookies = cookies
    for room in rooms:
        assert other.get(f"/thread/{room}").status_code == 200


def readers(here: HereNow, room: str) -> list[str]:
    return here.room(room).get_online_users()


def settle(pair: Pair) -> None:
    for _, here in pair:
        here.presence.flush()


def test_who_hides_is_hidden_in_every_thread_and_in_the_next(pair: Pair) -> None:
    (app, here), (other, there) = pair
    alice = browser(app)
    alice.get("/in/alice")
    read(app, alice, "a")
    read(other, alice, "b")
    settle(pair)
    assert [readers(here, one) for one in "ab"] == [["alice"], ["alice"]]
    read(other, alice, "c")  # waits there while they hide here
    here.mark_online("alice", kind="hidden")
    settle(pair)
    assert [readers(there, one) for one in "abc"] == [[], [], []]
    read(other, alice, "d")
    read(app, alice, "e")
    settle(pair)
    assert [readers(here, one) for one in "abcde"] == [[]] * 5
    assert there.room("d").counts() == Counts(hidden=1)
    here.mark_online("alice", kind="member")
    read(other, alice, "f")
    settle(pair)
    assert readers(here, "f") == ["alice"]


def test_a_logout_takes_the_user_out_of_every_thread(pair: Pair) -> None:
    (app, here), (other, there) = pair
    alice, bob = browser(app), browser(app, address="10.0.0.2")
    alice.get("/in/alice")
    bob.get("/in/bob")
    read(app, alice, "a")
    read(other, alice, "b")
    read(other, bob, "a", "b")
    there.presence.flush()
    read(other, alice, "c")  # waits there while they log out here
    time.sleep(0.01)
    alice.get("/out")
    settle(pair)
    assert [readers(here, one) for one in "abc"] == [["bob"], ["bob"], []]
    assert here.counts() == Counts(member=1, guest=1)


def test_a_logout_leaves_the_users_tabs_in_their_threads(pair: Pair) -> None:
    (app, here), (other, _) = pair
    alice = browser(app)
    alice.get("/in/alice")
    read(other, alice, "a")
    for one in (here, here.room("a")):
        one.mark_online("alice", session="tab")
    settle(pair)
    alice.get("/out")
    settle(pair)
    assert readers(here, "a") == ["alice"]
    assert here.mark_offline("alice")
    assert readers(here, "a") == []


def test_mark_offline_is_of_every_thread_and_of_one_in_a_room(pair: Pair) -> None:
    (app, here), (other, there) = pair
    alice = browser(app)
    alice.get("/in/alice")
    read(app, alice, "a")
    read(other, alice, "b")
    settle(pair)
    assert there.room("a").mark_offline("alice")
    assert [readers(here, one) for one in "ab"] == [[], ["alice"]]
    assert there.is_online("alice")
    assert there.mark_offline("alice")
    assert readers(here, "b") == []


def test_a_login_leaves_no_guest_in_a_thread(pair: Pair) -> None:
    (app, here), (other, _) = pair
    alice = browser(app)
    read(app, alice, "a")
    read(other, alice, "b")
    settle(pair)
    assert here.room("b").counts() == Counts(guest=1)
    alice.get("/in/alice")
    settle(pair)
    assert [here.room(one).counts() for one in "ab"] == [Counts(), Counts()]


def test_a_site_without_rooms_walks_through_none(site: Site, server: Server) -> None:
    _, here = site(identify=lambda _: None, buffered=False)
    server.control.config_resetstat()
    here.mark_online("alice", kind="hidden")
    here.mark_offline("alice")
    calls = server.control.info("commandstats")
    assert "cmdstat_time" in calls
    assert "cmdstat_zrevrange" not in calls


PROGRAM = """
import sys
from flask import Flask, session
from werkzeug.serving import make_server
from herenow.flask import HereNow
app = Flask("site")
app.secret_key = "the same in both"
here = HereNow(app, url=sys.argv[1], online_url=True,
    identify=lambda request: session.get("user"),
    rooms=lambda request: (request.view_args or {}).get("thread"))
app.add_url_rule("/in/<user>", "in", lambda user: session.update(user=user) or user)
app.add_url_rule("/hide", "hide", lambda: str(here.mark_online(session["user"], kind="hidden")))
app.add_url_rule("/out", "out", lambda: str(here.mark_offline(session.pop("user"))))
app.add_url_rule("/thread/<thread>", "thread", lambda thread: thread)
server = make_server("127.0.0.1", 0, app, threaded=True)
print("port", server.port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def ports(run: Callable[..., Program], server: Server) -> list[str]:
    """Two processes of one site."""
    programs = [run("-c", PROGRAM, server.url) for _ in range(2)]
    return [one.said(r"port (\d+)") for one in programs]


@pytest.mark.parametrize("how", ["/hide", "/out"])
def test_two_processes(ports: list[str], server: Server, how: str) -> None:
    one, other = (Visitor(port) for port in ports)
    one.get("/in/alice")
    other._cookie = one._cookie
    one.get("/thread/a")
    other.get("/thread/b")
    with herenow.Presence(server.url, timeout=5) as presence:

        def reading() -> list[str]:
            return [name for name in "ab" if presence.room(name).is_online("alice")]

        poll(lambda: reading() == ["a", "b"], "both threads")
        one.get(how)
        assert reading() == []
        assert not presence.is_online("alice")
        if how == "/hide":
            other.get("/thread/c")
            poll(lambda: presence.room("c").counts().hidden == 1, "the hidden one")
            assert not presence.room("c").is_online("alice")
