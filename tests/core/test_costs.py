"""What each operation costs: round trips, bytes to the store, and how long other threads wait for it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from herenow.outbox import outbox
from tests.conftest import SERVER
from tests.core.relay import Relay
from tests.core.sides import SIDES, Side, opened
from tests.operations import ASKING, OPERATIONS, READS, WRITES, Operation, stock
from tests.servers import Server
from tests.servers.distant import Distant

AWAY = 1.0
"""Seconds to a distant store and back."""


@pytest.fixture(scope="module", params=SIDES)
def counted(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[Any]:
    """A facade on a room of a thousand, and what counts what goes between them."""
    server = servers(SERVER)
    server.control.flushall()
    with (
        Relay(server.socket) as relay,
        opened(request.param, relay.url, resolution=0, timeout=5) as side,
    ):
        # with so many, the list of rooms does not follow each coming and going
        side.mark_online_many(range(1000))
        yield relay, side
    server.control.flushall()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.title)
def test_round_trips_and_bytes(counted: tuple[Relay, Side], operation: Operation) -> None:
    relay, side = counted
    stock(side)
    operation(side)  # now the store and the process know each other
    stock(side)
    before, sent = relay.round_trips, relay.sent
    operation(side)
    assert relay.round_trips - before == operation.round_trips
    assert relay.sent - sent <= operation.size


@pytest.fixture
def unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is buffered waits for an operation: the flusher's first pass is minutes away."""
    for pause in ("_FLUSH_AT_MOST", "_FLUSH_OF_NEW_ROOM"):
        monkeypatch.setattr(outbox, pause, 600.0)


@pytest.mark.usefixtures("unflushed")
@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.title)
def test_what_waits_goes_first(server: Server, name: str, operation: Operation) -> None:
    costs = []
    with (
        Relay(server.socket) as relay,
        opened(name, server.unix_url, resolution=0, timeout=5) as plain,
        opened(name, relay.url, buffered=True, resolution=0, timeout=5) as side,
    ):
        rooms = {"site": side, "other": side.room("other")}
        for room in rooms:
            plain.room(room).mark_online_many(range(1000))
        for _ in range(2):  # the second time the store and the process know each other
            stock(plain)
            side.flush()
            for room, there in rooms.items():
                plain.room(room).mark_offline("waits")
                there.mark_online("waits")
            before = relay.round_trips
            operation(side)
            costs.append(relay.round_trips - before)
        sent = {room for room in rooms if plain.room(room).is_online("waits")}
    assert sent == {"nothing": set(), "room": {"site"}, "all": {*rooms}}[operation.sends]
    assert costs[-1] == (
        operation.round_trips if operation.with_waiting is None else operation.with_waiting
    )


def seconds_each(side: Side, operations: list[Operation]) -> dict[str, float]:
    """Do all at once, each in a thread or a task of its own; how long each took."""
    took: dict[str, float] = {}

    def call(operation: Operation) -> None:
        gate.wait()
        began = time.monotonic()
        operation(side)
        took[operation.title] = time.monotonic() - began

    async def await_(operation: Operation) -> None:
        began = time.monotonic()
        found = operation.call(side.presence)
        if hasattr(found, "__aenter__"):
            async with found:
                pass
        else:
            await found
        took[operation.title] = time.monotonic() - began

    async def await_all() -> None:
        await asyncio.gather(*map(await_, operations))

    if side.runner is not None:
        side.runner.run(await_all())
        return took
    gate = threading.Barrier(len(operations))
    with ThreadPoolExecutor(len(operations)) as pool:
        list(pool.map(call, operations))
    return took


@contextmanager
def far_away(server: Server, name: str, *, buffered: bool) -> Iterator[Side]:
    """A facade whose every round trip takes so long, with a connection and the scripts for each call."""
    with (
        opened(name, server.unix_url, resolution=0, timeout=5) as near,
        Distant(server.socket, AWAY) as distant,
        opened(name, distant.url, resolution=0, timeout=30, buffered=buffered) as side,
    ):
        near.mark_online_many(range(1000))
        stock(near)
        seconds_each(side, [*(READS if buffered else ASKING).values()])
        yield side


@pytest.mark.parametrize("name", SIDES)
def test_nobody_waits_for_another(server: Server, name: str) -> None:
    with far_away(server, name, buffered=False) as side:
        took = seconds_each(side, [*ASKING.values()])
    for title, operation in ASKING.items():
        assert took[title] < AWAY * (operation.round_trips + 1), title


@pytest.mark.parametrize("name", SIDES)
def test_of_those_who_buffer_readers_wait_for_no_reader_and_marks_for_nobody(
    server: Server, name: str
) -> None:
    with far_away(server, name, buffered=True) as side:
        took = seconds_each(side, [*READS.values()])
        for title, operation in READS.items():
            assert took[title] < AWAY * (operation.round_trips + 1), title
        marks = [one for one in WRITES.values() if one.with_waiting == 0]
        took = seconds_each(side, [*marks, *READS.values()])
        for operation in marks:
            assert took[operation.title] < AWAY, operation.title
