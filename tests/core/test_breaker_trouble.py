"""The breaker on real stores: killed, hung, refusing writes, coming back; nobody waits meanwhile."""

import gc
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import redis

import herenow
from herenow import StoreError, StoreTimeout, StoreUnavailable
from herenow.store import breaker
from tests.conftest import SERVER, told
from tests.core.sides import SIDES, Side, opened
from tests.servers import HOST, Server, binary, start_cluster, start_server
from tests.waiting import PATIENCE, once_back, poll


@pytest.fixture(params=SIDES)
def name(request: pytest.FixtureRequest) -> str:
    """Which facade."""
    return str(request.param)


@pytest.fixture
def own() -> Iterator[Server]:
    """A store to be ill-treated."""
    with start_server(binary(SERVER)) as server:
        yield server


def fails(side: Side) -> StoreError:
    with pytest.raises(StoreError) as raised:
        side.counts()
    return raised.value


def take_time(side: Side) -> None:
    """Let a loop of asyncio's run its tasks; threads run anyway."""
    if side.runner is None:
        time.sleep(0.02)
    else:
        import asyncio

        side.wait(asyncio.sleep(0.02))


def comes_back(side: Side, seconds: float = PATIENCE) -> None:
    """By itself: nobody asks the store, but for the breaker's prober."""
    deadline = time.monotonic() + seconds
    while not side.presence._engine.store.breaker.closed:
        assert time.monotonic() < deadline, "the breaker stays open"
        take_time(side)


def probing(presence: Any) -> bool:
    seeker = presence._engine.store.breaker.seeker
    return seeker is not None and seeker.alive


def test_a_hung_store_costs_a_few_calls_their_timeout_and_the_rest_nothing(
    name: str, own: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "herenow")
    with opened(name, own.url, resolution=0) as side:
        assert side.mark_online("alice") is True
        assert side.health().breaker == "closed"
        own.pause()
        try:
            assert [type(fails(side)) for _ in range(3)] == [StoreTimeout] * 3
            began = time.monotonic()
            for _ in range(500):
                error = fails(side)
                assert type(error) is StoreUnavailable
                assert str(error).startswith("the breaker is open: the store did not answer")
                health = side.health()
                assert not health.ok
                assert health.latency is None
                assert health.breaker in ("open", "half-open")
            assert time.monotonic() - began < 1.5  # one wait alone is 0.25 s
        finally:
            own.resume()
        comes_back(side)
        assert side.is_online("alice")
        assert side.health().breaker == "closed"
        assert side.health().ok
        said = [one.removeprefix(f"herenow: {own.url}: ") for one in told(caplog, side.presence)]
        assert [one.partition(":")[0].partition(",")[0] for one in said] == [
            "the store did not answer in time",
            "the breaker is open",
            "the store answers again",
        ]
        levels = [one.levelno for one in caplog.records if hasattr(one, "herenow_breaker")]
        assert levels == [logging.WARNING, logging.INFO, logging.WARNING], (
            "its end as its beginning"
        )
        poll(lambda: not probing(side.presence), "the end of the prober")


