"""A buffer in trouble: the store away, hung or too late; a reader who is cancelled."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

import herenow
from herenow.outbox.buffer import MOST_BUFFERED
from tests.conftest import SERVER
from tests.core.test_buffer import flushers
from tests.servers import Server, binary, start_cluster, start_server
from tests.waiting import apoll, once_back, poll


@pytest.fixture
def frail() -> Iterator[Server]:
    """A server that the test may hang and kill."""
    with start_server(binary(SERVER)) as server:
        yield server


@pytest.fixture
def buffered(frail: Server) -> Iterator[herenow.Presence]:
    made = herenow.Presence(frail.unix_url, buffered=True)
    yield made
    with contextlib.suppress(herenow.StoreError):
        made.close()


def test_while_the_store_is_away_marks_wait_to_the_bound_and_the_oldest_go(
    frail: Server, buffered: herenow.Presence
) -> None:
    buffered.mark_online("first")
    once_back(buffered.flush)
    frail.kill()
    buffered.mark_online_many(f"u{i}" for i in range(MOST_BUFFERED + 5))
    with pytest.raises(herenow.StoreError):
        buffered.count_online_users()
    assert not buffered.health().ok
    assert buffered.health().dropped == 5
    frail.restart()
    with herenow.Presence(frail.unix_url, timeout=5) as other:
        poll(lambda: other.count_online_users() == MOST_BUFFERED, "what waited")
        found = other.lookup(["first", "u4", "u5", f"u{MOST_BUFFERED + 4}"])
    assert [one.online for one in found.values()] == [False, False, True, True]
    assert buffered.health().ok
    assert buffered.health().dropped == 5  # counted once, and not forgotten when all is sent


def test_what_waited_is_told_with_its_age(frail: Server, buffered: herenow.Presence) -> None:
    frail.kill()
    buffered.mark_online("alice")
    time.sleep(1.2)  # the flusher tries, in vain
    frail.restart()
    with herenow.Presence(frail.unix_url, timeout=5) as other:
        poll(lambda: other.is_online("alice"), "what waited")
        explained = other.explain("alice")
    assert explained.presence.last_seen
    assert (explained.now - explained.presence.last_seen).total_seconds() > 1.1


def test_a_hung_store_never_blocks_a_mark(frail: Server, buffered: herenow.Presence) -> None:
    buffered.mark_online("first")
    once_back(buffered.flush)
    frail.pause()
    try:

        def mark(number: int) -> list[float]:
            took = []
            for i in range(80):
                started = time.monotonic()
                buffered.mark_online(f"{number}-{i}")
                took.append(time.monotonic() - started)
                time.sleep(0.02)
            return took

        with ThreadPoolExecutor(4) as pool:
            took = [one for part in pool.map(mark, range(4)) for one in part]
    finally:
        frail.resume()
    assert sum(took) / len(took) < 0.05
    assert max(took) < 1
    poll(lambda: buffered.health().ok and buffered.count_online_users() == 321, "what waited")


def test_reads_of_a_hung_store_end_together(frail: Server, buffered: herenow.Presence) -> None:
    buffered.mark_online("first")
    once_back(buffered.flush)
    gate = threading.Barrier(20)

    def read(number: int) -> float:
        gate.wait()
        started = time.monotonic()
        buffered.mark_online(f"u{number}")
        with pytest.raises(herenow.StoreError):
            buffered.count_online_users()
        return time.monotonic() - started

    frail.pause()
    try:
        with ThreadPoolExecutor(20) as pool:
            took = list(pool.map(read, range(20)))
    finally:
        frail.resume()
    assert max(took) < 1.5
    poll(lambda: buffered.count_online_users() == 21, "what waited")


@pytest.mark.parametrize("buffered", [False, True])
def test_first_reads_of_a_cluster_that_hangs_end_together(*, buffered: bool) -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=100) as silent,  # the kernel accepts
        herenow.Presence(
            f"redis+cluster://127.0.0.1:{silent.getsockname()[1]}", buffered=buffered
        ) as presence,
        ThreadPoolExecutor(20) as pool,
    ):

        def read(_: int) -> float:
            started = time.monotonic()
            with pytest.raises(herenow.StoreError):
                presence.count_online_users()
            return time.monotonic() - started

        assert max(pool.map(read, range(20))) < 1.5


def test_a_cluster_that_is_away_at_first_is_tried_again() -> None:
    with start_cluster(binary(SERVER), masters=1) as cluster:
        [node] = cluster.nodes
        with (
            herenow.Presence(cluster.url, buffered=True) as presence,
            herenow.Presence(cluster.url, timeout=5) as other,
        ):
            node.pause()
            try:
                presence.mark_online("alice")
                time.sleep(1.2)  # the flusher's first try is over
            finally:
                node.resume()
            poll(lambda: other.is_online("alice"), "what waited")


async def test_async_reads_of_a_hung_store_end_together(frail: Server) -> None:
    async with herenow.AsyncPresence(frail.unix_url, buffered=True) as presence:
        await presence.mark_online("first")
        await presence.flush()

        async def read(number: int) -> float:
            started = time.monotonic()
            await presence.mark_online(f"u{number}")
            with pytest.raises(herenow.StoreError):
                await presence.count_online_users()
            return time.monotonic() - started

        frail.pause()
        try:
            took = await asyncio.gather(*map(read, range(20)))
        finally:
            frail.resume()
        assert max(took) < 1.5

        async def sent() -> bool:
            return await presence.count_online_users() == 21

        await apoll(sent, "what waited")


async def test_a_reader_who_is_cancelled_takes_nobodys_marks_along(frail: Server) -> None:
    async with herenow.AsyncPresence(frail.unix_url, buffered=True, timeout=5) as presence:
        await presence.mark_online("alice")
        frail.pause()  # before the first connection: nothing of this one can be under way
        try:
            reading = asyncio.create_task(presence.count_online_users())
            await asyncio.sleep(0.2)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        finally:
            frail.resume()
        await apoll(lambda: presence.is_online("alice"), "the mark")


async def test_a_loop_that_ends_while_it_flushes_takes_no_marks_along(frail: Server) -> None:
    async with herenow.AsyncPresence(frail.unix_url, buffered=True, timeout=5) as presence:
        await presence.mark_online("alice")
        frail.pause()
        try:
            await asyncio.sleep(0.7)  # the flusher's task has begun, and hangs
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0.05)
        finally:
            frail.resume()
        await apoll(lambda: presence.is_online("alice"), "the mark")


def test_a_clock_that_fails_loses_no_marks(frail: Server) -> None:
    broken = threading.Event()

    def clock() -> float:
        if broken.is_set():
            raise RuntimeError("no clock today")
        return time.time()

    with herenow.Presence(frail.unix_url, buffered=True, clock=clock) as presence:
        presence.mark_online("alice")
        broken.set()
        with pytest.raises(RuntimeError, match="no clock"):
            presence.count_online_users()
        broken.clear()
        assert presence.is_online("alice")


def test_a_close_while_the_store_hangs_leaves_no_thread(frail: Server) -> None:
    before = flushers()
    patient = redis.Redis(unix_socket_path=frail.socket, socket_timeout=4, protocol=2)
    presence = herenow.Presence(patient, buffered=True)
    presence.mark_online("alice")
    presence.flush()
    frail.pause()
    try:
        presence.mark_online("bob")
        time.sleep(0.8)  # the thread waits for the store
        with contextlib.suppress(herenow.StoreError):
            presence.close()
    finally:
        frail.resume()
    poll(lambda: flushers() == before, "the end of the thread")
    poll(lambda: presence.count_online_users() == 2, "what waited")
    presence.close()
    patient.close()
