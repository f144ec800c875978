"""The list of rooms: exact whatever its scores say, complete whatever dies; windows; forgetting."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Self

import pytest
import redis
import redis.asyncio.connection
import redis.connection

from herenow import Counts, Peak, Room, Sighting
from herenow.operations import marking, rooms, upkeep
from herenow.operations.keys import room_keys
from tests.conftest import Clock
from tests.core.sides import SIDES, Side, contents, opened
from tests.servers import HOST, Cluster, Server
from tests.waiting import poll

LIST = "herenow:rooms"
HOUR = 1e-7  # of a score's fraction, by which the list tells one hour from another


@pytest.fixture(params=SIDES)
def name(request: pytest.FixtureRequest) -> str:
    """Which facade."""
    return str(request.param)


@pytest.fixture
def side(name: str, server: Server, clock: Clock) -> Iterator[Side]:
    """A facade by the test's clock, that sends every mark."""
    with opened(name, server.unix_url, resolution=0, clock=clock, timeout=5) as made:
        yield made


def fill(side: Side, room: str, count: int, **said: Any) -> None:
    side.room(room).mark_online_many([Sighting(f"{room} {i}", **said) for i in range(count)])


def busiest(found: list[Room]) -> list[tuple[str, int]]:
    return [(room.name, room.counts.people + room.counts.bot) for room in found]


# ------------------------------------------------------------ exact


def test_hundreds_of_rooms_busiest_first(side: Side) -> None:
    sizes = {f"room {i}": random.Random(i).randrange(1, 40) for i in range(330)}
    for room, size in sizes.items():
        fill(side, room, size)
    expected = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    for limit in (1, 7, 99, 100, 101, 330, 1000):
        assert busiest(side.rooms(limit)) == expected[:limit]
    assert busiest(side.rooms()) == expected[:50]


def test_counts_follow_by_ones(side: Side) -> None:
    sizes = {f"other {i:03}": 20 + i % 2 for i in range(120)}
    for other, size in sizes.items():
        fill(side, other, size)
    room = side.room("moving")
    for size in (*range(1, 31), *range(29, -1, -1)):
        if f"user {size + 1}" in room.get_online_users():
            room.mark_offline(f"user {size + 1}")
        else:
            room.mark_online(f"user {size}")
        expected = sorted((sizes | {"moving": size}).items(), key=lambda one: (-one[1], one[0]))
        assert busiest(side.rooms(121)) == [one for one in expected if one[1]]
        assert side.room_counts(["moving"])["moving"].member == size


def test_top_rooms_that_timed_out_unswept(side: Side, clock: Clock, server: Server) -> None:
    for i in range(150):
        fill(side, f"was busy {i}", 20)
    clock.now += 299.999
    for i in range(30):
        fill(side, f"is busy {i:02}", i + 1)
    assert busiest(side.rooms(2))[1][1] == 29
    assert len(side.rooms(1000)) == 180
    clock.now += 0.001
    before = contents(server.control)
    assert busiest(side.rooms(3)) == [("is busy 29", 30), ("is busy 28", 29), ("is busy 27", 28)]
    assert len(side.rooms(1000)) == 30
    assert contents(server.control) == before  # reads never write


def test_every_kind_counts_and_the_hidden_alone_do_not(side: Side) -> None:
    fill(side, "guests", 3, kind="guest")
    fill(side, "bots", 2, kind="bot")
    fill(side, "hidden", 4, kind="hidden")
    side.room("mixed").mark_online("a")
    side.room("mixed").mark_online("b", "hidden")
    listed = [
        Room("guests", Counts(guest=3)),
        Room("mixed", Counts(1, 1)),
        Room("bots", Counts(bot=2)),
    ]
    assert sorted(side.rooms(), key=str) == sorted(listed, key=str)
    everything = side.rooms(include_hidden=True)
    assert everything[0] == Room("hidden", Counts(hidden=4))
    assert len(everything) == 4


def test_hiding_does_not_show_in_the_order(side: Side) -> None:
    fill(side, "three", 3)
    fill(side, "two", 2)
    for i in range(5):
        side.room("two").mark_online(f"hidden {i}", "hidden")
    assert [room.name for room in side.rooms()] == ["three", "two"]
    assert [room.name for room in side.rooms(include_hidden=True)] == ["two", "three"]


# ------------------------------------------------------------ complete


def test_a_crash_between_a_touch_and_the_list_heals_within_the_hour(
    side: Side, server: Server
) -> None:
    for i in range(100):
        fill(side, f"large {i}", 20)
        fill(side, f"small {i}", 2)
    side.room("crashed").mark_online("user")
    scope = side.presence._outbox.scopes.room("crashed", None)
    many = [marking.Mark(f"user {i}") for i in range(200)]
    assert side.wait(side.presence._engine.call(marking.touch(scope, many))).listed == 201
    # here it dies: the list says 1, and the room itself believes that it says 201
    assert dict(busiest(side.rooms(1000)))["crashed"] == 201
    server.control.hincrby("herenow:{crashed}:meta", "renewed", -3600)  # an hour goes by
    side.room("crashed").mark_online("user")  # who was there: no count moves
    assert busiest(side.rooms(1)) == [("crashed", 201)]


