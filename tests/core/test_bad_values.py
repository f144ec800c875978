"""What callers may pass beside names: info, windows, limits, cursors, clients, clocks; 32 sessions.

What is refused is a ValueError that names the rule, and leaves the store as it was, byte for byte.
"""

import math
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
import redis
import redis.asyncio
from hypothesis import given, settings

import herenow
from herenow import Sighting
from tests.conftest import Clock
from tests.core.sides import SIDES, Side, enter, opened
from tests.core.test_bad_input import USERS
from tests.operations import methods, taking
from tests.servers import Server

Call = Callable[[Side, Any], Any]

# ------------------------------------------------------------ info, kinds, away, ages


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth else {}


CIRCLE: dict[str, Any] = {}
CIRCLE["a"] = CIRCLE
NO_OBJECTS: list[Any] = [[], "{}", b"{}", 1, True, ("a",), {"a"}]
NO_VALUES: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    b"",
    {1},
    object(),
    "\ud800",
    uuid.UUID(int=1),
]
NO_JSON: list[Any] = [{"\ud800": 1}, {("a",): 1}, CIRCLE, {"a": 1, 2: 3}]
BAD_INFO: list[tuple[Any, str]] = [
    ({"a": "x" * 1017}, "info has at most 1024 bytes as JSON; this has 1025"),
    ({"é" * 509: "x"}, "info has at most 1024 bytes"),
    *((one, "info is a JSON object") for one in NO_OBJECTS),
    *(({"a": [one]}, "info is JSON") for one in NO_VALUES),
    *((one, "info is JSON") for one in NO_JSON),
]
NO_KINDS: list[Any] = ["", "admin", "Member", "members", b"member", True, 1, ["member"], {}]
NO_AWAYS: list[Any] = ["", "yes", 0, 1, 1.0, b"1", []]
NO_AGES: list[Any] = [
    -1,
    -0.001,
    math.nan,
    math.inf,
    True,
    None,
    "1",
    b"1",
    timedelta(-1),
    10**12,
    [],
]
TOLD: dict[str, Callable[..., Any]] = {
    "mark_online": lambda p, **said: p.mark_online("alice", **said),
    "mark_online of a stranger": lambda p, **said: p.mark_online("new", **said),
    "a Sighting": lambda p, **said: p.mark_online_many(["new", Sighting("alice", **said)]),
    "session": lambda p, **said: enter(lambda: p.session("alice", **said)),
}


@pytest.mark.parametrize("call", TOLD.values(), ids=TOLD)
def test_what_a_mark_says_is_held_to_every_rule(
    side: Side, refused: Any, call: Callable[..., Any]
) -> None:
    for info, rule in BAD_INFO:
        with refused(rule):
            call(side, info=info)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with refused("info is JSON"):
        call(side, info={"a": deep})
    for kind in NO_KINDS:
        with refused("a kind is one of member, hidden, guest, bot"):
            call(side, kind=kind)
    side.mark_online("alice", away=True)
    for away in NO_AWAYS:
        with refused("away is True, False or None"):
            call(side, away=away)


def test_info_of_1024_bytes_is_shown_as_it_was_given(side: Side) -> None:
    for info in (
        {"a": "x" * 1016},
        {"a": "é" * 508},
        nested(150),
        {"\t\n\x00\x7f\u2028": '"\\\t\n'},
    ):
        side.mark_online("alice", session="tab", info=info)
        assert side.lookup(["alice"])["alice"].info == info
        assert side.explain("alice").events[0].info == info


def test_an_age_is_held_to_every_rule(side: Side, refused: Any) -> None:
    for age in NO_AGES:
        with refused("an age is"):
            side.mark_online_many(["new", Sighting("alice", age=age)])
    assert side.mark_online_many([Sighting("new", age=0.001)]) == 1


# ------------------------------------------------------------ windows, limits, cursors

NO_SECONDS = [
    0,
    -1,
    -0.5,
    math.nan,
    math.inf,
    -math.inf,
    0.0001,
    10**12,
    timedelta(0),
    timedelta(-1),
]
NO_SECONDS += [True, False, "60", b"60", [], {}, 1j]
ACTIVE = {name: call for name, call in taking("window").items() if "active" in name}
WINDOWED: dict[str, Call] = {
    **{name: call for name, call in taking("window").items() if name not in {*ACTIVE, "room"}},
    "hidden": lambda p, x: p.count_online_users(x, "hidden"),
    "all": lambda p, x: p.get_online_users(x, include_hidden=True),
}


