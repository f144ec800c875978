"""Guests and bots: how they are named, when a key is wanted, how many are marked."""

import time
from datetime import UTC, date, datetime

import pytest

from herenow import Visitor
from herenow.web.bots import bot_name
from herenow.web.bounds import Bound
from herenow.web.guests import DayKeys, Guests, Stranger, network

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
SECRET = "a secret of the tests"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 3, 5, tzinfo=UTC).timestamp()
TODAY, YESTERDAY = date(2026, 3, 5), date(2026, 3, 4)


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moment it is; a test changes it."""
    now = [NOON]
    monkeypatch.setattr("herenow.web.guests.time.time", lambda: now[0])
    return now


def stranger(
    agent: str | None = FIREFOX, address: str = "10.0.0.1", secret: str | None = SECRET
) -> Stranger:
    bound = Bound(5, "guests", lambda: 300.0)
    return Guests(DayKeys(secret), bound, lambda: 300.0).stranger(address, agent)


@pytest.mark.parametrize(
    "address, cut",
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_networks(address: str, cut: str) -> None:
    assert network(address) == cut


@pytest.mark.parametrize(
    "agent, name",
    [
        (None, "unknown"),
        ("  ", "unknown"),
        (FIREFOX, None),
        (GOOGLE, "Googlebot"),
        ("x" * 9999, None),
    ],
)
def test_bots(agent: str | None, name: str | None) -> None:
    assert bot_name(agent) == name
    visitor = stranger(agent).visitor()
    assert visitor is not None
    assert visitor.kind == ("guest" if name is None else "bot")


def test_a_guests_name_is_of_a_day_an_address_and_a_user_agent(moment: list[float]) -> None:
    one = stranger()
    names = [one.visitor(ago) for ago in (0.0, 43_200.0, 43_201.0)]
    assert names[0] == names[1] == stranger().visitor()
    others = [
        names[2],
        stranger(FIREFOX + " ").visitor(),
        stranger(address="10.0.0.2").visitor(),
        stranger(secret=SECRET + "!").visitor(),
    ]
    assert len({names[0], *others}) == 5
    assert names[0] is not None
    assert names[0].kind == "guest"
    assert len(names[0].user) == len("guest-") + 20


def test_the_name_of_the_day_before_is_known_for_a_window(moment: list[float]) -> None:
    moment[0] = MIDNIGHT - 1
    one = stranger()
    before = one.visitor()
    assert before is not None
    for since, replaced in ((0, before.user), (300, before.user), (301, None), (50_000, None)):
        moment[0] = MIDNIGHT + since
        mark = one.mark()
        assert mark is not None
        assert (mark.replaces, one.before_midnight()) == (replaced, replaced)
    moment[0] = MIDNIGHT
    assert stranger(GOOGLE).before_midnight() is None


def test_without_the_days_key_a_guest_has_no_name_and_a_bot_has() -> None:
    assert stranger(secret=None).visitor() is None
    assert stranger(secret=None).mark() is None
    assert stranger(GOOGLE, secret=None).visitor() == Visitor("bot-Googlebot", "bot")


def test_a_stranger_wants_the_keys_of_the_days_that_a_name_takes(moment: list[float]) -> None:
    one = stranger(secret=None)
    moment[0] = MIDNIGHT + 200
    assert one.wanted(0.0) == [TODAY, YESTERDAY]
    assert one.wanted(201.0) == [YESTERDAY]
    assert one.wanted(501.0) == [YESTERDAY]
    one.learn(TODAY, "a key")
    assert one.wanted(0.0) == [YESTERDAY]
    one.learn(YESTERDAY, "another")
    assert one.wanted(0.0) == []
    mark = one.mark(0.0)
    yesterday = one.visitor(209.0)
    assert mark is not None
    assert yesterday is not None
    assert (mark.kind, mark.replaces) == ("guest", yesterday.user)
    moment[0] = MIDNIGHT + 90_000
    assert one.wanted(0.0) == [date(2026, 3, 6)]
    assert one._replace(agent="Googlebot/2.1").wanted(0.0) == []


def test_a_long_user_agent_is_not_kept() -> None:
    one = stranger("x" * 9999)
    assert one.agent == "x" * 512
    assert one.visitor() == stranger("x" * 512).visitor()


def test_a_bound_lets_others_in_when_time_has_passed() -> None:
    bound = Bound(2, "most", lambda: 0.2)
    assert [bound.admits(one) for one in "abcab"] == [True, True, False, True, True]
    time.sleep(0.25)
    assert bound.admits("a")
    assert not bound.admits("c")  # b may be online yet
    time.sleep(0.45)
    assert [bound.admits(one) for one in "cde"] == [True, True, False]


def test_one_too_many_is_marked_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    guests = Guests(DayKeys(SECRET), Bound(2, "HERENOW_MAX_GUESTS", lambda: 300.0), lambda: 300.0)
    marks = [guests.stranger(f"10.0.0.{i}", FIREFOX).mark() for i in (1, 2, 3, 4, 1)]
    assert [mark is not None for mark in marks] == [True, True, False, False, True]
    assert caplog.text.count("HERENOW_MAX_GUESTS: more than 2 are not marked") == 1
