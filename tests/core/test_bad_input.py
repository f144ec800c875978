"""What callers may pass: every rule, through every method that takes it, on both facades.

What is refused is a ValueError that names the rule, and leaves the store as it was, byte for byte.
"""

import math
import re
import uuid
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import herenow
from herenow import Sighting
from herenow.operations.keys import room_keys, rooms_key
from tests.core.sides import SIDES, Side, opened
from tests.operations import taking
from tests.servers import Cluster, Server

Call = Callable[[Side, Any], Any]

CONTROLS = [chr(i) for i in (*range(0x20), *range(0x7F, 0xA0))]


def bad_names(what: str, most: int) -> list[tuple[Any, str]]:
    kinds = [b"alice", True, False, 1.5, math.nan, [], ("a",), {}, object()]
    return [
        *((one, f"{what} is a str, an int or a UUID, not {type(one).__name__}") for one in kinds),
        *((f"a{one}b", f"{what} has no control character") for one in CONTROLS),
        ("a\ud800", f"{what} has no lone surrogate"),
        ("\udfff", f"{what} has no lone surrogate"),
        ("x" * (most + 1), f"{what} has at most {most} UTF-8 bytes; this has {most + 1}"),
        ("é" * (most // 2) + "x", f"{what} has at most {most} UTF-8 bytes"),
        ("😀" * (most // 4 + 1), f"{what} has at most {most} UTF-8 bytes"),
        (10**most, f"{what} has at most {most} UTF-8 bytes"),
    ]


NO_NAME: list[tuple[Any, str]] = [("", "is not empty"), (None, "not NoneType")]
USERS: dict[str, Call] = {
    **taking("user"),
    "mark_online, told more": lambda p, x: p.mark_online(x, "guest", "tab", False, {"a": 1}),
    "mark_online_many": lambda p, x: p.mark_online_many(["new", x, "newer"]),
    "mark_online_many of Sightings": lambda p, x: p.mark_online_many(["new", Sighting(x)]),
    "mark_offline of a session": lambda p, x: p.mark_offline(x, "tab"),
    "lookup": lambda p, x: p.lookup(["alice", x] if isinstance(x, str) else (x,)),
}
REPLACED: dict[str, Call] = {
    "mark_online": lambda p, x: p.mark_online("new", replaces=x),
    "a Sighting": lambda p, x: p.mark_online_many([Sighting("new", replaces=x)]),
}
ROOMS: dict[str, Call] = {
    "room": lambda p, x: p.room(x),
    "room with a window": lambda p, x: p.room(x, 30),
    "room_counts": lambda p, x: p.room_counts(["site", x] if isinstance(x, str) else (x,)),
    "room_peaks": lambda p, x: p.port.room_peaks(["site", x] if isinstance(x, str) else (x,)),
}
SESSIONS: dict[str, Call] = {
    **taking("session"),
    "a Sighting": lambda p, x: p.mark_online_many(["new", Sighting("alice", session=x)]),
}


@pytest.mark.parametrize("call", USERS.values(), ids=USERS)
def test_a_user_is_held_to_every_rule(side: Side, refused: Any, call: Call) -> None:
    for bad, rule in [*bad_names("a user", 256), *NO_NAME]:
        with refused(rule):
            call(side, bad)


@pytest.mark.parametrize("call", REPLACED.values(), ids=REPLACED)
def test_a_user_who_is_replaced_is_held_to_every_rule(side: Side, refused: Any, call: Call) -> None:
    for bad, rule in [*bad_names("a user", 256), NO_NAME[0]]:
        with refused(rule):
            call(side, bad)
    with refused("a user does not replace themselves"):
        call(side, "new")


@pytest.mark.parametrize("call", ROOMS.values(), ids=ROOMS)
def test_a_room_is_held_to_every_rule(side: Side, refused: Any, call: Call) -> None:
    for bad, rule in [*bad_names("a room", 128), *NO_NAME]:
        with refused(rule):
            call(side, bad)


@pytest.mark.parametrize("call", SESSIONS.values(), ids=SESSIONS)
def test_a_session_is_held_to_every_rule(side: Side, refused: Any, call: Call) -> None:
    for bad, rule in [*bad_names("a session", 128), (b"", "not bytes")]:
        with refused(rule):
            call(side, bad)


def test_numbers_and_uuids_are_names(side: Side) -> None:
    some = uuid.UUID(int=5)
    for user in (7, 0, -7, 10**255, some):
        with side.session(user, session=0) as held:
            assert str(held.name) == "0"
            assert list(side.lookup([user, "alice"])) == [user, "alice"]
            assert side.lookup([user])[user].user == str(user)
            assert [one.name for one in side.lookup([user])[user].sessions] == ["0"]
            assert side.is_online(str(user))
        assert not side.is_online(user)
    assert side.mark_online("new", replaces=7) is True
    assert side.room(42).name == "42"
    assert side.room(some).name == str(some)
    assert side.room_counts([42])["42"].people == 0
    assert side.forget(7) == 1


def test_the_longest_names_are_names(side: Side) -> None:
    user, room, session = "é" * 128, "😀" * 32, "x" * 128
    there = side.room(room)
    assert there.mark_online(user, session=session) is True
    assert there.lookup([user])[user].sessions[0].name == session
    assert [one.name for one in side.rooms() if one.counts.member == 1] == ["narrow", room]
    assert there.page_online_users(limit=1).users[0].user == user


WORDS = """
{ } {} {a} a}b{c }{ : a:b :: % %7B %25 %s %% * ? [a-z] ^ $ \\ \\n ' \" ` ; | & / .. - -- -1 0 1e5
nan inf +inf -inf (1 WITHSCORES LIMIT XX plain strict online:member meta rooms {site}:meta 😀 ü
u\u0308 \u2028 \u2029 \u200b \ufeff \u202e \u3000 \U0010ffff null true [] <b> é\u0301
"""
ODD = re.findall("[^ \n]+", WORDS)
ODD += [" ", "  ", " a", "a ", "a b", "\xa0"]


def test_odd_names_are_names(side: Side) -> None:
    there = side.room("odd {room}: 100% *")
    for name in ODD:
        assert there.mark_online(name, session=name, info={name: name}) is True, name
        assert there.mark_online("who " + name, kind="guest") is True
    assert there.mark_online_many(ODD) == 0
    assert there.mark_online_many([Sighting("more " + name, away=True) for name in ODD]) == len(ODD)
    assert sorted(there.get_online_users()) == sorted([*ODD, *("more " + name for name in ODD)])
    for name, user in there.lookup(ODD).items():
        assert (user.user, user.online) == (name, True)
        assert {one.name: one.info for one in user.sessions if one.name} == {name: {name: name}}
        event = there.explain(name).events[-1]
        assert (event.type, event.user, event.session) == ("join", name, name)
        assert event.info == {name: name}
        assert there.mark_offline(name, name) is True
    assert there.forget("{a}") == 1
    assert there.counts() == herenow.Counts(member=len(ODD), guest=len(ODD))


def slots(cluster: Cluster, keys: tuple[bytes, ...]) -> set[int]:
    ask: Any = cluster.nodes[0].control.execute_command
    return {ask("CLUSTER", "KEYSLOT", key) for key in keys}


@pytest.mark.parametrize("name", SIDES)
def test_odd_rooms_stay_in_their_slot_and_apart(name: str, cluster: Cluster) -> None:
    with opened(name, cluster.url) as side:
        for i, room in enumerate(ODD):
            assert side.room(room).mark_online(f"user {i}", session="a", away=True) is True, room
            assert side.room(room).mark_offline(f"user {i}") is True
            assert side.room(room).mark_online_many([f"user {i}", f"guest {i}"]) == 2
        assert side.room_counts(ODD) == dict.fromkeys(ODD, herenow.Counts(member=2))
        assert sorted(one.name for one in side.rooms(limit=1000)) == sorted(ODD)
        for i, room in enumerate(ODD):
            assert sorted(side.room(room).get_online_users()) == [f"guest {i}", f"user {i}"]
    stored = {key for node in cluster.nodes for key in node.control.scan_iter(count=1000)}
    ours = [room_keys("herenow:", room) for room in ODD]
    assert stored <= {rooms_key("herenow:"), *(key for keys in ours for key in keys)}
    for room, keys in zip(ODD, ours, strict=True):
        assert len(slots(cluster, keys)) == 1, room
        assert len(stored.intersection(keys)) >= 4, room


marks = st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("{}:%*7B25 ")
texts = st.text(marks, min_size=1, max_size=32)


def test_any_two_rooms_have_no_key_in_common(cluster: Cluster) -> None:
    @settings(max_examples=100, deadline=None)
    @given(
        one=texts,
        other=texts,
        prefix=texts.filter(lambda p: not {*"{}"} & {*p} and p.isprintable()),
    )
    def check(one: str, other: str, prefix: str) -> None:
        keys = room_keys(prefix, one)
        assert len(slots(cluster, keys)) == 1
        assert len({*keys, rooms_key(prefix)}) == 12
        if one != other:
            assert not {*keys} & {*room_keys(prefix, other)}

    check()


def test_any_users_are_told_apart(presence: herenow.Presence, server: Server) -> None:
    @settings(max_examples=50, deadline=None)
    @given(room=texts, users=st.lists(texts, unique=True, min_size=1, max_size=4), session=texts)
    def check(room: str, users: list[str], session: str) -> None:
        server.control.flushall()
        there = herenow.Presence(server.client(), resolution=0).room(room)
        assert there.mark_online_many([Sighting(one, session=session) for one in users]) == len(
            users
        )
        assert there.mark_online_many(users) == 0
        assert {*there.get_online_users()} == {*users}
        assert there.explain(users[0]).events[-1].session == session
        assert there.mark_offline(users[0], session) is True
        assert [one.counts.member for one in presence.rooms()] == [len(users) - 1][: len(users) - 1]

    check()
