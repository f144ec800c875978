"""Nothing of herenow fails a page: every name on `here`, every helper, every Accept, every trouble."""

import inspect
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, render_template_string

from herenow import Page, Presence
from herenow.flask import HereNow
from herenow.web.fail_open import FailOpen
from tests.operations import READS
from tests.servers import Server, binary, start_server
from tests.waiting import poll

Site = Callable[..., tuple[Flask, HereNow]]
AGENT = {"User-Agent": "Mozilla/5.0 Firefox/128.0"}


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A store to be ill-treated."""
    with start_server(binary("valkey-9.1")) as server:
        yield server


def full(server: Server) -> None:
    server.control.config_set("maxmemory", 1)


def replica(server: Server) -> None:
    server.control.config_set("replica-serve-stale-data", "yes")
    server.control.replicaof("127.0.0.1", 1)


def hung(server: Server) -> None:
    server.pause()


def dead(server: Server) -> None:
    server.kill()


def heal(server: Server, harm: Callable[[Server], None]) -> None:
    if harm is dead:
        server.restart()
    elif harm is hung:
        server.resume()
    else:
        server.control.config_set("maxmemory", 0)
        server.control.replicaof("NO", "ONE")


@pytest.fixture(params=[dead, hung, full, replica], ids=lambda harm: harm.__name__)
def harmed(
    request: pytest.FixtureRequest, site: Site, own: Server
) -> Iterator[tuple[Flask, HereNow, str]]:
    """A site that was well, and whose store then came to harm."""
    own.control.flushall()
    app, here = site(url=own.url, online_url=True, rooms=lambda _: ["a room"])
    app.add_url_rule("/count", "count", lambda: str(here.count_online_users()))
    app.test_client().get("/", headers=AGENT)
    here.mark_online("alice")
    here.presence.flush()
    request.param(own)
    yield app, here, request.param.__name__
    heal(own, request.param)
    poll(lambda: here.health().ok, "the store")


NOW = datetime.now(UTC)
# What each name on `here` is called with, and what it gives when the store does not answer.
NAMES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "mark_online": (("bob",), None),
    "mark_online_many": ((["bob"],), None),
    "mark_offline": (("alice",), False),
    "is_online": (("alice",), False),
    "get_online_users": ((), []),
    "get_active_users": ((60,), []),
    "get_user_last_activity": (("alice",), None),
    "count_online_users": ((), None),
    "count_active_users": ((60,), None),
    "counts": ((), None),
    "peak": ((), None),
    "page_online_users": ((), Page((), None)),
    "rooms": ((), []),
    "history": ((NOW - timedelta(hours=1), NOW), []),
    "unique_users": ((), None),
    "snapshot": ((), None),
    "explain": (("alice",), None),
    "room_counts": ((["a room"],), None),
    "online_users": ((), []),
    "people": ((["alice"],), None),
    "lookup": ((["alice"],), None),
    "online_content": ((), None),
    "health": ((), None),
    "room": (("a room",), None),
}
PROPERTIES = {"presence", "visitor", "guest_or_bot", "init_app", "token"}


def test_every_name_is_tried() -> None:
    public = {one for one in dir(HereNow) if not one.startswith("_")}
    assert public == NAMES.keys() | PROPERTIES
    assert {one for one in dir(FailOpen) if not one.startswith("_")} == NAMES.keys()


@pytest.mark.parametrize("read", sorted(READS.keys() - {"lookup"}))
def test_every_read_of_a_presence_is_there_as_it_is(read: str) -> None:
    theirs, ours = getattr(Presence, read), getattr(FailOpen, read)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert ours.__doc__ == theirs.__doc__


def test_no_name_on_here_raises_or_keeps_a_page(harmed: tuple[Flask, HereNow, str]) -> None:
    _, here, harm = harmed
    away = harm in {"dead", "hung"}
    began = time.monotonic()
    for one in (here, here.room("a room")):
        for name, (arguments, empty) in NAMES.items():
            answer = getattr(one, name)(*arguments)
            if away and name not in {"people", "lookup", "online_content", "health", "room"}:
                assert answer == empty, name
            if away and name == "people":
                assert (str(answer), answer.known) == ("unknown", False)
            if away and name == "lookup":
                assert answer["alice"].online is False
                assert answer["alice"].last_seen is None
    assert time.monotonic() - began < 5  # forty calls: it waits for the first few alone


TEMPLATES = {
    "{{ online_count() }}": "unknown",
    "{{ online_count('guest') - 1 }}": "unknown",
    "{{ '%s' % online_count() }} {{ online_count()|string }}": "unknown unknown",
    "{{ online_count()|default('?') }}": "?",
    "{% if online_count() > 9 %}many{% elif online_count() is defined %}few{% else %}?{% endif %}": "?",
    "{{ online_count()|int }} {{ '%d'|format(online_count()) }}": "-1 -1",
    "{{ online_count()|round }}": "unknown",
    "{{ online_count()|abs }} {{ [online_count(), 2]|sum }} {{ online_count() ** 2 }}": " ".join(
        ["unknown"] * 3
    ),
    "{{ '{:,}'.format(online_count()) }}": "unknown",
    "{{ online_users() }}": "unknown",
    "{% for one in online_users() %}x{% else %}none{% endfor %}": "none",
    "{{ online_users().known }}": "False",
    "{{ people(['alice', 'bob']) }}": "unknown",
    "{% for one in people(['alice']) %}{{ one }}, {{ one|last_seen }}{% endfor %}": "alice, unknown",
    "{{ person('alice').online }} {{ 'alice'|last_seen }}": "False unknown",
    "{{ online_count(room='x') }} {{ online_users(room='x') }}": "unknown unknown",
}


def test_no_helper_of_templates_raises_and_none_says_0(harmed: tuple[Flask, HereNow, str]) -> None:
    app, _, harm = harmed
    began = time.monotonic()
    for template, text in TEMPLATES.items():
        with app.test_request_context():
            shown = render_template_string(template)
        if harm in {"dead", "hung"}:
            assert shown == text, template
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("accept", ["text/plain", "application/json", "text/html", "*/*", "x"])
def test_the_page_comes_however_it_is_accepted(
    harmed: tuple[Flask, HereNow, str], accept: str
) -> None:
    app, _, harm = harmed
    for query in ("", "?limit=1"):
        answer = app.test_client().get("/online" + query, headers=AGENT | {"Accept": accept})
        assert answer.status_code == 200
        if harm in {"dead", "hung"} and accept == "application/json":
            assert answer.json == {"counts": None, "users": None, "cursor": None}
        elif harm in {"dead", "hung"}:
            assert "unknown (the store does not answer)" in answer.text
            assert "0 members" not in answer.text


def test_pages_are_served_and_soon_wait_no_more(harmed: tuple[Flask, HereNow, str]) -> None:
    app, here, _ = harmed
    client = app.test_client()
    for _ in range(5):
        assert client.get("/count", headers=AGENT).status_code == 200
    began = time.monotonic()
    for i in range(100):
        agent = f"Mozilla/5.0 Firefox/{i}.0"
        for path in ("/", "/count", "/nowhere"):
            assert client.get(path, headers={"User-Agent": agent}).status_code in {200, 404}
    assert time.monotonic() - began < 4  # 300 pages
    assert here.visitor is None
