"""The key of the day is never waited for, a guest is one in every process, and logins that ask first."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask, Request, session

from herenow import Counts
from herenow.flask import HereNow
from tests.flask.conftest import browser
from tests.servers import Server, binary, start_server
from tests.waiting import poll

Site = Callable[..., tuple[Flask, HereNow]]
SECRET = "a secret of the tests"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 3, 5, tzinfo=UTC).timestamp()


@pytest.fixture
def own() -> Iterator[Server]:
    """A store to be ill-treated."""
    with start_server(binary("valkey-9.1")) as server:
        yield server


def test_no_request_waits_for_the_days_key_and_no_guest_is_lost(site: Site, own: Server) -> None:
    apps = [
        site(url=own.url, timeout=10, rooms=rooms) for rooms in (None, None, lambda _: "a room")
    ]
    own.pause()
    began = time.monotonic()
    for app, _ in apps:
        for i in range(200):
            browser(app, address=f"10.0.0.{i}").get("/")
    assert time.monotonic() - began < 8  # a wait for the store is ten
    own.resume()
    for _, here in apps:
        poll(lambda here=here: here.health().ok, "the store")  # type: ignore[misc]
    poll(lambda: apps[0][1].counts() == Counts(guest=200), "the guests")
    for app, here in apps:  # by name, from now on
        browser(app, address="10.0.0.7").get("/")
        here.presence.flush()
        assert here.counts() == Counts(guest=200)
    assert apps[2][1].room("a room").counts() == Counts(guest=200)


def test_a_guest_of_the_meantime_logs_in_and_is_one_member(members: Site) -> None:
    app, here = members(buffered=True)
    alice = browser(app)
    alice.get("/in/7")
    assert here.counts() == Counts(member=1)
    other, there = members(buffered=True)
    browser(other).get("/")
    there.presence.flush()
    assert here.counts() == Counts(member=1, guest=1)
    browser(other).get("/in/8")
    there.presence.flush()
    assert here.counts() == Counts(member=2)


def test_yesterdays_guest_is_counted_once_by_a_process_that_knows_no_key(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = MIDNIGHT - 2
    monkeypatch.setattr("herenow.web.guests.time.time", lambda: moment)
    for moment in (MIDNIGHT - 2, MIDNIGHT + 2):  # noqa: B007 - the lambda tells it
        app, here = site()
        browser(app).get("/")
        here.presence.flush()
        assert here.counts() == Counts(guest=1)


def test_a_window_of_a_day_counts_nobody_twice_and_a_longer_one_is_told_of(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moment = MIDNIGHT - 2
    monkeypatch.setattr("herenow.web.guests.time.time", lambda: moment)
    app, here = site(window=86_400)
    browser(app).get("/")
    here.presence.flush()
    moment = MIDNIGHT + 86_390
    browser(app).get("/")
    assert here.counts() == Counts(guest=1)
    assert "over a day" not in caplog.text
    site(window=86_401, identify=lambda _: "alice")
    assert "over a day" not in caplog.text
    site(window=86_401)
    assert caplog.text.count("over a day") == 1


# ------------------------------------------------------------ a login that asks first


@pytest.mark.parametrize("ask", [lambda here: here.visitor, lambda here: here.counts()])
def test_who_asks_before_a_login_of_ones_own_is_no_guest_after_it(
    site: Site, ask: Callable[[HereNow], object]
) -> None:
    def who(_: object) -> object:
        return session.get("user_id") or here.guest_or_bot()

    app, here = site({"SECRET_KEY": "secret"}, identify=who, buffered=False)

    def log_in() -> str:
        ask(here)
        session["user_id"] = "alice"
        here.mark_online("alice", replaces=here.guest_or_bot().user)  # type: ignore[union-attr]
        return "in"

    app.add_url_rule("/in", "in", log_in)
    alice = browser(app)
    alice.get("/")
    assert here.counts() == Counts(guest=1)
    alice.get("/in")
    assert here.counts() == Counts(member=1)


def test_identify_is_asked_once_where_nobody_asks_before(site: Site) -> None:
    calls: list[str] = []

    def who(request: Request) -> str:
        calls.append(request.path)
        return "alice"

    app, here = site(identify=who)
    app.add_url_rule("/ask", "ask", lambda: f"{here.visitor} {here.visitor} {here.counts()}")
    browser(app).get("/")
    assert calls == ["/"]
    browser(app).get("/ask")
    assert calls == ["/", "/ask", "/ask"]
