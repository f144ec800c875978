"""Who a request is by default: members of Flask-Login, guests, bots; logins, logouts, cookies, bounds."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask, session
from flask_login import login_user

from herenow import Counts, StoreUnavailable, Visitor
from herenow.flask import HereNow
from tests.flask.conftest import FIREFOX, GOOGLE, User, browser

Site = Callable[..., tuple[Flask, HereNow]]
SECRET = "a secret of the tests"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 3, 5, tzinfo=UTC).timestamp()


# ------------------------------------------------------------ members


def test_a_login_takes_the_guests_place_and_a_logout_makes_a_guest_again(members: Site) -> None:
    app, here = members()
    alice = browser(app)
    alice.get("/")
    assert here.counts() == Counts(guest=1)
    alice.get("/in/7")
    assert here.counts() == Counts(member=1)
    assert here.get_online_users() == ["7"]
    alice.get("/out")
    assert here.counts() == Counts(guest=1)


def test_a_logout_by_clearing_the_session_is_a_logout(members: Site) -> None:
    app, here = members()
    alice = browser(app)
    alice.get("/in/7")
    alice.get("/clear")
    assert here.counts() == Counts(guest=1)


def test_a_logout_leaves_the_users_tabs_alone(members: Site) -> None:
    app, here = members()
    alice = browser(app)
    alice.get("/in/7")
    here.mark_online("7", session="tab")
    alice.get("/count")  # marked as a member in the same request that...
    alice.get("/out")
    assert here.is_online("7")


def test_another_login_is_another_member(members: Site) -> None:
    app, here = members()
    alice = browser(app)
    alice.get("/in/7")
    alice.get("/in/8")
    assert here.get_online_users() == ["8"]


@pytest.mark.parametrize("late", [False, True])
def test_a_signed_session_marks_its_member_on_every_page(members: Site, late: bool) -> None:
    app, here = members(late)
    alice = browser(app)
    alice.get("/in/7")
    without = browser(members(late, enabled=False)[0])
    without._cookies = alice._cookies
    for path in ("/", "/basket", "/me"):
        here.mark_offline("7")
        answer = alice.get(path)
        assert here.counts() == Counts(member=1), path
        assert answer.headers == without.get(path).headers  # no Vary, no Set-Cookie of ours


def test_a_session_that_was_not_signed_here_names_nobody(members: Site) -> None:
    app, here = members()
    forger = browser(app)
    forger.set_cookie("session", "eyJfdXNlcl9pZCI6IjcifQ.aAAAAA.a-forged-signature")
    forger.get("/")
    assert here.counts() == Counts(guest=1)


def test_whoever_is_remembered_is_no_guest(members: Site) -> None:
    app, here = members()
    alice = browser(app)
    alice.get("/remember/7")
    alice.delete_cookie("session")
    here.mark_offline("7")
    alice.get("/")
    assert here.counts() == Counts()
    alice.get("/me")
    assert here.counts() == Counts(member=1)


def test_a_hidden_member_stays_hidden(members: Site) -> None:
    app, here = members()
    alice = browser(app)
    alice.get("/in/7")
    here.mark_online("7", kind="hidden")
    alice.get("/me")
    alice.get("/who")
    assert here.counts() == Counts(hidden=1)


def test_nothing_is_added_to_a_page_that_did_not_touch_the_session(url: str, site: Site) -> None:
    app, _ = site({"SECRET_KEY": "secret"})
    bare = Flask("bare")
    bare.secret_key = "secret"
    bare.add_url_rule("/", "index", lambda: "hello")
    for one in (app, bare):
        one.add_url_rule("/set", "set", lambda: str(session.setdefault("basket", 1)))
    headers = []
    for one in (app, bare):
        client = browser(one)
        answers = [client.get(path) for path in ("/", "/set", "/")]
        headers.append([dict(answer.headers) for answer in answers])
        assert "Vary" not in answers[-1].headers
        assert "Set-Cookie" not in answers[-1].headers
        assert answers[1].headers["Vary"] == "Cookie"
    assert [one.keys() for one in headers[0]] == [one.keys() for one in headers[1]]


def test_who_this_request_is(members: Site) -> None:
    app, here = members(secret=SECRET)
    alice = browser(app)
    assert "kind='guest'" in alice.get("/who").text
    alice.get("/in/7")
    assert alice.get("/who").text == repr(Visitor("7", "member"))
    assert browser(app, GOOGLE).get("/who").text == repr(Visitor("bot-Googlebot", "bot"))
    assert here.visitor is None


def test_whoever_asks_is_counted(members: Site) -> None:
    app, _ = members()
    alice = browser(app)
    assert alice.get("/count").text == repr(Counts(guest=1))
    alice.get("/in/7")
    assert alice.get("/me").status_code == 200
    assert alice.get("/count").text == repr(Counts(member=1))


def test_a_login_after_a_question_leaves_no_guest(members: Site) -> None:
    app, here = members()

    @app.get("/ask-and-in")
    def ask_and_in() -> str:
        before = here.counts()
        login_user(User("7"))
        return repr(before)

    assert browser(app).get("/ask-and-in").text == repr(Counts(guest=1))
    assert here.counts() == Counts(member=1)


def test_what_identify_returns_is_final(site: Site) -> None:
    answers: list[object] = []
    app, here = site(identify=lambda _: answers[-1], buffered=False)
    for answer in ("alice", 7, Visitor("x", "guest"), Visitor("y", "bot"), Visitor("z"), None):
        answers.append(answer)
        browser(app, GOOGLE).get("/")
    assert here.counts() == Counts(member=3, guest=1, bot=1)


def test_guests_beside_members_of_ones_own(site: Site) -> None:
    app, here = site({"SECRET_KEY": "secret"}, identify=lambda _: me(), buffered=False)
    app.add_url_rule("/in", "in", lambda: str(session.setdefault("user_id", 7)))

    def me() -> object:
        return session.get("user_id") or here.guest_or_bot()

    browser(app).get("/")
    browser(app, address="10.0.0.2").get("/in")
    assert here.counts() == Counts(member=1, guest=1)


def test_identify_is_asked_after_the_sites_own_hooks(site: Site) -> None:
    from flask import g

    app, here = site(identify=lambda _: g.user, buffered=False)
    app.before_request(lambda: setattr(g, "user", "alice"))
    browser(app).get("/")
    assert here.get_online_users() == ["alice"]


# ------------------------------------------------------------ guests and bots


def test_guests_are_told_apart_and_never_by_their_address(site: Site) -> None:
    app, here = site()
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        browser(app, address=address).get("/")
    browser(app, FIREFOX + " ", "10.0.0.1").get("/")
    assert here.counts() == Counts(guest=3)
    for guest in here.get_online_users(kind="guest"):
        assert re.fullmatch(r"guest-[A-Za-z0-9_-]{20}", guest), "a digest, whatever the address"


def test_bots_are_named_and_an_empty_user_agent_is_one(site: Site) -> None:
    app, here = site()
    for i in range(3):
        browser(app, GOOGLE, f"10.0.0.{i}").get("/")
    browser(app, "").get("/")
    browser(app, "curl/8.9").get("/")
    assert sorted(here.get_online_users(kind="bot")) == ["bot-Googlebot", "bot-curl", "bot-unknown"]


def test_a_proxys_headers_are_not_believed(site: Site) -> None:
    app, here = site()
    for i in range(5):
        browser(app).get("/", headers={"X-Forwarded-For": f"1.2.3.{i}"})
    assert here.counts() == Counts(guest=1)


def test_a_browser_that_asks_ahead_is_nobody(site: Site) -> None:
    app, here = site()
    browser(app).options("/")
    assert here.counts() == Counts()


def test_processes_name_guests_alike(site: Site) -> None:
    for _ in range(3):
        app, here = site()
        browser(app).get("/")
        here.presence.flush()
        assert here.counts() == Counts(guest=1)


def test_nobody_is_counted_twice_at_midnight(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    app, here = site(resolution=0)
    moment = MIDNIGHT - 2
    monkeypatch.setattr("herenow.web.guests.time.time", lambda: moment)
    for address in ("10.0.0.1", "10.0.0.2"):
        browser(app, address=address).get("/")
    before = here.get_online_users(kind="guest")
    moment = MIDNIGHT + 2
    browser(app).get("/")
    assert here.counts() == Counts(guest=2)
    browser(app, address="10.0.0.2").get("/")
    assert here.counts() == Counts(guest=2)
    assert not set(before) & set(here.get_online_users(kind="guest"))


# ------------------------------------------------------------ bounds, paths, rooms


def test_guests_are_bounded(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    app, here = site(max_guests=3)
    for i in range(9):
        browser(app, FIREFOX + str(i)).get("/")
    browser(app, FIREFOX + "0").get("/")
    assert here.counts() == Counts(guest=3)
    assert caplog.text.count("HERENOW_MAX_GUESTS: more than 3 are not marked") == 1


def test_rooms_are_marked_beside_the_site_and_bounded(site: Site) -> None:
    app, here = site(
        identify=lambda request: request.args.get("user"),
        rooms=lambda request: (request.view_args or {}).get("room"),
        max_rooms=2,
    )
    app.add_url_rule("/room/<room>", "room", lambda room: str(here.room(room).get_online_users()))
    for user, room in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "z")):
        browser(app).get(f"/room/{room}?user={user}")
    assert here.room("x").get_online_users() == ["b", "a"]
    assert here.room("y").count_online_users() == 1
    assert here.room("z").count_online_users() == 0
    assert here.count_online_users() == 4
    assert browser(app).get("/room/y?user=e").text == "['e', 'c']"  # they find themselves there


def test_a_page_that_is_not_there_is_no_room(site: Site) -> None:
    app, here = site(identify=lambda _: "alice", rooms=lambda request: [request.path])
    browser(app).get("/nowhere")
    browser(app).get("/")
    assert [one.name for one in here.rooms()] == ["/", "site"]


def test_a_strange_room_is_logged_and_the_page_served(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    app, here = site(identify=lambda _: "alice", rooms=lambda _: ["x" * 200])
    assert browser(app).get("/").text == "hello"
    assert "a visitor is not marked: a room has at most 128 UTF-8 bytes" in caplog.text
    assert here.is_online("alice")


def test_excluded_paths_mark_nobody(site: Site) -> None:
    app, here = site(exclude="/healthz, /api/*")
    for path in ("/healthz", "/api/1", "/api/a/b"):
        browser(app).get(path)
    assert here.counts() == Counts()
    browser(app).get("/healthz2")
    assert here.counts() == Counts(guest=1)


def test_turned_off_it_needs_no_store_and_all_is_unknown() -> None:
    app = Flask("app")
    here = HereNow(app, enabled=False, online_url=True)
    assert browser(app).get("/online").text == "Online: unknown (the store does not answer)"
    assert here.get_online_users() == []
    assert here.counts() is None
    assert here.mark_online("alice") is False
    assert here.health().ok is False
    with pytest.raises(StoreUnavailable, match="disabled"):
        here.presence.counts()