class Monitor:
    """What a server is told, and what its scripts do, while in the block."""

    def __init__(self, server: Server) -> None:
        self._monitor: Any = redis.Redis(HOST, server.port, protocol=2).monitor()
        self._server = server
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        self._monitor.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.control.echo("monitored so far")
        for line in self._monitor.listen():
            if "monitored so far" in line["command"]:
                break
            self.lines.append(line["command"])
        self._monitor.__exit__(None, None, None)

    def first(self, *words: str) -> int:
        return next(i for i, line in enumerate(self.lines) if line.split(" ")[:2] == [*words])


WAYS: dict[str, Callable[[Side], Any]] = {
    "mark_online": lambda room: room.mark_online("a"),
    "mark_online, told more": lambda room: room.mark_online("a", "guest", "tab"),
    "mark_online_many": lambda room: room.mark_online_many(["a", "b"]),
    "aged": lambda room: room.mark_online_many([Sighting("a", age=5)]),
    "mark_offline": lambda room: room.mark_offline("a"),
}


@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_room_is_listed_before_its_first_touch(
    name: str, server: Server, way: Callable[[Side], Any], buffered: bool
) -> None:
    with opened(name, server.url, buffered=buffered) as side, Monitor(server) as monitor:
        for room in ("one", "two"):
            way(side.room(room))
            side.flush()
    for room in ("one", "two"):
        listed = next(
            i
            for i, line in enumerate(monitor.lines)
            if line.startswith(f"ZADD {LIST}") and line.endswith(room)
        )
        assert listed < monitor.first("HSET", f"herenow:{{{room}}}:meta")
        assert listed < next(
            i
            for i, line in enumerate(monitor.lines)
            if line.startswith("Z") and f"{{{room}}}" in line
        )


def vanish(server: Server, room: str, hours: int) -> None:
    """Have a room gone with its TTLs, some hours after it was put on the list."""
    server.control.delete(*room_keys("herenow:", room))
    score: Any = server.control.zscore(LIST, room)
    server.control.zadd(LIST, {room: score - hours * HOUR})


def listed(server: Server) -> set[str]:
    found: Any = server.control.zrange(LIST, 0, -1)
    return {room.decode() for room in found}


def test_rooms_that_vanished_are_taken_off_the_list(side: Side, server: Server) -> None:
    for i in range(20):
        fill(side, f"gone {i}", 3)
        vanish(server, f"gone {i}", 800)
    side.mark_online("alice")
    assert busiest(side.rooms()) == [("site", 1)]

    def tidied() -> bool:  # every room that is listed looks at two others, by dice
        fill(side, f"new {len(listed(server))} {time.monotonic()}", 1)
        return not any(room.startswith("gone") for room in listed(server))

    poll(tidied, "the vanished rooms to be taken off")
    assert "site" in listed(server)


def test_a_room_touched_while_it_is_taken_off_stays(side: Side, name: str, server: Server) -> None:
    fill(side, "back", 3)
    vanish(server, "back", 3)
    run = side.presence._engine.batch

    def batch(*operations: Any) -> list[Any]:
        return list(side.wait(run(operations)))

    # what another process does: it sees the room stale, and gone ...
    [seen] = batch(rooms.listed("herenow:", 0, -1))
    [back] = [one for one in seen if one.room == "back"]
    assert batch(upkeep.sweep(side.presence._outbox.scopes.room("back", None))) == [None]
    # ... somebody comes, by a process that has not been there for so long ...
    with opened(
        name, server.unix_url, resolution=0, clock=side.presence._outbox.scopes.clock
    ) as another:
        another.room("back").mark_online("first")
    # ... and now it takes the room off.
    assert batch(rooms.delist("herenow:", back)) == [False]
    assert busiest(side.rooms()) == [("back", 1)]
    vanish(server, "back", 3)
    [seen] = batch(rooms.listed("herenow:", 0, -1))
    assert batch(rooms.delist("herenow:", seen[0])) == [True]
    assert listed(server) == set()


# ------------------------------------------------------------ many at once


