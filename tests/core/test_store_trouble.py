"""A store that is not there, hangs, refuses, or holds what it should not: real servers, ill-treated.

Whatever happens, a method raises a StoreError (the right one), and nothing is half-written.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import herenow
from herenow import StoreError, StoreTimeout, StoreUnavailable
from herenow.lua import ROOM
from herenow.operations.keys import room_keys, rooms_key, uniques_keys
from herenow.store import breaker
from tests.conftest import SERVER, Clock
from tests.core.sides import SIDES, Side, assert_whole, contents, opened
from tests.core.test_clients import LIBRARIES, a_side
from tests.operations import ASKING, READS, WRITES, Call, stock
from tests.servers import HOST, Server, binary, start_cluster, start_replica, start_server
from tests.waiting import once_back, poll


@pytest.fixture(params=SIDES)
def name(request: pytest.FixtureRequest) -> str:
    """Which facade."""
    return str(request.param)


@pytest.fixture
def own(name: str) -> Iterator[Server]:
    """A store to be ill-treated, with something in it."""
    with start_server(binary(SERVER)) as server:
        with opened(name, server.url) as side:
            stock(side)
        yield server


def all_raise(side: Side, error: type[StoreError], says: str = ".", most: float = 1.0) -> None:
    """Every public method raises it, in time; health answers."""
    for what, call in ASKING.items():
        began = time.monotonic()
        with pytest.raises(StoreError, match=says) as raised:
            call(side)
        assert type(raised.value) is error, (what, raised.value)
        assert time.monotonic() - began < most, what


# ------------------------------------------------------------ away


def test_a_store_that_dies_and_comes_back(name: str, own: Server) -> None:
    with opened(name, own.url, resolution=0) as side:
        assert side.is_online("alice")
        assert side.health().ok
        own.kill()
        all_raise(side, StoreUnavailable, "is not available")
        health = side.health()
        assert (health.ok, health.latency) == (False, None)
        assert side.name == "site"
        assert side.port.beat_seconds == 100
        own.restart()  # with nothing in it
        assert once_back(side.counts) == herenow.Counts()
        poll(lambda: side.health().ok, "its health")
        assert side.health().since > health.since
        assert side.mark_online("alice") is True
        assert [room.name for room in side.rooms()] == ["site"]
        assert [event.type for event in side.explain("alice").events] == ["join"]


def test_a_store_that_was_never_there(name: str, own: Server) -> None:
    began = time.monotonic()
    own.kill()
    for url in (own.url, own.unix_url):
        with opened(name, url) as side:
            all_raise(side, StoreUnavailable)
            assert not side.health().ok
    with opened(name, own.url, buffered=True) as side:
        assert side.mark_online("new") is None
        assert side.mark_online_many(["newer"]) is None
        for call in READS.values():
            with pytest.raises(StoreUnavailable):
                call(side)
        own.restart()
        assert once_back(lambda: side.lookup(["new", "newer"]))["newer"].online
    assert time.monotonic() - began < 30  # to open a client is no try


def test_a_store_that_hangs(name: str, own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # what each method says of itself; test_breaker tells of what stops them from waiting
    monkeypatch.setattr(breaker, "TRIPS", 1_000)
    hasty = opened(name, own.url, resolution=0, timeout=0.05)
    with opened(name, own.url, resolution=0) as side, hasty as hasty_side:
        assert side.counts() == hasty_side.counts()
        own.pause()
        all_raise(hasty_side, StoreTimeout, "in time", most=0.5)
        for what in ("mark_online", "counts", "rooms", "forget"):
            began = time.monotonic()
            with pytest.raises(StoreTimeout):
                ASKING[what](side)
            assert time.monotonic() - began < 1
        health = side.health()
        own.resume()
        assert (health.ok, health.latency) == (False, None)
        assert once_back(lambda: side.is_online("bob"))  # no late answer is taken for this one's
        assert side.lookup(["bob"])["bob"].kind == "member"
        assert side.counts().bot in (1, 2)  # what was sent may have been done
    assert_whole(own.control)


def test_a_cluster_that_dies(name: str) -> None:
    with start_cluster(binary(SERVER), masters=1) as cluster, ExitStack() as stack:
        port = cluster.nodes[0].port
        sides = [stack.enter_context(opened(name, cluster.url, resolution=0))]
        for library in LIBRARIES:
            given = a_side(library, name, "cluster", port, resolution=0)
            sides.append(stack.enter_context(given))
        for side in sides:
            side.mark_online("alice")
        cluster.nodes[0].kill()
        for side in sides:
            all_raise(side, StoreUnavailable)
            assert not side.health().ok


def test_a_store_that_is_busy_with_a_script(name: str, own: Server) -> None:
    own.control.config_set("busy-reply-threshold", 50)

    def hold() -> None:
        with (
            redis.Redis(HOST, own.port, socket_timeout=30) as client,
            pytest.raises(redis.ResponseError, match="killed"),
        ):
            client.eval("while true do end", 0)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        with opened(name, own.url, timeout=1) as side:
            poll(partial(says_busy, own), "the server to be busy")
            all_raise(side, StoreError, "BUSY|busy running a script")
            assert side.health().ok is False
            own.control.script_kill()
            thread.join()
            assert side.is_online("alice")
    finally:
        if thread.is_alive():
            own.control.script_kill()
            thread.join()


def says_busy(server: Server) -> bool:
    try:
        server.control.ping()
    except redis.ResponseError as error:
        return "busy" in str(error).lower()
    return False


def test_a_store_that_is_loading(name: str, own: Server) -> None:
    own.control.mset({f"key {i}": "x" * 100 for i in range(3000)})
    own.control.save()
    own.kill()
    own.args += ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"]
    own.launch()
    impatient = redis.Redis(unix_socket_path=own.socket, retry=Retry(NoBackoff(), 0), protocol=2)
    with impatient, opened(name, own.url) as side:
        poll(partial(says_loading, impatient), "the server to load")
        for what in ("counts", "mark_online", "rooms", "room_counts", "forget"):
            with pytest.raises(StoreUnavailable, match="oading"):
                ASKING[what](side)
        assert not side.health().ok


def says_loading(client: Any) -> bool:
    try:
        client.ping()
    except redis.BusyLoadingError:
        return True
    except redis.ConnectionError:
        pass
    return False


# ------------------------------------------------------------ not let in


def test_a_wrong_password(name: str) -> None:
    with start_server(binary(SERVER), password="right") as server:
        for url in (server.url.replace("right", "wrong"), server.url.replace(":right@", "")):
            with opened(name, url) as side:
                all_raise(side, StoreUnavailable)
                assert not side.health().ok


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "rules", ["-evalsha -eval", "resetkeys ~other:*"], ids=["commands", "keys"]
)
def test_a_user_without_permission(name: str, own: Server, library: str, rules: str) -> None:
    own.control.execute_command("ACL", "SETUSER", "u", "on", "nopass", "~*", "&*", "+@all")
    own.control.execute_command("ACL", "SETUSER", "u", *rules.split())
    before = contents(own.control)
    with a_side(library, name, "single", own.port, username="u", password="x") as side:
        all_raise(side, StoreUnavailable, "ermission")
    assert contents(own.control) == before


def test_a_replica_without_its_master(name: str, own: Server) -> None:
    with start_replica(own, "--replica-serve-stale-data", "no") as replica:
        own.kill()
        poll(
            lambda: replica.control.info("replication")["master_link_status"] == "down", "the loss"
        )
        for library in LIBRARIES:
            with a_side(library, name, "single", replica.port) as side:
                all_raise(side, StoreUnavailable, "Link with MASTER is down")


# ------------------------------------------------------------ refusing to write


@contextmanager
def out_of_memory(server: Server) -> Iterator[str]:
    server.control.config_set("maxmemory", 1)
    yield "maxmemory"
    server.control.config_set("maxmemory", 0)


@contextmanager
def out_of_disk(server: Server) -> Iterator[str]:
    server.control.config_set("save", "3600 1")
    (server.directory / "dump.rdb").mkdir(exist_ok=True)
    with suppress(redis.ResponseError):  # it may have begun by itself
        server.control.bgsave()
    info = server.control.info
    poll(lambda: info("persistence")["rdb_last_bgsave_status"] == "err", "the failure to save")
    yield "unable to persist to disk"
    server.control.config_set("save", "")


@pytest.mark.parametrize("trouble", [out_of_memory, out_of_disk])
def test_a_store_that_takes_no_writes(
    name: str, own: Server, trouble: Callable[[Server], Any]
) -> None:
    refused, clock = set(), Clock(time.time())
    for what, call in WRITES.items():
        own.control.flushall()
        with opened(name, own.url, resolution=0, clock=clock) as side:
            stock(side)
            before = contents(own.control)
            expected = [read(side) for read in READS.values()]
            with trouble(own) as says:
                assert [read(side) for read in READS.values()] == expected
                try:
                    call(side)
                except StoreError as error:
                    assert says in str(error)  # noqa: PT017 - one that goes on is whole
                    assert contents(own.control) == before, what
                    refused.add(what)
            if what != "forget":
                assert_whole(own.control)
            assert side.mark_online("after") is True
    # with memory out, what begins by removing may go on; and a sweep with nobody due writes nothing
    assert refused >= {"mark_online, again", "mark_online, a session"}
    if trouble is out_of_disk:
        assert refused == {*WRITES} - {"sweep"}


def test_a_read_only_replica(name: str, own: Server) -> None:
    clock = Clock(time.time())
    with (
        start_replica(own) as replica,
        opened(name, own.url, resolution=0, clock=clock) as master,
        opened(name, replica.url, resolution=0, clock=clock) as side,
    ):
        master.mark_online("alice")
        master.sweep()
        assert own.control.wait(1, 5000) == 1
        before = contents(replica.control)
        for what, call in READS.items():
            assert call(side) == call(master), what
        assert side.sweep() == 0  # nothing was due, nothing is written
        clock.now += 250  # nobody is gone yet
        for what, call in WRITES.items():
            if what == "sweep":
                clock.now += 1000
            with pytest.raises(StoreError, match="read only replica"):
                call(side)
        assert contents(replica.control) == before


# ------------------------------------------------------------ what should not be there

KEYS = dict(zip(ROOM, room_keys("herenow:", "site"), strict=True))
KEYS["rooms"] = rooms_key("herenow:")
DAY = int(time.time()) // 86_400
UNIQUES = [uniques_keys("herenow:", "site", day)[0] for day in (DAY - 1, DAY, DAY + 1)]


# A plain mark looks only at what it needs; a sweep has no need of the list of rooms.
NOT_CARING: dict[str, set[str]] = {
    "mark_online": {*ROOM} - {"meta", "online:member", "events"},
    "mark_online, again": {*ROOM} - {"meta", "online:member"},
    "sweep": {"rooms"},
}


def refusing() -> Any:
    return pytest.raises(StoreError, match="WRONGTYPE")


@pytest.mark.parametrize("title", WRITES)
def test_a_wrong_type_is_an_error_and_nothing_is_changed(
    name: str, server: Server, title: str
) -> None:
    for key, raw in KEYS.items():
        server.control.flushall()
        with opened(name, server.unix_url, resolution=0) as side:
            stock(side)
        server.control.hset(KEYS["samples"], "1", "1 1 0 0 0")
        server.control.expire(KEYS["samples"], 3600)
        assert server.control.delete(raw) == 1, key
        if name == "sync":
            server.control.set(raw, "x")
        else:
            server.control.rpush(raw, "x")
        server.control.expire(raw, 3600)
        before = contents(server.control)
        with opened(name, server.unix_url, resolution=0) as side:
            may_not_care = NOT_CARING.get(title, set())
            with suppress(StoreError) if key in may_not_care else refusing():
                WRITES[title](side)
        if key in may_not_care:
            assert server.control.dump(raw) == before[raw]
        else:
            assert contents(server.control) == before, key


@pytest.mark.parametrize("call", READS.values(), ids=READS)
def test_a_wrong_type_is_an_error_of_reads(name: str, server: Server, call: Call) -> None:
    server.control.flushall()
    for key in (*KEYS.values(), *UNIQUES):
        server.control.set(key, "x", ex=3600)
    with (
        opened(name, server.unix_url) as side,
        refusing(),
    ):
        call(side)


@pytest.mark.parametrize("key", KEYS)
def test_what_was_evicted_heals(name: str, server: Server, key: str) -> None:
    url = server.unix_url
    with opened(name, url, resolution=0) as side, opened(name, url, resolution=0) as another:
        stock(side)
        side.mark_online_many(range(1500))  # the counter of events runs ahead of the clock
        last = int(side.snapshot().event_id.split("-")[0])
        for what, call in WRITES.items():
            server.control.delete(KEYS[key])
            call(side)
            another.mark_online(f"after {what}")
            event = another.explain(f"after {what}").events[0]
            assert (event.type, int(event.id) > last) == ("join", True), what
            last = int(event.id)
        for call in READS.values():
            server.control.delete(KEYS[key])
            call(side)
        with opened(name, url) as newcomer:
            newcomer.mark_online("a newcomer")
            assert [room.name for room in newcomer.rooms()] == ["site"]
        entries: Any = server.control.xrange(KEYS["events"])
        stored = [int(entry.split(b"-")[0]) for entry, _ in entries]
        assert stored == sorted(stored)
