"""Fixtures: real servers, one of a name a process; and what must hold after every test.

After each test that used a store: no key without a TTL. In every test: no script touches a key that it
was not given (a shim around `redis.call`).
"""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import Phase

import herenow
import herenow.lua
from tests.servers import Cluster, Server, binary, start_cluster, start_server

SHIM = """
local given = {}
for _, key in ipairs(KEYS) do given[key] = true end
local redis = setmetatable({call = function(command, ...)
  local key = ...
  if command ~= 'TIME' and not given[key] then
    error('undeclared key: ' .. command .. ' ' .. tostring(key))
  end
  return redis.call(command, ...)
end}, {__index = redis})
"""
herenow.lua.PRELUDE = SHIM.replace("\n", " ")

# What a shell starts in the background ignores Ctrl-C, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

SERVER = os.environ.get("HERENOW_TEST_SERVER", "valkey-9.1")
LONG = bool(os.environ.get("HERENOW_TEST_LONG"))
"""The whole matrix: many more examples of what is random."""
PHASES = (
    Phase.explicit,
    Phase.generate,
    *((Phase.shrink,) if os.environ.get("HERENOW_TEST_SHRINK") else ()),
)
"""Of what Hypothesis tries on a store. To shrink what it found takes minutes, and a test that is ended
for its time tells nothing: it is told as it was found. HERENOW_TEST_SHRINK=1 with --timeout=0 shrinks."""


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Server]]:
    """Start a server by its name, once; all are stopped in the end."""
    running: dict[str, Server] = {}

    def get(name: str) -> Server:
        if name not in running:
            running[name] = start_server(binary(name))
        return running[name]

    yield get
    for server in running.values():
        server.close()


@pytest.fixture(scope="session")
def whole_cluster() -> Iterator[Cluster]:
    """Three masters."""
    with start_cluster(binary(SERVER)) as cluster:
        yield cluster


@pytest.fixture
def server(servers: Callable[[str], Server]) -> Iterator[Server]:
    """A running server with nothing in it."""
    running = servers(SERVER)
    running.control.flushall()
    yield running
    assert_ttls(running.control)


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Iterator[Cluster]:
    """A running cluster with nothing in it."""
    for node in whole_cluster.alive():
        node.control.flushall()
    yield whole_cluster
    for node in whole_cluster.alive():
        assert_ttls(node.control)


@pytest.fixture
def presence(server: Server) -> Iterator[herenow.Presence]:
    """A Presence that sends every mark, by the store's clock."""
    with herenow.Presence(server.unix_url, resolution=0, timeout=5) as made:
        yield made


class Clock:
    """A clock that a test moves; in seconds."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture
def clocked(server: Server, clock: Clock) -> Iterator[herenow.Presence]:
    """A Presence that sends every mark, by the test's clock."""
    with herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as made:
        yield made


def told(caplog: pytest.LogCaptureFixture, presence: herenow.Presence) -> list[str]:
    """What the breaker of this Presence's store has logged; those of other tests may still try theirs."""
    mine = id(presence._engine.store.breaker)
    return [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "herenow_breaker", None) == mine
    ]


def assert_ttls(client: Any) -> None:
    """Every key goes by itself one day."""
    for key in client.scan_iter(count=1000):
        assert client.pttl(key) > 0, f"no TTL: {key!r}"
