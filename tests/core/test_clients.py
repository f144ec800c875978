"""The same answers by every client: redis-py's and valkey-py's, single and cluster, sync and async.

And what clients live through: scripts that are gone, failovers, forks, being closed.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import pytest
import redis
import redis.asyncio.client
import redis.client

import herenow
from herenow import Sighting
from herenow.operations.events import Place
from tests.conftest import SERVER, Clock
from tests.core.sides import SIDES, Side, opened
from tests.servers import HOST, Server, binary, start_cluster
from tests.waiting import poll

LIBRARIES = ("redis", "valkey")
ROOMS = ("doc:1", "{doc}:2", "drei 3%")
INFO = {"page": "/ü/😀", "deep": {"a": [1, 2.5, None, True]}, 'q"': "\t\n\\"}


def make_client(library: str, side: str, topology: str, port: int, **options: Any) -> Any:
    """Make a client as an application would, by the library's own names."""
    package = library if side == "sync" else f"{library}.asyncio"
    name = library.capitalize()
    if topology == "single":
        return getattr(import_module(f"{package}.client"), name)(host=HOST, port=port, **options)
    return getattr(import_module(f"{package}.cluster"), f"{name}Cluster")(HOST, port, **options)


@contextmanager
def a_side(library: str, side: str, topology: str, port: int, **options: Any) -> Iterator[Side]:
    """A facade on a client handed in, which is closed too."""
    ours = {name: options.pop(name) for name in ("clock", "resolution") if name in options}
    made = make_client(library, side, topology, port, **options)
    with opened(side, made, **ours) as given:
        try:
            yield given
        finally:
            given.wait(made.close() if side == "sync" else made.aclose())


def scenario(side: Side, clock: Clock) -> list[Any]:
    """Every operation, and all that they answer; event ids count from the first one."""
    said: list[Any] = []
    for name in ROOMS:
        room = side.room(name, 60)
        said += [*writes(room, clock), *reads(room)]
        clock.now += 58
        said += [room.sweep(), room.peak(), room.peak("guest"), room.peak("bot"), room.counts()]
        clock.now += 10
    said += [side.mark_online_many(["alice", "zoe"]), side.mark_online_many([]), side.lookup([])]
    said += [side.room_counts([*ROOMS, "site", "nowhere"])]
    said += [side.rooms(), side.rooms(1), side.rooms(include_hidden=True)]
    said += [side.forget("alice"), side.forget("alice"), side.room(ROOMS[0]).lookup(["alice"])]
    return [*said, side.rooms()]


def writes(room: Side, clock: Clock) -> Iterator[Any]:
    yield room.mark_online("alice")
    yield room.mark_online("alice", session="tab", info=INFO, away=False)
    yield room.mark_online("bøb", "guest", "tab ü", True, {"a": "b"})
    clock.now += 1
    many = [Sighting(f"user {i}", age=i) for i in range(8)]
    yield room.mark_online_many(
        ["alice", *many, Sighting("hid", "hidden"), Sighting("c3p0", "bot")]
    )
    yield room.mark_online("bøb the member", replaces="bøb")
    yield room.mark_online("user 3", away=True)
    yield room.mark_offline("user 7")
    yield room.mark_offline("alice", session="no such")
    yield room.mark_offline("alice", session="tab")
    with room.session("eve", info=INFO, session="s") as held:
        clock.now += 1
        held.update(away=True)
        yield room.lookup(["eve", "alice", "bøb", 7, "hid", "c3p0"])