@pytest.fixture
def packets(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """The connections that something was sent on, each time."""
    module: Any = redis.connection if name == "sync" else redis.asyncio.connection
    send, sent = module.AbstractConnection.send_packed_command, []

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        sent.append(self)
        return send(self, *args, **kwargs)

    monkeypatch.setattr(module.AbstractConnection, "send_packed_command", counted)
    return sent


def test_counts_of_many_rooms_are_one_round_trip(side: Side, packets: list[Any]) -> None:
    names = [f"room {i}" for i in range(300)]
    for i, room in enumerate(names):
        fill(side, room, i % 7)
    side.room_counts(names)
    packets.clear()
    assert side.room_counts(names) == {room: Counts(i % 7) for i, room in enumerate(names)}
    assert len(packets) == 1
    assert side.room_counts([]) == {}
    assert len(packets) == 1
    assert side.room_counts([5, "5", "nowhere"]) == {"5": Counts(), "nowhere": Counts()}


def test_peaks_of_many_rooms_are_one_round_trip(side: Side, packets: list[Any]) -> None:
    names = [f"room {i}" for i in range(30)]
    for i, room in enumerate(names):
        fill(side, room, i % 7)
    side.port.room_peaks(names)  # the store has the script now
    packets.clear()
    peaks = side.port.room_peaks(names)
    assert {room: peak.count for room, peak in peaks.items()} == {
        room: i % 7 for i, room in enumerate(names)
    }
    assert len(packets) == 1
    assert side.port.room_peaks([5, "nowhere"], "guest") == {
        "5": Peak(0, None),
        "nowhere": Peak(0, None),
    }


def test_counts_are_one_round_trip_a_node(name: str, cluster: Cluster, packets: list[Any]) -> None:
    names = [f"room {i}" for i in range(60)]
    with opened(name, cluster.url, resolution=0, timeout=5) as side:
        for i, room in enumerate(names):
            fill(side, room, i % 7)
        side.room_counts(names)
        packets.clear()
        assert side.room_counts(names) == {room: Counts(i % 7) for i, room in enumerate(names)}
        assert len(packets) == 3
        assert len({one.port for one in packets}) == 3
        assert busiest(side.rooms(1)) == [("room 13", 6)]
        assert len(side.rooms(1000)) == 51


# ------------------------------------------------------------ windows


def stored_window(server: Server, room: str) -> Any:
    return server.control.hget(f"herenow:{{{room}}}:meta", "window")


def test_whose_window_a_room_has(name: str, server: Server, clock: Clock, caplog: Any) -> None:
    def another(**options: Any) -> Any:
        return opened(name, server.unix_url, resolution=0, clock=clock, timeout=5, **options)

    with (
        another() as first,
        another(window=60) as second,
        another(window=timedelta(hours=1)) as third,
    ):
        first.room("a").mark_online("alice")
        assert stored_window(server, "a") == b"300000"  # the default, kept from now on
        second.room("a").mark_online("bob")  # names one for `site` alone
        assert stored_window(server, "a") == b"300000"
        second.room("b").mark_online("bob")
        assert stored_window(server, "b") == b"60000"
        second.mark_online("bob")
        assert stored_window(server, "site") == b"60000"
        first.mark_online("alice")
        assert (stored_window(server, "site"), first.explain("alice").window) == (b"60000", 60)

        before = contents(server.control)
        with pytest.raises(ValueError, match="60 s"):
            third.count_online_users(61)
        third.room("b", 10).counts()
        third.room("b", 10).rooms()
        third.room("c", 10).snapshot()
        assert contents(server.control) == before  # a read stores nothing

        clock.now += 60
        third.mark_online("cyd")  # its hour is stored, and revives nobody
        assert stored_window(server, "site") == b"3600000"
        assert "the window of room 'site' is now 3600 s; it was 60 s" in caplog.text
        assert first.get_online_users() == ["cyd"]
        assert [one.reason for one in first.explain("alice").events] == ["timeout", None]
        clock.now += 3599
        assert first.is_online("cyd")
        first.room("site", 30).mark_online("dee")  # shorter: whoever is over by it is over
        assert first.get_online_users() == ["dee"]
        assert third.explain("cyd").window == 30


# ------------------------------------------------------------ forgetting


@pytest.mark.parametrize("buffered", [False, True])
def test_a_user_is_forgotten_in_every_room(name: str, server: Server, buffered: bool) -> None:
    options: dict[str, Any] = {"buffered": True} if buffered else {"resolution": 0}
    with opened(name, server.unix_url, **options) as side:
        for i in range(120):
            side.room(f"room {i}").mark_online("alice", session="t", info={"secret": "s3cret"})
            side.room(f"room {i}").mark_online("bob")
        for i in range(60):
            side.room(f"room {i}").mark_offline("alice")
        side.room("room 119").mark_online("alice", "hidden")
        side.mark_online("cyd", replaces="alice")
        assert side.forget("alice") == 121
        stored = b" ".join(contents(server.control).values())
        assert b"bob" in stored
        for secret in (b"alice", b"s3cret"):
            assert not any(secret in value for value in everything(server)), secret
        for i in (0, 59, 60, 119):
            user = side.room(f"room {i}").lookup(["alice"], include_hidden=True)["alice"]
            assert (user.online, user.last_seen, user.sessions) == (False, None, ())
            assert side.room(f"room {i}").explain("alice", include_hidden=True).events == ()
            assert side.room(f"room {i}").get_online_users() == ["bob"]
        assert side.forget("alice") == 0
        side.mark_online("alice")
        assert side.is_online("alice")


def everything(server: Server) -> Iterator[bytes]:
    """Every name and value under every key."""
    client: Any = server.control
    for key in client.scan_iter(count=1000):
        kind = client.type(key)
        if kind == b"zset":
            yield from client.zrange(key, 0, -1)
        elif kind == b"hash":
            yield from [text for pair in client.hgetall(key).items() for text in pair]
        elif kind == b"string":  # a HyperLogLog, of hashes
            yield client.get(key)
        else:
            yield from [value for _, fields in client.xrange(key) for value in fields.values()]
