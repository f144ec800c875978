"""Threads and tasks of one buffered Presence, side by side: nobody waits for what is another's."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import herenow
from herenow.operations.marking import Mark
from herenow.operations.scope import Scope
from herenow.outbox.buffer import MOST_A_FLIGHT, MOST_COPIED, Buffer, Flight
from tests.conftest import SERVER
from tests.core.sides import opened
from tests.servers import Server, binary, start_cluster
from tests.servers.distant import Distant
from tests.waiting import in_time

FAR = 0.2


@pytest.fixture
def distant(server: Server) -> Iterator[Distant]:
    with Distant(server.socket, FAR) as made:
        yield made


# how long they take


def test_threads_that_mark_and_read_do_not_wait_for_each_other(distant: Distant) -> None:
    with (
        herenow.Presence(distant.url, buffered=True, timeout=5) as presence,
        ThreadPoolExecutor(16) as pool,
    ):
        presence.mark_online("first")
        presence.count_online_users()
        gate = threading.Barrier(17)

        users = map(str, itertools.count())

        def page(user: str) -> None:
            presence.mark_online(user)
            gate.wait()
            assert presence.is_online(user)

        def pages() -> float:
            done = [pool.submit(page, next(users)) for _ in range(16)]
            gate.wait()
            started = time.monotonic()
            for one in done:
                one.result()
            return time.monotonic() - started

        in_time(8 * FAR, pages)


async def test_tasks_that_mark_and_read_wait_for_no_other(distant: Distant) -> None:
    async with herenow.AsyncPresence(distant.url, buffered=True, timeout=5) as presence:
        await presence.mark_online("first")
        await presence.count_online_users()

        async def page(user: int) -> None:
            await presence.mark_online(user)
            assert await presence.is_online(user)

        took = []
        for first in range(0, 48, 16):
            started = time.monotonic()
            await asyncio.gather(*map(page, range(first, first + 16)))
            took.append(time.monotonic() - started)
        assert min(took) < 8 * FAR, took


@pytest.mark.parametrize("name", ["sync", "async"])
def test_a_read_waits_for_no_flush_of_a_room_whose_node_hangs(name: str) -> None:
    with (
        start_cluster(binary(SERVER), masters=2) as cluster,
        opened(name, cluster.url, buffered=True, timeout=4) as side,
    ):
        rooms = {str(number) for number in range(30)}
        for room in rooms:
            side.room(room).mark_online("first")
        side.flush()
        hung = cluster.nodes[0]
        keys: list[Any] = hung.control.keys("herenow:{*")
        of_hung = {key.decode().split("{")[1].split("}")[0] for key in keys}
        there, here = min(of_hung), min(rooms - of_hung)
        hung.pause()
        try:
            side.room(there).mark_online("alice")
            if name == "sync":
                time.sleep(1)  # the flusher has sent it, and waits
            else:
                side.wait(asyncio.sleep(1))
            side.room(here).mark_online("bob")
            started = time.monotonic()
            assert side.room(here).is_online("bob")
            assert time.monotonic() - started < 2
        finally:
            hung.resume()


# never BUSY on a store that answers


def test_a_healthy_store_however_busy_times_nobody_out(distant: Distant) -> None:
    with herenow.Presence(distant.url, buffered=True, resolution=0, timeout=1) as presence:
        presence.mark_online("first")
        presence.count_online_users()

        def pages(number: int) -> None:
            for i in range(8):
                presence.mark_online(f"u{number % 8}", kind=("member", "hidden")[i % 2])
                presence.counts()
                if i % 4 == 3:
                    presence.mark_offline(f"u{number % 8}")

        with ThreadPoolExecutor(24) as pool:
            for _ in pool.map(pages, range(24)):
                pass
        assert presence.health().breaker == "closed"


def test_close_times_out_on_no_healthy_store(distant: Distant) -> None:
    presence = herenow.Presence(distant.url, buffered=True, resolution=0, timeout=1)
    presence.mark_online("first")
    presence.count_online_users()
    over = threading.Event()

    def pages(number: int) -> None:
        i = 0
        while not over.is_set():
            i += 1
            presence.mark_online(f"u{number}-{i}")
            with contextlib.suppress(herenow.StoreError):  # the connection is closed under it
                presence.count_online_users()

    with ThreadPoolExecutor(16) as pool:
        done = [pool.submit(pages, number) for number in range(16)]
        try:
            for _ in range(4):
                time.sleep(0.4)
                presence.close()
        finally:
            over.set()
        for one in done:
            one.result()
    presence.close()


# what they see


def test_what_another_thread_has_under_way_is_read(distant: Distant) -> None:
    with (
        herenow.Presence(distant.url, buffered=True, timeout=5) as presence,
        ThreadPoolExecutor(1) as pool,
    ):
        presence.mark_online("first")
        presence.count_online_users()
        for number in range(3):
            presence.mark_online(f"u{number}")
            reading = pool.submit(presence.count_online_users)
            while presence._outbox.buffer:
                time.sleep(0)  # the other has taken it
            assert presence.is_online(f"u{number}")
            reading.result()


# what may overtake what, on its own

SCOPE = herenow.Presence("redis://nowhere")._outbox.scopes.room("doc")


def put(buffer: Buffer, *marks: Mark, scope: Scope = SCOPE) -> None:
    for mark in marks:
        buffer.put(scope, mark, 0.0)


def begun(buffer: Buffer, *, ending: tuple[str, ...] = ()) -> Flight:
    flight = buffer.begin(["doc"], ending)
    assert flight is not None
    return flight


def marks(flight: Flight) -> list[object]:
    return [mark for _, mark, _ in (*flight.copied, *flight.taken)]


ALICE, BOB = Mark("alice"), Mark("bob", kind="guest")


def test_a_reader_brings_along_what_is_under_way() -> None:
    buffer = Buffer()
    put(buffer, ALICE)
    first = begun(buffer)
    put(buffer, BOB)
    second = begun(buffer)
    assert marks(second) == [ALICE, BOB]
    assert [mark for _, mark, _ in second.taken] == [BOB]
    buffer.end(second)  # that failed
    buffer.end(first)
    assert marks(begun(buffer)) == [ALICE, BOB]


def test_what_was_sent_is_not_sent_again() -> None:
    buffer = Buffer()
    put(buffer, ALICE, BOB)
    flight = begun(buffer)
    flight.done(flight.taken[:1])
    buffer.end(flight)
    assert marks(begun(buffer)) == [BOB]


@pytest.mark.parametrize(
    "other",
    [
        Mark("alice", kind="hidden"),
        Mark("alice", away=True),
        Mark("carol", replaces="alice"),
        Mark("alice", replaces="carol"),
    ],
)
def test_what_is_said_of_one_user_keeps_its_order(other: Mark) -> None:
    for first, second in ((ALICE, other), (other, ALICE)):
        buffer = Buffer()
        put(buffer, first)
        flight = begun(buffer)
        put(buffer, second)
        assert buffer.begin(["doc"]) is None
        assert buffer.begin(None) is None
        assert buffer.begin(["other"]) is not None
        flight.done(flight.taken)
        buffer.end(flight)
        assert marks(begun(buffer)) == [second]


def test_several_things_of_one_user_are_not_sent_twice() -> None:
    buffer = Buffer()
    put(buffer, ALICE, Mark("alice", kind="hidden"))
    begun(buffer)
    assert buffer.begin(["doc"]) is None


def test_who_leaves_is_marked_by_nobody_meanwhile() -> None:
    buffer = Buffer()
    put(buffer, ALICE)
    marking = begun(buffer)
    assert buffer.begin(["doc"], ("alice",)) is None
    buffer.end(begun(buffer, ending=("bob",)))
    buffer.end(marking)
    leaving = begun(buffer, ending=("alice",))
    assert marks(leaving) == [ALICE]
    assert buffer.begin(["doc"]) is None
    assert buffer.begin(["doc"], ("alice",)) is None
    leaving.done(leaving.taken)
    buffer.end(leaving)
    begun(buffer)


def test_many_marks_under_way_are_waited_for() -> None:
    buffer = Buffer()
    put(buffer, *(Mark(f"u{i}") for i in range(MOST_COPIED + 1)))
    flight = begun(buffer)
    assert buffer.begin(["doc"]) is None
    buffer.end(flight)
    begun(buffer)
    other = Buffer()
    put(other, *(Mark(f"u{i}") for i in range(MOST_A_FLIGHT + 1)))
    assert len(begun(other).taken) == MOST_A_FLIGHT


def test_whatever_a_client_raises_when_it_is_closed_under_a_call_is_our_error(
    server: Server,
) -> None:
    presence = herenow.Presence(server.url)
    presence.counts()
    store, began = presence._engine.store, time.monotonic()
    presence.close()
    raised = TypeError("argument must be an int, or have a fileno() method.")  # redis-py's
    found = store.call_failed(raised, began, store.breaker)
    assert isinstance(found, herenow.StoreUnavailable)
    assert store.breaker.closed
    assert store.breaker.ok  # the store has done nothing
    time.sleep(0.01)
    assert store.call_failed(raised, time.monotonic(), store.breaker) is raised