def reads(room: Side) -> Iterator[Any]:
    yield room.lookup(["hid", "eve"], include_hidden=True)
    yield [room.is_online(one) for one in ("user 1", "user 7", "hid")]
    yield [room.get_user_last_activity(one) for one in ("user 1", "user 7", "nobody")]
    for hidden in (False, True):
        cursor = "first"
        while cursor:
            page = room.page_online_users(
                3, None if cursor == "first" else cursor, include_hidden=hidden
            )
            cursor = page.cursor
            yield page
        snapshot = room.snapshot(3, include_hidden=hidden)
        first, moment, *_ = Place.parse(snapshot.event_id)
        yield replace(snapshot, event_id=str(moment))
        yield room.get_online_users(include_hidden=hidden)
        yield room.get_active_users(3600, include_hidden=hidden)
        yield room.count_active_users(3600, include_hidden=hidden)
        for user in ("alice", "hid", "eve"):
            why = room.explain(user, include_hidden=hidden)
            shown = [replace(one, id=str(Place.parse(one.id).number - first)) for one in why.events]
            yield str(why), replace(why, events=tuple(shown))
    yield [room.get_online_users(kind=kind) for kind in ("member", "hidden", "guest", "bot")]
    yield [room.get_online_users(5, "member", 2), room.count_online_users(3)]
    yield room.count_online_users(kind="hidden", include_hidden=True)


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What the scenario says, by a URL."""
    return {}


@pytest.fixture
def answers(server: Server, expected: dict[str, Any]) -> list[Any]:
    """What every client must say; and that it is something."""
    if not expected:
        clock = Clock()
        with opened("sync", server.url, clock=clock, resolution=0) as side:
            expected["answers"] = scenario(side, clock)
        server.control.flushall()
    found: list[Any] = expected["answers"]
    assert found[:4] == [True, False, True, 10]
    assert found[-1] == [herenow.Room("site", herenow.Counts(member=1))]
    return found


@pytest.mark.parametrize("decode", [False, True], ids=["bytes", "str"])
@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("topology", ["single", "cluster"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_client_gives_the_same_answers(
    *,
    library: str,
    side: str,
    topology: str,
    protocol: int,
    decode: bool,
    answers: list[Any],
    server: Server,
    request: pytest.FixtureRequest,
) -> None:
    clock, port = Clock(), server.port
    if topology == "cluster":
        port = request.getfixturevalue("cluster").nodes[0].port
    options = {"protocol": protocol, "decode_responses": decode}
    with a_side(library, side, topology, port, clock=clock, resolution=0, **options) as given:
        for one, other in zip(scenario(given, clock), answers, strict=True):
            assert one == other


# ------------------------------------------------------------ scripts that are gone


class Forgetful(Side):
    """A facade whose server has lost every script before each call."""

    def __getattr__(self, name: str) -> Any:
        self.control.script_flush()
        return super().__getattr__(name)

    def room(self, name: Any, window: Any = None) -> Side:
        there = Forgetful(self.presence.room(name, window), self.runner)
        there.control = self.control
        return there

    control: Any


@pytest.mark.parametrize("side", SIDES)
def test_lost_scripts_change_no_answer(side: str, server: Server, answers: list[Any]) -> None:
    clock = Clock()
    with opened(side, server.url, clock=clock, resolution=0) as given:
        forgetful = Forgetful(given.presence, given.runner)
        forgetful.control = server.control
        assert scenario(forgetful, clock) == answers


class LosingPipeline(redis.client.Pipeline):
    """Two commands, SCRIPT FLUSH, and the others."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        self.command_stack.insert(2, (("SCRIPT", "FLUSH"), {}))
        replies = super().execute(raise_on_error)
        assert replies.pop(2) in (True, b"OK")
        return replies


class AsyncLosingPipeline(redis.asyncio.client.Pipeline):
    """The same of redis.asyncio."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        self.command_stack.insert(2, (("SCRIPT", "FLUSH"), {}))
        replies = await super().execute(raise_on_error)
        assert replies.pop(2) in (True, b"OK")
        return replies


def lose_scripts(client: Any) -> None:
    """Have the server lose every script in the middle of each pipeline of a client."""
    kind: Any = LosingPipeline if isinstance(client, redis.Redis) else AsyncLosingPipeline
    client.pipeline = lambda transaction: kind(
        client.connection_pool, client.response_callbacks, transaction, None
    )


@pytest.mark.parametrize("side", SIDES)
def test_scripts_lost_in_the_middle_of_a_pipeline(side: str, server: Server) -> None:
    rooms = [f"room {i}" for i in range(10)]
    with a_side("redis", side, "single", server.port) as given:
        lose_scripts(given.client)
        for i, room in enumerate(rooms):
            given.room(room).mark_online_many(range(i + 1))
        given.counts()  # loads the script: two of ten find it
        counts = given.room_counts(rooms)
        assert [counts[room].member for room in rooms] == list(range(1, 11))
        assert [room.name for room in given.rooms()] == rooms[::-1]
        assert given.forget(0) == 10


@pytest.mark.parametrize("side", SIDES)
def test_a_read_sees_what_is_buffered_though_the_touch_is_not_there(
    side: str, server: Server
) -> None:
    with opened(side, server.url, buffered=True) as given:
        for name in ("alice", "bob", "cyd"):
            server.control.script_flush()
            assert name not in given.get_online_users()  # loads the script that reads, and no other
            given.mark_online(name)
            assert name in given.get_online_users()
            given.mark_online(name + " too")
            assert given.mark_offline(name + " too") is True
            assert not given.is_online(name + " too")


def test_a_failover_takes_the_scripts_along() -> None:
    with start_cluster(binary(SERVER), replicas=1) as cluster, ExitStack() as stack:
        sides = [stack.enter_context(opened(side, cluster.url, resolution=0)) for side in SIDES]
        for i, side in enumerate(sides):
            assert side.mark_online(f"before {i}") is True
        master = cluster.node_of("herenow:{site}:meta")
        assert master.control.wait(1, 5000) == 1
        master.kill()

        def answered(side: Side) -> bool:
            try:
                return bool(side.is_online("before 0"))
            except herenow.StoreError:
                return False

        for i, side in enumerate(sides):
            poll(partial(answered, side), "an answer after the failover")
            assert side.mark_online_many([f"after {i}", "before 1"]) == 1
            assert side.room_counts(["site", *ROOMS])["site"].member == 3 + i
            assert [one.type for one in side.explain(f"after {i}").events] == ["join"]


# ------------------------------------------------------------ whose a client is


def connected(*servers: Server) -> set[tuple[int, str]]:
    """Who is connected by TCP, beside the cluster's own nodes."""
    return {
        (server.port, one["id"])
        for server in servers
        for one in server.control.client_list()
        if one["laddr"].endswith(f":{server.port}")
    }


