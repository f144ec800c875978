"""Moments: what was seen is recorded when it was, however late the store comes to it."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

import herenow
from herenow.clocks import StoreClock
from tests.conftest import SERVER
from tests.core.programs import run
from tests.core.sides import SIDES, Side, opened
from tests.core.test_buffer_processes import wrong_clock
from tests.servers import Server, binary, start_cluster, start_server
from tests.servers.distant import Distant
from tests.waiting import poll

MARKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "of a kind": {"kind": "guest"},
    "with a session": {"session": "tab", "info": {"page": "/"}},
}
HUNG = 3.0
LONG = pytest.mark.long
ONE_SIDE = ["sync", pytest.param("async", marks=LONG)]
"""What the engine does: its half for threads is generated from the one for asyncio."""


@pytest.fixture
def frail() -> Iterator[Server]:
    with start_server(binary(SERVER)) as server:
        yield server


def now(server: Server) -> float:
    seconds, microseconds = server.control.time()
    return float(seconds + microseconds / 1e6)


def pause(side: Side, seconds: float) -> None:
    if side.runner is None:
        time.sleep(seconds)
    else:
        side.wait(asyncio.sleep(seconds))


def forget(side: Side) -> None:
    """Have nobody send once more what was sent in vain: as of a process that ends."""
    buffer = side.presence._outbox.buffer
    for flight in buffer.flying:
        flight.kept.clear()
    buffer.start_anew()


def seen(url: str, room: str, user: str) -> float:
    with herenow.Presence(url, timeout=5) as other:
        at = other.room(room).get_user_last_activity(user)
    assert isinstance(at, datetime)
    return at.timestamp()


@pytest.mark.parametrize(
    "name, how",
    [
        *((name, "by the flusher") for name in SIDES),
        ("sync", "by a read"),
        ("async", "of the first"),
        pytest.param("async", "by a read", marks=LONG),
        pytest.param("sync", "of the first", marks=LONG),
    ],
)
def test_what_was_sent_to_a_store_that_hangs_is_recorded_when_it_was(
    frail: Server, name: str, how: str
) -> None:
    with opened(name, frail.unix_url, buffered=True) as side:
        room = side.room("doc")
        if how != "of the first":
            room.mark_online("first")
        else:
            side.mark_online("first")
        side.flush()
        marked = {}
        for user, said in MARKS.items():
            marked[user] = now(frail)
            room.mark_online(user, **said)
        if how == "of the first":  # of a room that this process has only put on the list
            side.presence._outbox.rooms._listed["doc"] = time.clock_gettime(time.CLOCK_BOOTTIME)
        frail.pause()
        try:
            if how == "by the flusher":
                pause(side, 1)
            else:
                with contextlib.suppress(herenow.StoreError):
                    room.counts()
            forget(side)
            pause(side, HUNG)
        finally:
            frail.resume()
        poll(lambda: frail.control.zscore("herenow:{doc}:online:guest", "of a kind"), "the marks")
        for user, moment in marked.items():
            late = seen(frail.unix_url, "doc", user) - moment
            assert -0.001 < late < HUNG / 2, user


@pytest.mark.parametrize("name", ONE_SIDE)
def test_what_waited_is_recorded_when_it_was_where_the_store_has_lost_the_script(
    server: Server, name: str
) -> None:
    with (
        Distant(server.socket, 1.0) as distant,
        opened(name, distant.url, buffered=True, timeout=10) as side,
    ):
        for user in ("first", "second", "third"):  # the way is known, and how long it takes
            side.mark_online(user)
            side.flush()
        server.control.script_flush()
        marked = now(server)
        side.mark_online("alice", kind="guest")
        side.flush()
        late = seen(server.unix_url, "site", "alice") - marked
        assert (
            0 < late < 1.2
        )  # half a way there; a second more if it were reckoned from the second try


@pytest.mark.parametrize("name", ONE_SIDE)
def test_on_a_cluster_each_node_has_a_clock_of_its_own(name: str) -> None:
    with (
        start_cluster(binary(SERVER), masters=2) as cluster,
        opened(name, cluster.url, buffered=True) as side,
    ):
        for i in range(8):
            side.room(f"doc:{i}").mark_online("first")
        side.flush()
        marked = now(cluster.nodes[0])
        for i in range(8):
            side.room(f"doc:{i}").mark_online("alice", kind="guest")
        for node in cluster.nodes:
            node.pause()
        try:
            pause(side, HUNG)
        finally:
            for node in cluster.nodes:
                node.resume()
        with herenow.Presence(cluster.url, timeout=5) as other:
            for i in range(8):
                there = other.room(f"doc:{i}")
                poll(lambda there=there: there.counts().guest, "the mark")  # type: ignore[misc]
                at = there.get_user_last_activity("alice")
                assert at is not None
                assert -0.01 < at.timestamp() - marked < HUNG / 2


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_store_whose_clock_was_set_is_told_right_ages(
    server: Server, presence: herenow.Presence, hours: int
) -> None:
    with herenow.Presence(server.unix_url, buffered=True, timeout=5) as buffered:
        buffered.mark_online("first")
        buffered.flush()
        memory = buffered._outbox.rooms
        for one in (memory._clock, *memory._clocks.values()):  # as if it had been set since
            assert one._known is not None
            one._known = (one._known[0] + hours * 3_600_000, one._known[1])
        marked = now(server)
        buffered.mark_online("alice")
        poll(lambda: presence.is_online("alice"), "the mark")
        assert 0 <= seen(server.unix_url, "site", "alice") - marked < 30
        assert not buffered.is_online("bob")
        marked = now(server)
        buffered.mark_online("bob")
        assert buffered.is_online("bob")


def test_the_stores_clock_is_known_to_the_time_of_the_best_answer() -> None:
    clock = StoreClock()
    assert clock.at_latest(5.0) is None
    assert clock.learn(1_000_000, 10.0, 10.2) == 0
    assert clock.at_latest(10.2) == 1_000_201
    assert clock.learn(1_001_000, 11.099, 11.101) == 0  # it was asked for 98 ms later
    assert clock.at_latest(11.101) == 1_001_003
    assert clock.learn(1_002_000, 12.0, 12.5) == 0  # known better
    assert clock.at_latest(12.1) == 1_002_003
    assert clock.at_latest(1012.1) == 2_002_103  # they part
    assert 3_599_000 < clock.learn(4_602_000, 12.0, 12.5) < 3_600_000  # set
    assert clock.learn(1_003_000, 13.0, 13.1) == 0  # and back
    assert clock.at_latest(13.1) == 1_003_101


# repeats


WAYS: dict[str, dict[str, Any]] = {"plain": {}, **MARKS, "as it is": {"away": False}}


@pytest.mark.parametrize(
    "name, many",
    [
        pytest.param("sync", False, id="sync-one"),
        pytest.param("async", True, id="async-many"),
        pytest.param("sync", True, id="sync-many", marks=LONG),
        pytest.param("async", False, id="async-one", marks=LONG),
    ],
)
def test_a_repeat_is_one_within_the_resolution_of_the_mark_not_of_its_answer(
    server: Server, name: str, many: bool
) -> None:
    with (
        Distant(server.socket, 0.7) as distant,
        opened(name, distant.url, resolution=0.8, timeout=30) as side,
    ):
        side.mark_online_many(["first", herenow.Sighting("one", "guest")])

        def mark(way: str) -> None:
            if many:
                side.mark_online_many([herenow.Sighting(way, **WAYS[way])])
            else:
                side.mark_online(way, **WAYS[way])

        for way in ("plain", "of a kind"):
            began = time.monotonic()
            mark(way)
            before = seen(server.unix_url, "site", way)
            pause(side, max(0.0, began + 0.85 - time.monotonic()))
            mark(way)
            assert seen(server.unix_url, "site", way) > before, way


# the day


@pytest.mark.parametrize("offset", ["-1d", "+1d"])
@pytest.mark.parametrize("buffered", [False, True])
def test_a_clock_a_day_off_costs_no_call_more(server: Server, offset: str, buffered: bool) -> None:
    text = f"""
with herenow.Presence(URL, buffered={buffered}, resolution=0, timeout=10) as presence:
    for i in range(3):
        presence.mark_online(f"first-{{i}}")
        presence.flush()
    print(presence.client.info("commandstats").get("cmdstat_evalsha", {{}}).get("calls", 0))
    for i in range(40):
        presence.mark_online(f"u{{i % 20}}")
        presence.flush()
    print(presence.client.info("commandstats")["cmdstat_evalsha"]["calls"])
"""
    environment = {
        "LD_PRELOAD": wrong_clock(),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    printed, _ = run(server.unix_url, text, environment=environment)
    before, after = map(int, printed.split())
    assert after - before < 60  # a few to keep the list of rooms
    with herenow.Presence(server.unix_url, timeout=5) as other:
        assert other.unique_users() == 23
