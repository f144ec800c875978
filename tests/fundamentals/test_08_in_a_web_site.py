"""8. In a web site: repeats cost nothing, marks are buffered, and a store that fails fails no page."""

import time

import pytest
from flask import Flask

import herenow
from herenow.flask import HereNow
from tests.servers import Server

FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}


def test_a_repeat_within_the_resolution_asks_no_store(server: Server) -> None:
    with herenow.Presence(server.unix_url, resolution=60, timeout=5) as presence:
        presence.mark_online("alice")
        before = server.control.info("commandstats")
        for _ in range(100):
            presence.mark_online("alice")
        after = server.control.info("commandstats")
    for command in ("cmdstat_evalsha", "cmdstat_eval"):
        assert after.get(command) == before.get(command)


def test_buffered_marks_wait_and_ones_own_reads_have_them(server: Server) -> None:
    with herenow.Presence(server.unix_url, buffered=True, timeout=5) as presence:
        assert presence.mark_online("alice") is None  # it does not wait for the store
        assert presence.is_online("alice")


def test_buffered_marks_reach_everybody_within_a_second_or_so(
    server: Server, presence: herenow.Presence
) -> None:
    with herenow.Presence(server.unix_url, buffered=True, timeout=5) as other:
        other.mark_online("alice")
        until = time.monotonic() + 10
        while not presence.is_online("alice"):
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_store_that_fails_raises_one_of_our_errors() -> None:
    with (
        herenow.Presence("redis://127.0.0.1:1/0") as presence,
        pytest.raises(herenow.StoreUnavailable),
    ):
        presence.is_online("alice")


def test_three_lines_in_flask(server: Server) -> None:
    app = Flask("site")
    here = HereNow(app, url=server.unix_url, timeout=5)
    app.add_url_rule("/", "index", lambda: "hello")
    app.test_client().get("/", headers=FIREFOX)
    with app.app_context():
        assert here.counts() == herenow.Counts(guest=1)
        here.presence.close()


def test_a_page_is_served_without_the_store() -> None:
    app = Flask("site")
    here = HereNow(app, url="redis://127.0.0.1:1/0")
    app.add_url_rule("/", "index", lambda: f"{here.counts()}")
    answer = app.test_client().get("/", headers=FIREFOX)
    assert (answer.status_code, answer.text) == (200, "None")  # unknown, which is not zero
    with app.app_context():
        here.presence.close()