@pytest.mark.parametrize("call", WINDOWED.values(), ids=WINDOWED)
def test_a_window_is_at_most_the_room_s(side: Side, refused: Any, call: Call) -> None:
    for window in NO_SECONDS:
        with refused("a window is"):
            call(side, window)
    with refused("a window is at most the room's, 300 s; asked was 300.001 s"):
        call(side, 300.001)
    call(side, 300)
    narrow = Side(type(side.presence)(side.client).room("narrow"), side.runner)  # names none
    with refused("a window is at most the room's, 30 s; asked was 31 s"):
        call(narrow, timedelta(seconds=31))
    call(narrow, 30)


@pytest.mark.parametrize("call", ACTIVE.values(), ids=ACTIVE)
def test_an_active_window_is_at_most_the_retention(side: Side, refused: Any, call: Call) -> None:
    for window in [*NO_SECONDS, None]:
        with refused("a window "):
            call(side, window)
    with refused("a window is at most the retention"):
        call(side, timedelta(days=30, seconds=1))
    call(side, timedelta(days=30))


def test_a_room_s_window_is_held_to_every_rule(side: Side, refused: Any) -> None:
    for window in NO_SECONDS:
        with refused("a window is"):
            side.room("x", window)


LIMITED = taking("limit")


@pytest.mark.parametrize("call", LIMITED.values(), ids=LIMITED)
def test_a_limit_is_a_whole_number_of_at_least_1(side: Side, refused: Any, call: Call) -> None:
    for limit in (0, -1, True, False, 1.5, 1.0, math.nan, "1", b"1", [1], 2**40, 10**400):
        with refused("a limit is a whole number"):
            call(side, limit)
    for limit in (1, 2**31):
        call(side, limit)


@pytest.mark.parametrize("method", sorted(taking("kind").keys() & methods("read")))
def test_a_kind_asked_for_is_one_of_four(side: Side, refused: Any, method: str) -> None:
    none = ["people", "member:at"] if method == "peak" else [None]  # of a peak, None is everybody's
    for kind in [*NO_KINDS, *none]:
        with refused("a kind is one of"):
            taking("kind")[method](side, kind)


def test_a_cursor_is_one_that_a_page_gave(side: Side, refused: Any) -> None:
    good = side.page_online_users(limit=1).cursor
    bad: list[Any] = [
        good[:1],
        good[:-1] + "é",
        "=" + good,
        "*" + good,
        " " + good,
        good + "\n",
        "x" * 401,
    ]
    bad += [
        "",
        "a",
        "AAAA",
        "////",
        "____",
        "=",
        "\ud800",
        "😀",
        b"",
        good.encode(),
        0,
        True,
        [good],
    ]
    bad += [
        "OTk5OQ",
        "MSA",
        "MS41IGE",
        "bmFuIGE",
        "aW5mIGE",
    ]  # 9999|1 |1.5 a|nan a|inf a
    for cursor in bad:
        with refused("a cursor is one that a page gave"):
            side.page_online_users(1, cursor)


def test_no_text_for_a_cursor_breaks_a_page(presence: herenow.Presence) -> None:
    @settings(max_examples=200, deadline=None)
    @given(cursor=st.text(max_size=500) | st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True))
    def check(cursor: str) -> None:
        try:
            page = presence.page_online_users(1, cursor)
        except ValueError as error:
            assert "a cursor is one that a page gave" in str(error)  # noqa: PT017
        else:
            assert len(page.users) <= 1

    presence.mark_online_many(["a", "b"])
    check()


def test_a_cursor_of_another_room_is_harmless(side: Side) -> None:
    other = side.room("other")
    other.mark_online_many([f"user {i}" for i in range(5)])
    cursor = other.page_online_users(limit=2).cursor
    everybody = side.get_online_users()
    assert [one.user for one in side.page_online_users(50, cursor).users] == everybody
    cursor = side.page_online_users(limit=1).cursor
    assert side.room("nobody").page_online_users(50, cursor) == herenow.Page((), None)
    assert side.page_online_users(50, cursor, kind="guest").cursor is None


# ------------------------------------------------------------ many, sessions, clients, clocks

MANY: dict[str, Call] = {
    **taking("sightings"),
    **taking("users"),
    **taking("rooms"),
    "room_peaks": lambda p, x: p.port.room_peaks(x),
}


@pytest.mark.parametrize("call", MANY.values(), ids=MANY)
def test_many_is_a_list(side: Side, refused: Any, call: Call) -> None:
    for many in ("alice", b"alice", "", None, 5, True, object(), {"alice": "guest"}, Sighting("a")):
        with refused("is a list of"):
            call(side, many)
    empties: list[Any] = [[], (), set(), iter([])]
    for empty in empties:
        assert not call(side, empty)