@pytest.mark.parametrize("topology", ["single", "cluster"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_client_handed_in_stays_the_caller_s(
    library: str, side: str, topology: str, request: pytest.FixtureRequest
) -> None:
    nodes = [request.getfixturevalue("server")]
    if topology == "cluster":
        nodes = request.getfixturevalue("cluster").nodes
    before = connected(*nodes)
    with a_side(library, side, topology, nodes[0].port) as given:
        client = given.client
        assert given.room("another").client is client
        given.mark_online("alice")
        ours = connected(*nodes) - before
        assert ours
        given.wait(given.presence.close())
        assert given.wait(client.exists("herenow:{site}:meta")) == 1
        assert given.is_online("alice")
        assert given.client is client
        assert ours <= connected(*nodes)  # none was closed


@pytest.mark.parametrize("side", SIDES)
def test_a_client_made_here_is_closed_and_made_again(side: str, server: Server) -> None:
    before = connected(server)
    with opened(side, server.url) as given:
        first = given.client
        given.mark_online("alice")
        assert connected(server) > before
        given.wait(given.presence.close())
        poll(lambda: connected(server) <= before, "the close")
        assert given.is_online("alice")
        assert given.client is not first


# ------------------------------------------------------------ forks

FORKS = """
import os, sys
import herenow

what, url, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = {"buffered": what == "buffered", "resolution": 0}
if what in ("redis", "valkey"):
    from importlib import import_module
    client = getattr(import_module(what), what.capitalize())(port=port)
    presence = herenow.Presence(client, **options)
elif what == "cluster":
    import redis.cluster
    presence = herenow.Presence(redis.cluster.RedisCluster("127.0.0.1", port), **options)
else:
    presence = herenow.Presence(url, **options)
if sys.argv[4] == "used":
    presence.mark_online("before")
    presence.counts()
children = []
for i in range(3):
    child = os.fork()
    if child == 0:
        for j in range(100):
            presence.mark_online(f"child {i}")
            assert presence.is_online(f"child {i}")
            assert not presence.is_online("nobody")
        presence.close()
        os._exit(0)
    children.append(child)
for j in range(100):
    presence.mark_online("parent")
    assert presence.is_online("parent")
    assert presence.lookup(["parent"])["parent"].user == "parent"
assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
presence.mark_online("after")
print(*sorted(presence.get_online_users()), sep=",")
presence.close()
"""


@pytest.mark.parametrize(
    "what, used",
    [
        *(("url", used) for used in ("used", "not used")),
        *(("buffered", used) for used in ("used", "not used")),
        *((what, "used") for what in ("redis", "valkey", "cluster")),
    ],
)
def test_a_presence_is_used_on_both_sides_of_a_fork(
    what: str, used: str, server: Server, request: pytest.FixtureRequest
) -> None:
    port = server.port
    if what == "cluster":
        port = request.getfixturevalue("cluster").nodes[0].port
    done = subprocess.run(
        [sys.executable, "-c", FORKS, what, server.url, str(port), used],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    before = ["before"] if used == "used" else []
    assert done.stdout.strip().split(",") == [
        "after",
        *before,
        "child 0",
        "child 1",
        "child 2",
        "parent",
    ]