def test_a_killed_store_is_found_as_soon_as_it_is_back(
    name: str, own: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # by whoever asks: the next try in the background is far away; and a refusal came at once, however
    # long this machine took for it
    for constant in ("FIRST", "MOST", "QUICK"):
        monkeypatch.setattr(breaker, constant, 300.0)
    with opened(name, own.url, resolution=0) as side:
        side.mark_online("alice")
        own.kill()
        for _ in range(200):
            assert type(fails(side)) is StoreUnavailable
        assert side.health().breaker == "open"
        own.restart()
        assert once_back(side.counts) == herenow.Counts()
        assert side.health().breaker == "closed"


def test_a_killed_store_is_not_knocked_at_by_every_call(own: Server) -> None:
    with herenow.Presence(own.url, resolution=0) as presence:
        presence.mark_online("alice")
        presence.close()
        port = own.port
        own.kill()
        import socket

        with socket.create_server((HOST, port), backlog=1000) as door, suppress(OSError):
            door.setblocking(False)
            for _ in range(20):
                with pytest.raises(StoreError):
                    presence.counts()
            knocks = 0
            with suppress(BlockingIOError):
                while True:
                    door.accept()[0].close()
                    knocks += 1
            assert knocks <= 6


def test_marks_wait_while_it_is_open_and_are_sent_when_it_closes(name: str, own: Server) -> None:
    with opened(name, own.url, buffered=True) as side:
        side.mark_online("alice")
        assert side.is_online("alice")
        own.pause()
        try:
            for i in range(5):
                side.mark_online(f"u{i}")
                fails(side)
            assert side.health().breaker in ("open", "half-open")
            began = time.monotonic()
            for i in range(5, 200):
                side.mark_online(f"u{i}")
                fails(side)
            assert time.monotonic() - began < 1.5
        finally:
            own.resume()
        comes_back(side)

        def sent() -> bool:
            take_time(side)
            return bool(side.counts().member == 201)

        poll(sent, "what waited")
        assert side.health().dropped == 0


def test_a_store_that_takes_no_writes_still_answers(
    name: str, own: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(name, own.url, resolution=0) as side:
        side.mark_online("alice")
        own.control.config_set("maxmemory", 1)
        for _ in range(20):
            with pytest.raises(StoreError, match="maxmemory"):
                side.mark_online("alice")
        assert side.health().breaker == "closed"
        assert side.get_online_users() == ["alice"]
        own.control.config_set("maxmemory", 0)
        assert side.mark_online("bob") is True
    assert caplog.text.count("the store refused") == 1


@pytest.mark.parametrize("given", ["url", "client", "unix"])
def test_the_log_says_who_speaks_and_which_store_lets_nobody_in_and_no_password(
    name: str, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    with start_server(binary(SERVER), password="right") as own:
        clients = {"sync": redis, "async": redis.asyncio}
        wrong = {
            "url": f"redis://:wr%40ng@{HOST}:{own.port}/0?socket_timeout=1",
            "unix": f"unix://:wr%40ng@{own.socket}?db=0",
        }
        store: Any = wrong.get(given) or clients[name].Redis(
            host=HOST, port=own.port, password="wr@ng", retry=None, socket_timeout=1
        )
        with opened(name, store) as side:
            for _ in range(5):
                assert "does not let us in" in str(fails(side))
            [line] = [one for one in told(caplog, side.presence) if "does not let us in" in one]
            place = own.socket if given == "unix" else f"{HOST}:{own.port}"
            assert line.startswith("herenow: ")
            assert str(place) in line
            assert "not answer" not in line
            assert not any(bad in line for bad in ("wr@ng", "wr%40ng", "?"))


def test_a_client_that_waits_for_ever_holds_up_who_came_first_alone(own: Server) -> None:
    client = redis.Redis(port=own.port, socket_timeout=None, protocol=2)
    with client, herenow.Presence(client, resolution=0) as presence, ThreadPoolExecutor(3) as pool:
        presence.mark_online("alice")
        own.pause()
        try:
            stuck = [pool.submit(presence.counts) for _ in range(3)]
            time.sleep(2.2)
            began = time.monotonic()
            for _ in range(100):
                with pytest.raises(StoreUnavailable, match="a call has waited for"):
                    presence.counts()
            assert time.monotonic() - began < 1
        finally:
            own.resume()
        assert [one.result(10).member for one in stuck] == [1, 1, 1]
        assert presence.health().breaker == "closed"


def test_a_whole_cluster_that_hangs() -> None:
    with (
        start_cluster(binary(SERVER)) as cluster,
        herenow.Presence(cluster.url, resolution=0) as presence,
    ):
        presence.mark_online("alice")
        for node in cluster.nodes:
            node.pause()
        try:
            for _ in range(3):
                with pytest.raises(StoreError):
                    presence.counts()
            began = time.monotonic()
            for _ in range(100):
                with pytest.raises(StoreUnavailable, match="breaker is open"):
                    presence.counts()
            assert time.monotonic() - began < 1
        finally:
            for node in cluster.nodes:
                node.resume()
        assert once_back(lambda: presence.is_online("alice"))
        poll(lambda: presence.health().ok, "its health")


def test_two_presences_of_a_process_share_what_they_know(own: Server) -> None:
    with herenow.Presence(own.url) as one, herenow.Presence(own.url) as other:
        assert one.counts() == other.counts()
        own.pause()
        try:
            for _ in range(3):
                with pytest.raises(StoreTimeout):
                    one.counts()
            with pytest.raises(StoreUnavailable, match="breaker is open"):
                other.counts()
        finally:
            own.resume()
        poll(lambda: one.health().ok and other.health().ok, "both")


@pytest.mark.parametrize("close", [True, False])
def test_who_is_dropped_or_closed_is_not_probed_for(own: Server, *, close: bool) -> None:
    presence = herenow.Presence(own.url, timeout=0.1)
    presence.counts()
    own.pause()
    try:
        for _ in range(4):
            with pytest.raises(StoreError):
                presence.counts()
        prober = presence._engine.store.breaker.seeker._thread
        assert prober.is_alive()
        if close:
            presence.close()
        del presence
        gc.collect()
        poll(lambda: not prober.is_alive(), "the end of the prober")
    finally:
        own.resume()


def test_a_forked_child_heals_by_itself(own: Server) -> None:
    with herenow.Presence(own.url, timeout=0.1) as presence:
        presence.counts()
        own.pause()
        for _ in range(4):
            with pytest.raises(StoreError):
                presence.counts()
        child = os.fork()
        if child == 0:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                with suppress(StoreError):
                    presence.counts()
                    os._exit(0)
                time.sleep(0.05)
            os._exit(1)
        own.resume()
        assert os.waitpid(child, 0)[1] == 0
        poll(lambda: presence.health().ok, "the parent")


def test_every_line_of_the_log_says_whose_it_is(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with herenow.Presence(server.url, timeout=5) as presence:
        presence.room("doc:1", window=60).mark_online("alice")
        presence.room("doc:1", window=90).mark_online("alice", session="tab")
    assert any("window of room" in one.getMessage() for one in caplog.records)
    assert all(one.getMessage().startswith("herenow: ") for one in caplog.records)
