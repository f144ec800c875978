"""Several scripts in one round trip: what they cost, and what comes of one that the store has not got.

Whatever the store lacks, and wherever in the round trip that is noticed: every operation is run exactly
once, in order, and answers as it would have; and once a store knows the scripts, none is sent.
"""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

import herenow
from herenow import lua
from herenow.operations import Operation, marking, online, upkeep, users
from herenow.outbox.outbox import Outbox
from herenow.store.commands import as_commands
from tests.conftest import SERVER, Clock
from tests.core.accesses import FILES
from tests.core.sides import SIDES, assert_whole, opened
from tests.operations import READS, Call, stock
from tests.servers import Cluster, Server, binary, start_cluster
from tests.waiting import poll

PAGES = 20
MOST = 3_000
"""Bytes to the store a page: those of the marks and of the question, but none of a script's text."""
ROOMS = ("site", "one", "two")


def received(*nodes: Server) -> int:
    return sum(int(one.control.info("stats")["total_net_input_bytes"]) for one in nodes)


def bytes_a_page(ask: Callable[[int], object], *nodes: Server) -> float:
    """What the store is sent each time, once it and the process know each other."""
    for i in range(3):
        ask(-1 - i)
    before = received(*nodes)
    for i in range(PAGES):
        ask(i)
    return (received(*nodes) - before) / PAGES


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("name", SIDES)
def test_a_buffered_read_sends_no_script(server: Server, name: str, read: Call) -> None:
    with opened(name, server.unix_url, buffered=True, timeout=5) as side:
        stock(side)

        def ask(page: int) -> None:
            side.mark_online(f"visitor {page}")
            read(side)

        assert bytes_a_page(ask, server) < MOST


@pytest.mark.parametrize("name", SIDES)
def test_a_buffered_read_sends_none_on_a_cluster(cluster: Cluster, name: str) -> None:
    with opened(name, cluster.url, buffered=True, timeout=5) as side:
        rooms = [side.room(room) for room in ROOMS]

        def ask(page: int) -> None:
            for room in rooms:
                room.mark_online(f"visitor {page}")
            assert rooms[page % 3].snapshot().counts.member > 0
            side.room_counts(ROOMS)

        assert bytes_a_page(ask, *cluster.alive()) < 2 * MOST


@pytest.mark.parametrize("name", SIDES)
def test_after_a_failover_scripts_are_sent_once_again(name: str) -> None:
    with (
        start_cluster(binary(SERVER), replicas=1) as cluster,
        opened(name, cluster.url, buffered=True) as side,
    ):
        side.mark_online("before")
        assert side.is_online("before")
        master = cluster.node_of("herenow:{site}:meta")
        assert master.control.wait(1, 5000) == 1
        master.kill()

        def asked(page: int) -> bool:
            try:
                side.mark_online(f"after {page}")
                return bool(side.is_online(f"after {page}"))
            except herenow.StoreError:
                return False

        poll(partial(asked, -9), "an answer after the failover")
        new = cluster.node_of("herenow:{site}:meta")
        assert new is not master
        assert bytes_a_page(asked, new) < MOST
        assert side.lookup(["before", "after 0"])["after 0"].online
        assert_whole(new.control)


# ------------------------------------------------------------ scripts that are not there


def asked_at_random(dice: random.Random, core: Outbox) -> list[Operation[Any]]:
    """A few operations of a few rooms, as they come."""

    def touch(room: Any) -> Operation[Any]:
        marks = [marking.Mark(f"u{dice.randrange(4)}") for _ in range(dice.randint(1, 3))]
        return marking.touch(room, list(dict.fromkeys(marks)))

    makers: list[Callable[[Any], Operation[Any]]] = [
        touch,
        touch,
        lambda room: marking.leave(room, f"u{dice.randrange(4)}"),
        upkeep.sweep,
        lambda room: online.page(room, 50, None, None, "member", include_hidden=False),
        online.counts,
        lambda room: users.lookup(room, ["u0", "u1"], include_hidden=False),
    ]
    return [
        dice.choice(makers)(core.scopes.room(dice.choice(ROOMS[:2])))
        for _ in range(dice.randint(2, 6))
    ]


def stored(control: Any) -> dict[bytes, Any]:
    """Who is where, and what was told, in order; not the numbers of events, which begin with the time."""
    held: dict[bytes, Any] = {}
    for key in sorted(control.scan_iter(_type="zset", count=1000)):
        held[key] = control.zrange(key, 0, -1, withscores=True)
    for key in control.scan_iter(_type="stream", count=1000):
        held[key] = [fields for _, fields in control.xrange(key)]
    return held


@contextmanager
def told(name: str, url: str, clock: Clock) -> Iterator[Callable[[list[Operation[Any]]], Any]]:
    with opened(name, url, clock=clock, resolution=0, timeout=5) as side:
        presence: Any = side.presence
        yield lambda operations: side.wait(presence._engine.batch(operations))


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("topology", ["single", "cluster"])
def test_whatever_scripts_are_lacking_all_is_done_once_in_order(
    name: str, topology: str, request: pytest.FixtureRequest
) -> None:
    store: Any = request.getfixturevalue("cluster" if topology == "cluster" else "server")
    nodes = store.alive() if topology == "cluster" else [store]
    controls = [node.control for node in nodes]
    dice = random.Random(26)
    with told(name, store.url, clock := Clock()) as run:
        core = Outbox(
            **dict.fromkeys(("window", "retention", "history")),
            resolution=0,
            buffered=False,
            prefix="herenow:",
            clock=clock,
        )
        for _ in range(40):
            operations = asked_at_random(dice, core)
            scripts = list({one.script for one in operations})
            results = []
            for lacking in (0, dice.randint(1, len(scripts)), len(scripts)):
                for control in controls:
                    control.flushall()
                    control.script_flush()
                    for script in dice.sample(scripts, len(scripts) - lacking):
                        control.script_load(script.text)
                results.append((run(operations), [*map(stored, controls)]))
            assert results[1] == results[0]
            assert results[2] == results[0]


def test_only_what_a_write_of_another_script_follows_in_its_room_brings_its_script() -> None:
    core = Outbox(
        **dict.fromkeys(("window", "retention", "history", "resolution", "clock")),
        buffered=False,
        prefix="herenow:",
    )
    one, two = core.scopes.room("one"), core.scopes.room("two")
    touch, leave = marking.touch_users(one, ["a"]), marking.leave(one, "a")
    other, count = marking.touch_users(two, ["a"]), online.counts(one)

    def whole(*operations: Operation[Any]) -> list[bool]:
        return [command[0] == "EVAL" for command in as_commands(operations)]

    assert whole(touch, touch, count, count) == [False] * 4
    assert whole(other, touch, count, count) == [False] * 4
    assert whole(other, leave, count) == [False] * 3
    assert whole(other, touch, leave, leave) == [True, True, False, False]
    assert whole(touch, touch, leave, touch) == [True, True, True, True]
    assert whole(count, touch, count) == [True, False, True]


def test_the_scripts_that_only_read_are_known(server: Server) -> None:
    """What a script calls, by the server's own word."""
    listed = [name.removesuffix(".lua") for name in FILES if "/_" not in name]
    assert {name for name in listed if lua.load(name).reads} > {"reading/count", "reading/page"}
    flags = {name: about["flags"] for name, about in server.control.command().items()}
    for name in listed:
        words = set(re.findall(r"'([A-Z]{3,})'", lua.load(name).text))
        writes = [word for word in words if "write" in flags.get(word.lower(), ())]
        assert bool(writes) is not lua.load(name).reads, (name, writes)
