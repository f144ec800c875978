"""A site whose store is dead, hung or refuses: its pages come, in time, and say what is unknown."""

import logging
import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask, Request

import herenow
from herenow.flask import HereNow
from tests.conftest import told
from tests.servers import Server, binary, start_server
from tests.waiting import poll

Site = Callable[..., tuple[Flask, HereNow]]
UNKNOWN = "Online: unknown (the store does not answer)"
SAID = (
    "the store is not available: ",
    "the store did not answer in time: ",
    "does not let us in: ",
)


@pytest.fixture
def own() -> Iterator[Server]:
    """A store to be ill-treated."""
    with start_server(binary("valkey-9.1")) as server:
        yield server


def alice(_: Request) -> str:
    return "alice"


def kill(server: Server) -> None:
    server.kill()


def hang(server: Server) -> None:
    server.pause()


def refuse(server: Server) -> None:
    server.control.config_set("requirepass", "a password")
    for client in server.control.client_list():  # those that are in stay in
        if client["laddr"].endswith(str(server.port)):
            server.control.client_kill(client["addr"])


def spoil(server: Server) -> None:
    server.control.flushall()
    for kind in ("meta", "online:member"):
        server.control.set(f"herenow:{{site}}:{kind}", "of a wrong type")


def get(app: Flask, path: str) -> str:
    """Ask for a page; it comes, within a second."""
    began = time.monotonic()
    answer = app.test_client().get(path)
    assert time.monotonic() - began < 1
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("harm", [kill, hang, refuse, spoil])
def test_pages_come_and_say_unknown(
    site: Site,
    own: Server,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Server], None],
    buffered: bool,
) -> None:
    caplog.set_level(logging.INFO, "herenow")
    app, here = site(url=own.url, buffered=buffered, identify=alice, online_url=True)
    poll(lambda: app.test_client().get("/online").text == "Online: alice", "a healthy store")
    caplog.clear()  # it may have been slow at first
    harm(own)
    for _ in range(3):
        assert get(app, "/") == "hello"
        assert get(app, "/online") == UNKNOWN
    assert here.get_online_users() == []
    assert here.is_online("alice") is False
    assert here.get_user_last_activity("alice") is None
    assert here.mark_online("bob") is (None if buffered else False)
    assert here.mark_offline("alice") is False
    assert here.health().ok is (harm is spoil)  # a PING is all it asks
    with pytest.raises(herenow.StoreError):
        here.presence.get_online_users()
    said = told(caplog, here.presence)
    assert [any(one in line for one in SAID) for line in said] == [True, False] * (
        harm is not spoil
    )
    assert ("does not let us in" in "".join(said)) is (harm is refuse)
    assert "".join(said).count("the breaker is open") == (harm is not spoil)
    assert ("the store refused" in caplog.text) is (harm is spoil)
    assert "pages are served" not in caplog.text  # it is told in one place


def test_when_the_store_is_back_so_are_the_answers(
    site: Site, own: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "herenow")
    app, here = site(url=own.url, identify=alice, online_url=True)
    for count in (1, 2):
        own.pause()
        assert get(app, "/online") == UNKNOWN
        assert "".join(told(caplog, here.presence)).count(SAID[1]) == count
        own.resume()
        poll(lambda: here.get_online_users() == ["alice"], "the answers")
        assert "".join(told(caplog, here.presence)).count("the store answers again") == count


def test_marks_made_while_the_store_is_away_arrive_with_their_own_moments(
    site: Site, own: Server
) -> None:
    _, here = site(url=own.url)
    own.kill()
    here.mark_online("alice")
    marked = time.monotonic()
    time.sleep(1.5)
    own.restart()
    poll(lambda: here.is_online("alice"), "the mark")
    seen = here.get_user_last_activity("alice")
    assert seen is not None
    seconds, microseconds = own.control.time()
    ago = seconds + microseconds / 1e6 - seen.timestamp()
    assert abs(ago - (time.monotonic() - marked)) < 1


def test_a_store_that_was_never_there(site: Site, own: Server) -> None:
    own.kill()
    app, _ = site(url=own.url, identify=alice, online_url=True)
    assert get(app, "/") == "hello"
    assert get(app, "/online") == UNKNOWN


def test_a_store_that_hangs_costs_no_page_that_only_marks(site: Site, own: Server) -> None:
    app, _ = site(url=own.url, identify=lambda request: request.headers["X-User"])
    own.pause()
    client = app.test_client()
    began = time.monotonic()
    for i in range(500):
        assert client.get("/", headers={"X-User": str(i)}).status_code == 200
    assert time.monotonic() - began < 5  # ten milliseconds each; a wait for the store is 250
    own.resume()
