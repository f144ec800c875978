"""The store agrees with the oracle through every operation: on each server, sync and async, on a cluster.

A few examples for each server in `make test`; the whole matrix in `make test-long`; as many steps on one
server as HERENOW_TEST_STEPS names, 100000 say.
"""

import asyncio
import os
from collections.abc import Callable, Iterator

import pytest

import herenow
import herenow.lua
from tests.conftest import Clock
from tests.core.machine import RETENTION, Blocking, machine_for, run
from tests.servers import Cluster, Server

STEPS_IN_ALL = int(os.environ.get("HERENOW_TEST_STEPS", "0"))


@pytest.fixture
def no_fast_paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the scripts without their fast paths."""
    monkeypatch.setattr(herenow.lua, "FAST", False)
    herenow.lua.load.cache_clear()
    yield
    herenow.lua.load.cache_clear()


@pytest.mark.usefixtures("no_fast_paths")
def test_without_its_fast_paths_the_store_agrees_with_the_oracle(
    servers: Callable[[str], Server],
) -> None:
    assert "fast." not in herenow.lua.load("sighting/touch").text
    assert "call(" not in herenow.lua.load("sighting/mark").text.split("--#args")[1]
    test_the_store_agrees_with_the_oracle(servers, "valkey-9.1")


@pytest.mark.parametrize(
    "name", ["valkey-9.1", "valkey-8.1", "redis-8.2", "redis-7.0", "redis-6.2"]
)
def test_the_store_agrees_with_the_oracle(servers: Callable[[str], Server], name: str) -> None:
    server = servers(name)
    client = server.client()

    def opener(window: float | None, clock: Clock) -> herenow.Presence:
        return herenow.Presence(
            client, window=window, retention=RETENTION / 1000, resolution=0, clock=clock
        )

    machine = machine_for(opener, [server.control], server.control)
    run(machine, 40 if name == "valkey-9.1" else 6, steps=STEPS_IN_ALL)
    client.close()


def test_the_async_store_agrees_with_the_oracle(server: Server) -> None:
    loop = asyncio.new_event_loop()
    import redis.asyncio

    client = redis.asyncio.Redis(unix_socket_path=server.socket)

    def opener(window: float | None, clock: Clock) -> Blocking:
        made = herenow.AsyncPresence(
            client, window=window, retention=RETENTION / 1000, resolution=0, clock=clock
        )
        return Blocking(made, loop)

    machine = machine_for(opener, [server.control], server.control)
    run(machine, 10)
    loop.run_until_complete(client.aclose())
    loop.close()


def test_a_cluster_agrees_with_the_oracle(cluster: Cluster) -> None:
    client = cluster.client()
    nodes = [node.control for node in cluster.alive()]

    def opener(window: float | None, clock: Clock) -> herenow.Presence:
        return herenow.Presence(
            client, window=window, retention=RETENTION / 1000, resolution=0, clock=clock
        )

    machine = machine_for(opener, nodes, client)
    run(machine, 6)
    client.close()
