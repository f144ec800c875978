"""A login on a site of many rooms: `leave_rooms` looks into the user's own, wherever they were marked."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from herenow import Counts, Sighting
from herenow.operations.keys import rooms_of_key
from tests.core.sides import SIDES, Side, opened
from tests.servers import Cluster, Server

MANY = 300
USER = "bob ünder {}:%"


@pytest.fixture(params=SIDES)
def name(request: pytest.FixtureRequest) -> str:
    """Which facade."""
    return str(request.param)


def noting(stack: ExitStack, name: str, url: str, **options: Any) -> Side:
    side = stack.enter_context(opened(name, url, timeout=5, **options))
    side.port.note_rooms()
    return side


def fill(url: str) -> None:
    """Put somebody into each of many rooms."""
    with opened("sync", url, buffered=True, timeout=10) as others:
        for i in range(MANY):
            others.room(f"room {i}").mark_online("somebody")
        others.flush()


def calls(*nodes: Server) -> int:
    """How many scripts the store has run."""
    stats = [one.control.info("commandstats") for one in nodes]
    return sum(
        said["calls"]
        for one in stats
        for name, said in one.items()
        if name in ("cmdstat_eval", "cmdstat_evalsha")
    )


@pytest.mark.parametrize("buffered", [True, False])
def test_it_costs_no_more_for_the_rooms_of_others(
    server: Server, name: str, buffered: bool
) -> None:
    fill(server.unix_url)
    with ExitStack() as stack:
        site = noting(stack, name, server.unix_url, buffered=buffered, resolution=0)
        there = noting(stack, name, server.unix_url, buffered=buffered, resolution=0)
        for session in (None, "", None):
            site.mark_online(USER)
            site.flush()
            for i, side in enumerate((site, site, there)):
                side.link(USER, f"room {i}")
            there.flush()
            site.flush()
            before = calls(server)
            assert site.port.leave_rooms(USER, session) == 3
            assert calls(server) - before <= 40
            assert not any(site.room(f"room {i}").is_online(USER) for i in range(3))
            assert site.room("room 2").counts() == Counts(member=1)


def test_on_a_cluster_it_costs_no_more_for_the_rooms_of_others(cluster: Cluster, name: str) -> None:
    fill(cluster.url)
    with ExitStack() as stack:
        site = noting(stack, name, cluster.url, buffered=True, resolution=0)
        there = noting(stack, name, cluster.url, resolution=0)
        for _ in range(2):
            site.mark_online(USER)
            site.flush()
            for i in range(10):
                (site, there)[i % 2].link(USER, f"room {i}")
            site.flush()
            before = calls(*cluster.alive())
            assert there.port.leave_rooms(USER) == 10
            assert calls(*cluster.alive()) - before <= 100


WAYS: dict[str, Callable[[Side, Side], object]] = {
    "plain": lambda room, _: room.mark_online(USER),
    "as a guest": lambda room, _: room.mark_online(USER, "guest"),
    "hidden": lambda room, _: room.mark_online(USER, "hidden"),
    "a session": lambda room, _: room.mark_online(USER, session="tab", info={"page": "/"}),
    "among many": lambda room, _: room.mark_online_many([*map(str, range(1500)), USER]),
    "as a sighting": lambda room, _: room.mark_online_many([Sighting(USER, away=True), "x"]),
    "late": lambda room, _: room.mark_online_many([Sighting(USER, age=1.5)]),
    "in the place of another": lambda room, _: room.mark_online(USER, replaces="guest"),
    "beside": lambda room, site: site.link(USER, room.name),
}


@pytest.mark.parametrize("resolution", [0, None])
@pytest.mark.parametrize("buffered", [True, False])
def test_it_finds_every_room_however_the_user_was_marked_there(
    server: Server, name: str, buffered: bool, resolution: int | None
) -> None:
    with ExitStack() as stack:
        options = {"buffered": buffered, "resolution": resolution}
        here, there = (noting(stack, name, server.unix_url, **options) for _ in range(2))
        for side in (here, there):
            side.mark_online(USER)
            for i, mark in enumerate(WAYS.values()):
                mark(side.room(f"{'here' if side is here else 'there'} {i}"), side)
            side.flush()
        assert here.port.leave_rooms(USER) == 2 * len(WAYS)
        assert [room.name for room in here.rooms(50) if USER in here.room(room.name).lookup([USER])]
        assert here.is_online(USER)


def test_who_stays_for_long_is_found(server: Server, name: str) -> None:
    with ExitStack() as stack:
        here, there = (noting(stack, name, server.unix_url, resolution=0) for _ in range(2))
        room = there.room("short", 1)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            room.mark_online(USER)
            time.sleep(0.05)
        assert here.port.leave_rooms(USER) == 1


def test_a_window_that_this_process_did_not_know(server: Server, name: str) -> None:
    with ExitStack() as stack:
        here, there = (noting(stack, name, server.unix_url) for _ in range(2))
        here.room("week", 7 * 86_400).mark_online("somebody")
        there.room("week").mark_online(USER)
        assert server.control.pttl(rooms_of_key("herenow:", USER)) > 7 * 86_400_000


def test_what_the_store_lost_or_forgot_is_noted_again(server: Server, name: str) -> None:
    with ExitStack() as stack:
        here, there = (noting(stack, name, server.unix_url, resolution=0) for _ in range(2))
        for lose in (server.control.flushall, lambda: here.forget(USER)):
            there.room("a").mark_online(USER)
            lose()
            assert server.control.exists(rooms_of_key("herenow:", USER)) == 0
            there.room("a").mark_online(USER)
            assert here.port.leave_rooms(USER) == 1


def test_nothing_is_noted_where_nobody_asked_for_it(server: Server, name: str) -> None:
    with opened(name, server.unix_url, timeout=5) as side:
        side.room("a").mark_online(USER)
        assert side.port.leave_rooms(USER) == 1
        assert server.control.keys("herenow:rooms-of:*") == []
    with opened(name, server.unix_url, timeout=5) as side:
        side.port.note_rooms()
        side.mark_online(USER)
        assert server.control.keys("herenow:rooms-of:*") == []
