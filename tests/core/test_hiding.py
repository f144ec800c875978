"""Hiding: to whoever does not ask for the hidden it is indistinguishable from leaving.

Each test tells one story in two rooms by one clock: in ``gone`` alice is not there, in ``hides`` alice is
hidden. Whatever an outsider may ask, the rooms answer the same.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import herenow
from herenow.operations.events import as_outsider, read_entry
from herenow.operations.keys import room_keys
from tests.conftest import Clock
from tests.servers import Server

RAW = "return redis.call('XRANGE', KEYS[1], '-', '+')"


class Rooms:
    """The two rooms, and all that an outsider can ask of them."""

    def __init__(self, presence: herenow.Presence, server: Server, clock: Clock) -> None:
        self.server, self.clock = server, clock
        self.gone, self.hides = presence.room("gone"), presence.room("hides")
        self.both("bob")

    def both(self, user: str, **said: Any) -> None:
        for room in (self.gone, self.hides):
            room.mark_online(user, **said)

    def told(self, room: herenow.Presence, *, hidden: bool = False) -> list[herenow.Event]:
        key = room_keys("herenow:", room.name)[9]
        entries = self.server.control.eval(RAW, 1, key)
        since = 1000 * (self.clock.now - 86_400)  # older ones are deleted now or then
        fresh = [entry for entry in entries if int(entry[1][1]) > since]
        stored = [one for entry in fresh for one in read_entry(entry, "")]
        if hidden:
            return [one.event for one in stored]
        return [replace(one, id="") for one in map(as_outsider, stored) if one is not None]

    @staticmethod
    def seen(room: herenow.Presence) -> dict[str, Any]:
        asked = ["alice", "bob", "nobody"]
        explained = room.explain("alice")
        snapshot, page = room.snapshot(), room.page_online_users()
        return {
            "is_online": [room.is_online(user) for user in asked],
            "last activity": [room.get_user_last_activity(user) for user in asked],
            "lookup": room.lookup(asked),
            "list": [room.get_online_users(kind=k) for k in ("member", "hidden", "guest", "bot")],
            "narrow": room.get_online_users(window=1),
            "page": page,
            "small pages": [room.page_online_users(1).users, room.page_online_users(1, window=5)],
            "count": [
                room.count_online_users(kind=k) for k in ("member", "hidden", "guest", "bot")
            ],
            "counts": replace(room.counts(), hidden=0),
            "active": [room.count_active_users(window) for window in (1, 60, 3600)],
            "active users": [room.get_active_users(window) for window in (1, 60, 3600)],
            "snapshot": (snapshot.users, snapshot.next_page, replace(snapshot.counts, hidden=0)),
            "why": (explained.reason, explained.presence, explained.left_at),
            "why, events": [replace(event, id="", room="") for event in explained.events],
        }

    def assert_alike(self) -> None:
        for _ in range(2):  # before and after who is due has left
            gone, hides = self.seen(self.gone), self.seen(self.hides)
            for question, answer in gone.items():
                assert hides[question] == answer, question
            for room in (self.gone, self.hides):
                room.sweep()
        assert self.told(self.hides) == self.told(self.gone)


@pytest.fixture
def rooms(clocked: herenow.Presence, server: Server, clock: Clock) -> Rooms:
    return Rooms(clocked, server, clock)


FIRST: list[dict[str, Any]] = [
    {},
    {"kind": "guest"},
    {"kind": "bot"},
    {"session": "tab", "info": {"page": "/"}, "away": True},
]


@pytest.mark.parametrize("first", FIRST, ids=str)
def test_hiding_is_leaving_to_all_but_those_who_ask(
    rooms: Rooms, clock: Clock, first: dict[str, Any]
) -> None:
    rooms.both("alice", **first)
    rooms.assert_alike()
    clock.now += 1
    rooms.gone.mark_offline("alice")
    rooms.hides.mark_online("alice", kind="hidden")
    rooms.assert_alike()
    assert rooms.hides.is_online("alice", include_hidden=True)
    assert rooms.hides.get_online_users(include_hidden=True) == ["alice", "bob"]
    assert rooms.hides.counts().hidden == 1
    clock.now += 1
    rooms.hides.mark_online("alice")
    rooms.hides.mark_online("alice", session="other", info={"page": "/secret"}, away=True)
    rooms.assert_alike()


@pytest.mark.parametrize("ended", [None, "phone"])
@pytest.mark.parametrize("way", ["leave", "replaced"])
def test_a_session_that_is_over_is_told_before_a_leave_and_before_hiding(
    rooms: Rooms, clock: Clock, way: str, ended: str | None
) -> None:
    rooms.both("alice", session="desk", away=False)
    clock.now += 200
    rooms.both("alice", session="phone", away=True)
    over = clock.now + 100  # the desk's window is
    clock.now += 200
    if way == "leave":
        rooms.gone.mark_offline("alice", session=ended)
        rooms.hides.mark_online("alice", kind="hidden", session=ended or "")
    else:
        rooms.gone.mark_online("carol", replaces="alice")
        rooms.hides.mark_online("alice", kind="hidden", session=ended or "")
        rooms.hides.mark_online("carol")
    update, leave = [one for one in rooms.told(rooms.gone) if one.user == "alice"][-2:]
    assert (update.type, update.session, update.away) == ("update", "desk", True)
    assert (update.at.timestamp(), leave.type) == (over, "leave")
    rooms.assert_alike()


@pytest.mark.parametrize("first", FIRST, ids=str)
def test_whatever_a_user_does_while_hidden_nobody_sees(
    rooms: Rooms, clock: Clock, first: dict[str, Any]
) -> None:
    rooms.both("alice", **first)
    clock.now += 1
    rooms.gone.mark_offline("alice")
    rooms.hides.mark_online("alice", kind="hidden", session="tab")
    for wait in (1, 100, 100, 100, 300, 86_400):  # past the window, and much later
        clock.now += wait
        rooms.hides.mark_online("alice", session="tab")
        rooms.both("bob")
        rooms.assert_alike()
    rooms.hides.mark_offline("alice")
    rooms.assert_alike()
    clock.now += 300
    rooms.hides.mark_online("alice")  # as they left: hidden
    assert rooms.hides.lookup(["alice"], include_hidden=True)["alice"].kind == "hidden"
    clock.now += 300  # and now alice times out
    rooms.assert_alike()
    rooms.both("bob")
    rooms.assert_alike()


@pytest.mark.parametrize("kind", [None, "guest", "bot"])
@pytest.mark.parametrize("tab", ["", "tab"])
@pytest.mark.parametrize("info", [None, {"page": "/"}])
def test_showing_oneself_again_is_a_join(
    rooms: Rooms, clock: Clock, kind: Any, tab: str, info: dict[str, Any] | None
) -> None:
    rooms.both("alice", kind=kind, session=tab)
    clock.now += 1
    rooms.gone.mark_offline("alice")
    rooms.hides.mark_online("alice", kind="hidden", session=tab)
    clock.now += 1
    rooms.hides.mark_online("alice", session=tab)
    clock.now += 1
    rooms.both("alice", kind="member", session=tab, info=info)
    rooms.assert_alike()
    assert rooms.told(rooms.hides)[-1].type == "join"
    assert rooms.told(rooms.hides, hidden=True)[-1].type == "update"


def test_who_left_and_comes_back_hidden_is_still_gone(rooms: Rooms, clock: Clock) -> None:
    rooms.both("alice")
    clock.now += 10
    for room in (rooms.gone, rooms.hides):
        room.mark_offline("alice")
    clock.now += 10
    rooms.hides.mark_online("alice", kind="hidden")
    rooms.assert_alike()
    clock.now += 10
    rooms.hides.mark_offline("alice")
    rooms.assert_alike()


def test_who_was_never_seen_but_hidden_is_unknown(rooms: Rooms, clock: Clock) -> None:
    rooms.hides.mark_online("alice", kind="hidden")
    rooms.assert_alike()
    clock.now += 1
    rooms.hides.mark_offline("alice")
    rooms.assert_alike()
    clock.now += 600
    rooms.assert_alike()
    assert rooms.hides.get_user_last_activity("alice", include_hidden=True)


def test_who_times_out_and_comes_back_hidden_has_timed_out(rooms: Rooms, clock: Clock) -> None:
    rooms.both("alice")
    clock.now += 300
    rooms.both("bob")
    rooms.hides.mark_online("alice", kind="hidden")
    rooms.assert_alike()
    clock.now += 300
    rooms.both("bob")
    rooms.assert_alike()


def test_last_seen_is_that_before_hiding_and_the_real_one_is_known(
    rooms: Rooms, clock: Clock
) -> None:
    room = rooms.hides
    room.mark_online("alice")
    clock.now += 1
    room.mark_online("alice", kind="hidden")
    frozen = room.get_user_last_activity("alice")
    clock.now += 100
    room.mark_online("alice")
    assert room.get_user_last_activity("alice") == frozen
    real = room.get_user_last_activity("alice", include_hidden=True)
    assert real
    assert frozen
    assert frozen.timestamp() == clock.now - 101
    assert (real - frozen).total_seconds() == 101
    room.mark_offline("alice")
    assert room.get_user_last_activity("alice") == frozen
    assert room.get_user_last_activity("alice", include_hidden=True) == real


def test_those_who_ask_see_an_update_and_outsiders_a_leave(rooms: Rooms) -> None:
    rooms.hides.mark_online("alice", info={"page": "/"})
    rooms.hides.mark_online("alice", kind="hidden", info={"page": "/secret"})
    [shown] = [event for event in rooms.told(rooms.hides) if event.user == "alice"][1:]
    assert (shown.type, shown.reason, shown.kind) == ("leave", "left", "member")
    assert (shown.info, shown.away, shown.session) == (None, None, None)
    asked = rooms.told(rooms.hides, hidden=True)[-1]
    assert (asked.type, asked.kind, asked.info) == ("update", "hidden", {"page": "/secret"})


def test_a_room_with_nobody_but_the_hidden_is_listed_to_those_who_ask(
    clocked: herenow.Presence,
) -> None:
    clocked.room("secret").mark_online("alice", kind="hidden")
    clocked.room("open").mark_online("bob")
    assert [room.name for room in clocked.rooms()] == ["open"]
    assert {room.name for room in clocked.rooms(include_hidden=True)} == {"open", "secret"}


def test_a_leave_that_hides_is_later_than_the_last_seen(rooms: Rooms, clock: Clock) -> None:
    rooms.both("alice")
    clock.now += 10
    rooms.hides.mark_online("alice", kind="hidden")
    last_seen = rooms.hides.lookup(["alice"])["alice"].last_seen
    [leave] = [one for one in rooms.told(rooms.hides) if one.type == "leave"]
    assert last_seen
    assert (leave.at - last_seen).total_seconds() == 10


def test_sessions_of_the_hidden_time_begin_at_the_showing(rooms: Rooms, clock: Clock) -> None:
    room = rooms.hides
    room.mark_online("alice", kind="hidden", session="tab", info={"page": "/"})
    room.mark_online("alice", session="phone", away=True)
    clock.now += 10
    room.mark_online("alice", kind="member", session="desk")
    [shown] = room.lookup(["alice"]).values()
    assert {one.name for one in shown.sessions} == {"tab", "phone", "desk"}
    assert {one.last_seen.timestamp() for one in shown.sessions} == {clock.now}
    told = [(one.type, one.session, one.away, one.info) for one in rooms.told(room)][1:]
    assert told == [("join", "desk", False, {}), ("update", "tab", False, {"page": "/"}),
                    ("update", "phone", False, {})]  # fmt: skip


def test_a_history_begins_when_somebody_comes_who_shows(
    clocked: herenow.Presence, clock: Clock
) -> None:
    start, end = clock.now - 3600, clock.now + 3600
    span = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    clocked.mark_online("alice", kind="hidden")
    clock.now += 600
    clocked.sweep()
    clocked.mark_offline("alice")
    assert clocked.history(*span) == []
    assert len(clocked.history(*span, include_hidden=True)) == 11
    assert clocked.peak() == herenow.Peak(0, None)
    assert clocked.peak(include_hidden=True).count == 1
    clocked.mark_online("alice", kind="member")
    clocked.mark_online("carl", kind="hidden")
    clocked.mark_online("bob")
    [sample] = clocked.history(*span)
    assert sample.counts.member == 2
    assert clocked.peak().count == 2
    assert clocked.peak(include_hidden=True).count == 3