def test_a_33rd_session_changes_nothing(side: Side, refused: Any) -> None:
    for i in range(31):  # "tab" is the first
        side.mark_online("alice", session=f"tab {i}")
    side.mark_online("alice", away=False)  # and the unnamed one is beside them
    assert len(side.lookup(["alice"])["alice"].sessions) == 33
    one_more = Sighting("alice", "guest", "one more", away=True, info={"a": 1}, replaces="bob")
    rule = "a user has at most 32 sessions"
    with refused(rule):
        side.mark_online("alice", "guest", "one more", True, {"a": 1}, "bob")
    for batch in ([one_more], ["new", "bob", one_more], [one_more, Sighting("gus", away=True)]):
        with refused(rule):
            side.mark_online_many(batch)
    with refused(rule):
        side.mark_online_many([Sighting("alice", session="one more", age=2.5)])
    assert side.mark_online("alice", session="tab 30", info={"still": "there"}) is False
    assert side.mark_offline("alice", "tab 30") is False
    assert side.mark_online("alice", session="one more") is False


@pytest.mark.parametrize("name", SIDES)
def test_a_33rd_session_that_was_buffered_is_dropped_alone(name: str, server: Server) -> None:
    with opened(name, server.unix_url, buffered=True) as side:
        side.mark_online_many([Sighting("alice", session=f"tab {i}") for i in range(33)])
        side.mark_online("bob")
        assert sorted(side.get_online_users()) == ["alice", "bob"]
        assert len(side.lookup(["alice"])["alice"].sessions) == 32
        assert side.health().dropped == 1


def test_a_client_is_of_the_right_kind(server: Server) -> None:
    blocking, awaiting = server.client(), redis.asyncio.Redis(port=server.port)
    wrong = [
        None,
        5,
        b"redis://",
        object(),
        redis.Redis,
        blocking.connection_pool,
        blocking.pipeline(),
    ]
    for make, others in (
        (herenow.Presence, [*wrong, awaiting, herenow.AsyncPresence(awaiting)]),
        (herenow.AsyncPresence, [*wrong, blocking, herenow.Presence(blocking)]),
    ):
        for client in others:
            with pytest.raises(ValueError, match="a client is a"):
                make(client)


MADE: dict[str, tuple[list[Any], str]] = {
    "window": (NO_SECONDS, "a window is"),
    "retention": (NO_SECONDS, "a retention is"),
    "timeout": ([*NO_SECONDS, None], "a timeout is"),
    "resolution": (
        [-1, math.nan, math.inf, True, "1", b"1", 10**12, timedelta(-1)],
        "a resolution is",
    ),
    "prefix": (["{", "a}b", "a\n", "\x7f", "x" * 129, None, b"x", 5, "\ud800"], "a prefix"),
    "clock": ([5, 1.5, "now", True, object()], "clock is a function"),
}


@pytest.mark.parametrize("keyword", MADE)
def test_a_presence_is_made_by_the_rules(keyword: str) -> None:
    values, rule = MADE[keyword]
    for make in (herenow.Presence, herenow.AsyncPresence):
        for value in values:
            with pytest.raises(ValueError, match=rule):
                make(**{keyword: value})
        for window, resolution in ((None, 300), (10, 10), (10, timedelta(seconds=11))):
            with pytest.raises(ValueError, match="a resolution is shorter than the window"):
                make(window=window, resolution=resolution)
        make(prefix="", resolution=0, window=timedelta(seconds=0.001))
        make(prefix="p%:é ", resolution=299.9)


NONSENSE: list[Any] = [
    None,
    "now",
    b"1",
    math.nan,
    math.inf,
    -math.inf,
    -1.0,
    True,
    [1],
    1j,
    1_700_000_000_000.0,
]


@pytest.mark.parametrize("resolution", [None, 0])
@pytest.mark.parametrize("name", SIDES)
def test_a_clock_gives_unix_seconds(
    name: str, resolution: float | None, server: Server, clock: Clock, refused: Any
) -> None:
    with opened(name, server.unix_url, clock=clock, resolution=resolution) as side:
        side.mark_online("alice")
        for moment in NONSENSE:
            clock.now = moment
            for call in (*USERS.values(), *WINDOWED.values()):
                if call is not USERS["forget"]:  # which asks no clock
                    with refused(r"clock\(\) gives Unix seconds"):
                        call(side, 10 if call in WINDOWED.values() else "alice")
        clock.now = 100.0  # early, and yet a moment
        side.room("early").mark_online_many([Sighting("a", age=150), Sighting("b", age=160)])
        page = side.room("early").page_online_users(limit=1)
        assert side.room("early").page_online_users(1, page.cursor).users[0].user == "b"
