"""One bad master of a cluster is nobody else's trouble: other rooms go on, and a failover is no error."""

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest

import herenow
from herenow import StoreError
from tests.conftest import SERVER
from tests.core.sides import SIDES, Side, opened
from tests.servers import Cluster, Server, binary, start_cluster
from tests.waiting import in_time, once_back, poll

CASES = [  # each facade and each harm; all pairs in `make test-long`
    ("sync", "killed"),
    ("async", "hung"),
    pytest.param("sync", "hung", marks=pytest.mark.long),
    pytest.param("async", "killed", marks=pytest.mark.long),
]


@pytest.fixture(params=SIDES)
def name(request: pytest.FixtureRequest) -> str:
    """Which facade."""
    return str(request.param)


@pytest.fixture
def partial() -> Iterator[Cluster]:
    """Three masters of which the others go on when one is gone."""
    with start_cluster(binary(SERVER), "--cluster-require-full-coverage", "no") as cluster:
        yield cluster


@pytest.fixture
def doubled() -> Iterator[Cluster]:
    """Three masters with a replica each."""
    with start_cluster(binary(SERVER), replicas=1) as cluster:
        yield cluster


def room_on(cluster: Cluster, *, of: Server) -> str:
    """A room that this node serves."""
    return next(
        room
        for room in (f"doc-{i}" for i in range(1000))
        if cluster.node_of(f"herenow:{{{room}}}:meta") is of
    )


def two(cluster: Cluster) -> tuple[Server, str, str]:
    """A node, a room of it, and a room of another one, which keeps the list of rooms."""
    keeper = cluster.node_of("herenow:rooms")
    bad = next(node for node in cluster.nodes[: cluster.masters] if node is not keeper)
    return bad, room_on(cluster, of=bad), room_on(cluster, of=keeper)


def harm(node: Server, how: str) -> None:
    if how == "killed":
        node.kill()
    else:
        node.pause()


def mend(node: Server, how: str) -> None:
    if how == "killed":
        node.restart()
    else:
        node.resume()


def lines(caplog: pytest.LogCaptureFixture, least: int = logging.WARNING) -> list[str]:
    """What was logged of nodes of this cluster alone."""
    return [
        one.getMessage()
        for one in caplog.records
        if one.name == "herenow" and one.levelno >= least and "redis+cluster" in one.getMessage()
    ]


def breathe(side: Side, seconds: float) -> None:
    if side.runner is None:
        time.sleep(seconds)
    else:
        side.wait(asyncio.sleep(seconds))


@pytest.mark.parametrize("name, how", CASES)
def test_a_bad_master_takes_no_room_of_a_healthy_one_with_it(
    name: str, how: str, partial: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    bad, ill, well = two(partial)
    with opened(name, partial.url, resolution=0, timeout=1) as side:
        for room in (ill, well):
            side.room(room).mark_online("alice")
        harm(bad, how)
        failed, until = 0, time.monotonic() + 30
        while failed < 12 and time.monotonic() < until:
            try:
                side.room(ill).counts()
            except StoreError:
                failed += 1
            assert side.room(well).counts().member == 1
            assert side.room(well).is_online("alice")
            side.room(well).mark_online("alice")
            breathe(side, 0.05)
        assert failed == 12
        [line] = lines(caplog)
        assert f"{bad.port}" in line
        health = side.health()
        assert not health.ok
        assert health.breaker in ("open", "half-open")
        assert side.room(well).counts().member == 1
        mend(bad, how)

        def back() -> herenow.Counts:
            breathe(side, 0.02)
            counts: herenow.Counts = side.room(ill).counts()
            return counts

        once_back(back)
        poll(lambda: side.health().ok, "its health")
        assert len(lines(caplog)) == 2
        assert "answers again" in lines(caplog)[1]


@pytest.mark.parametrize("name, how", CASES)
def test_one_round_trip_of_many_rooms_answers_for_those_that_are_well(
    name: str, how: str, partial: Cluster
) -> None:
    bad, ill, well = two(partial)
    with (
        opened(name, partial.url, buffered=True, timeout=0.5) as side,
        herenow.Presence(partial.url, timeout=5) as other,
    ):
        for room in (ill, well):
            side.room(room).mark_online("alice")
            assert side.room(room).is_online("alice")
            other.room(room).counts()
        harm(bad, how)
        users = iter(range(1000))

        def attempt() -> float:
            user, began = f"u{next(users)}", time.monotonic()
            for room in (ill, well):
                side.room(room).mark_online(user)

            def told() -> bool:
                breathe(side, 0.02)
                return other.room(well).is_online(user)

            poll(told, "the mark in the room that is well")
            return time.monotonic() - began

        attempt()
        in_time(2, attempt)
        mend(bad, how)

        last = f"u{next(users) - 1}"

        def sent() -> bool:
            breathe(side, 0.02)
            return bool(other.room(ill).is_online(last))

        poll(sent, "what waited for the room that was ill")
        assert side.health().dropped == 0


@pytest.mark.parametrize("name, how", CASES)
def test_the_first_calls_after_a_failover_do_not_fail(
    name: str, how: str, doubled: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    master = doubled.node_of("herenow:{site}:meta")
    replica = doubled.nodes[doubled.masters + doubled.nodes.index(master)]
    rooms = [f"doc-{i}" for i in range(12)]
    with (
        opened(name, doubled.url, resolution=0, timeout=1) as marks,
        opened(name, doubled.url, resolution=0, timeout=1.1) as reads,
        opened(name, doubled.url, resolution=0, timeout=1.2) as batches,
    ):
        for side in (marks, reads, batches):
            side.mark_online("alice")
            side.room_counts(rooms)
        marks.room_counts(["site"])
        assert master.control.wait(1, 5000) == 1
        harm(master, how)
        poll(lambda: replica.control.role()[0] == b"master", "the failover")
        poll(
            lambda: all(
                node.control.cluster("INFO").get("cluster_state") == "ok"
                for node in doubled.alive()
                if node is not master
            ),
            "the cluster",
        )
        assert marks.mark_online("bob") is True
        assert reads.is_online("alice")
        assert batches.room_counts(["site", *rooms])["site"].member == 2
        assert lines(caplog) == []
        if how == "hung":
            master.resume()


@pytest.mark.parametrize("name, how", CASES)
@pytest.mark.parametrize("buffered", [False, True], ids=["at once", "buffered"])
def test_a_bad_master_with_the_list_of_rooms_leaves_the_others_writable(
    name: str, how: str, buffered: bool, partial: Cluster
) -> None:
    keeper = partial.node_of("herenow:rooms")
    well = [
        room
        for room in (f"doc-{i}" for i in range(100))
        if partial.node_of(f"herenow:{{{room}}}:meta") is not keeper
    ][:8]
    with opened(name, partial.url, resolution=0, timeout=1, buffered=buffered) as side:
        side.room(well[0]).mark_online("alice")
        assert side.room(well[0]).is_online("alice")
        harm(keeper, how)
        for room in well:  # of all but one nothing is known yet
            there = side.room(room)
            there.mark_online("alice")
            there.mark_online_many(["bob", herenow.Sighting("cy", session="tab")])
            there.mark_offline("bob")
            assert sorted(there.get_online_users()) == ["alice", "cy"]
            assert side.health().dropped == 0
        mend(keeper, how)

        def all_listed() -> bool:
            there.mark_online("alice")
            there.is_online("alice")
            # the first was listed before, and a killed node has lost that: it is listed again hourly
            return {room.name for room in side.rooms(100)} >= {*well[1:]}

        poll(all_listed, "the list to have them all")
