"""Write-behind: nothing is lost, whoever marks reads it at once, and what is told is how long ago."""

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import herenow
from herenow.outbox.flusher import Flusher
from herenow.outbox.port import Port
from herenow.store.finalizing import Flag
from tests import operations
from tests.conftest import Clock
from tests.core.relay import Relay
from tests.operations import LONG_AGO, SOON
from tests.servers import Server
from tests.waiting import poll


@pytest.fixture
def buffered(server: Server) -> Iterator[herenow.Presence]:
    with herenow.Presence(server.unix_url, buffered=True, timeout=5) as made:
        yield made


def flushers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "herenow-flusher"}


# reading one's own marks

READS: dict[str, Callable[[herenow.Presence], Any]] = {
    "is_online": lambda p: p.is_online("new"),
    "get_user_last_activity": lambda p: p.get_user_last_activity("new") is not None,
    "lookup": lambda p: p.lookup(["new"])["new"].online,
    "get_online_users": lambda p: p.get_online_users(limit=1) == ["new"],
    "page_online_users": lambda p: p.page_online_users(1).users[0].user == "new",
    "count_online_users": lambda p: p.count_online_users() == 1001,
    "counts": lambda p: p.counts().member == 1001,
    "count_active_users": lambda p: p.count_active_users(60) == 1001,
    "get_active_users": lambda p: p.get_active_users(60, 1) == ["new"],
    "peak": lambda p: p.peak().count == 1001,
    "snapshot": lambda p: p.snapshot(1).users[0].user == "new",
    "explain": lambda p: p.explain("new").presence.online,
    "history": lambda p: p.history(LONG_AGO, SOON)[-1].counts.member == 1001,
    "unique_users": lambda p: 990 <= p.unique_users() <= 1012,  # by a HyperLogLog
}


def test_each_read_of_a_room_is_here() -> None:
    assert READS.keys() == {one.name for one in operations.READS.values() if one.sends == "room"}


@pytest.mark.parametrize("name", READS)
def test_whoever_reads_reads_their_own_marks_in_no_round_trip_more(
    server: Server, name: str
) -> None:
    with (
        Relay(server.socket) as relay,
        herenow.Presence(relay.url, buffered=True, timeout=5) as presence,
    ):
        presence.mark_online_many(f"u{i}" for i in range(1000))
        presence.flush()
        READS[name](presence)  # the store has its script now
        presence.flush()
        time.sleep(0.2)  # the flusher was woken by the first marks, and comes soon in a new room
        before = relay.round_trips
        assert presence.mark_online("new") is None
        assert relay.round_trips == before
        assert READS[name](presence)
        assert relay.round_trips == before + operations.READS[name].round_trips


def test_a_sweep_sends_what_waits_first(server: Server, buffered: herenow.Presence) -> None:
    buffered.mark_online("alice")
    assert buffered.sweep() == 0
    with herenow.Presence(server.unix_url, timeout=5) as other:
        assert other.is_online("alice")


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_whoever_reads_reads_their_own_marks_where_the_store_lacks_the_script_that_marks(
    server: Server, buffered: herenow.Presence, read: Callable[[herenow.Presence], Any]
) -> None:
    buffered.mark_online_many(f"u{i}" for i in range(1000))
    buffered.flush()
    server.control.script_flush()
    with herenow.Presence(
        server.unix_url, timeout=5
    ) as other:  # another process has asked the same before
        read(other)
    buffered.mark_online("new")
    assert read(buffered)


def test_rooms_their_counts_and_peaks_and_forget_send_all_rooms_buffers(
    buffered: herenow.Presence,
) -> None:
    one, two = buffered.room("one"), buffered.room("two")
    one.mark_online("alice")
    two.mark_online_many(["alice", "bob"])
    assert [room.name for room in buffered.rooms()] == ["two", "one"]
    one.mark_online("carol")
    counts = two.room_counts(["one", "two"])
    assert {name: count.member for name, count in counts.items()} == {"one": 2, "two": 2}
    two.mark_online_many(["carol", "dave"])
    peaks = Port(one).room_peaks(["one", "two"], "member")
    assert {name: peak.count for name, peak in peaks.items()} == {"one": 2, "two": 4}
    one.mark_online("dave")
    two.mark_online("dave")
    assert buffered.forget("dave") == 2
    assert one.get_user_last_activity("dave") is None


def test_the_buffer_belongs_to_the_presence_not_to_a_room_object(
    buffered: herenow.Presence,
) -> None:
    buffered.room("doc").mark_online("alice")
    assert buffered.room("doc").is_online("alice")
    assert not buffered.is_online("alice")


# leaving


def test_a_leave_after_a_mark_is_exact(buffered: herenow.Presence) -> None:
    assert buffered.mark_online("alice") is None
    assert buffered.mark_offline("alice") is True
    assert buffered.mark_offline("alice") is False
    assert not buffered.is_online("alice")


def test_a_mark_after_ones_own_leave_brings_the_user_back_at_once(
    buffered: herenow.Presence,
) -> None:
    for _ in range(50):
        buffered.mark_online("alice")
        assert buffered.mark_offline("alice") is True
        buffered.mark_online("alice")
        assert buffered.is_online("alice")


def test_a_login_ends_the_guest_who_waits_in_the_buffer(buffered: herenow.Presence) -> None:
    buffered.mark_online("guest-1", kind="guest")
    buffered.mark_online("alice", replaces="guest-1")
    assert buffered.counts() == herenow.Counts(member=1)


def test_a_mark_that_waits_never_revives_who_left_elsewhere(server: Server, clock: Clock) -> None:
    with (
        herenow.Presence(server.unix_url, buffered=True, clock=clock, timeout=5) as here,
        herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as elsewhere,
    ):
        elsewhere.mark_online("alice")
        clock.now += 0.1
        here.mark_online("alice")
        clock.now += 0.1
        elsewhere.mark_offline("alice")
        clock.now += 0.1
        here.flush()
        assert not elsewhere.is_online("alice")
        here.mark_online("alice", away=True)  # something new, after the leave
        here.flush()
        assert elsewhere.is_online("alice")


def test_what_is_told_is_how_long_ago(server: Server, buffered: herenow.Presence) -> None:
    buffered.mark_online("bob")  # the room is known, and its window
    buffered.flush()
    time.sleep(0.2)  # what woke the flusher is over
    seconds, microseconds = server.control.time()
    marked = seconds + microseconds / 1e6
    buffered.mark_online("alice")
    with herenow.Presence(server.unix_url, timeout=5) as other:
        poll(lambda: other.is_online("alice"), "the flusher")
        seen = other.get_user_last_activity("alice")
        seconds, microseconds = server.control.time()
    assert seen
    waited = seconds + microseconds / 1e6 - marked
    assert waited > 0.4  # the flusher's half second
    assert seen.timestamp() - marked < waited / 2


# nothing is lost


def test_sixteen_threads_lose_nothing_and_each_reads_its_own(
    server: Server, buffered: herenow.Presence
) -> None:
    def work(number: int) -> int:
        blind = 0
        for i in range(150):
            user = f"{number}-{i}"
            buffered.mark_online(user)
            if i % 15 == 0:
                blind += not buffered.is_online(user)
        return blind

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(16))) == 0
    with herenow.Presence(server.unix_url, timeout=5) as other:
        poll(lambda: other.count_online_users() == 16 * 150, "the flusher", 5)


def test_one_session_too_many_loses_nothing_else(
    server: Server, buffered: herenow.Presence, caplog: pytest.LogCaptureFixture
) -> None:
    buffered.mark_online("before")
    for i in range(33):
        buffered.mark_online("alice", session=f"tab-{i}")
    buffered.mark_online("after", kind="guest", info={"page": "/"})
    found = buffered.lookup(["alice", "before", "after"])
    assert all(one.online for one in found.values())
    assert len(found["alice"].sessions) == 32
    assert buffered.health().dropped == 1
    assert "alice" in caplog.text


def test_arguments_are_checked_when_they_are_passed(buffered: herenow.Presence) -> None:
    with pytest.raises(ValueError, match="not empty"):
        buffered.mark_online("")
    buffered.mark_online("alice")
    with pytest.raises(ValueError, match="limit"):
        buffered.get_online_users(limit=0)
    assert buffered.is_online("alice")


# its life


def test_the_flusher_is_a_thread_that_close_stops(server: Server) -> None:
    before = flushers()
    presence = herenow.Presence(server.unix_url, buffered=True, timeout=5)
    assert flushers() == before
    presence.mark_online("alice")
    assert len(flushers() - before) == 1
    presence.close()
    assert flushers() == before
    presence.mark_online("bob")  # it opens again when used
    assert presence.count_online_users() == 2
    presence.close()
    assert flushers() == before


def test_a_presence_that_is_dropped_sends_what_waits_and_stops_its_thread(server: Server) -> None:
    before = flushers()
    presence = herenow.Presence(server.unix_url, buffered=True, timeout=5)
    presence.mark_online("alice")
    del presence
    gc.collect()
    poll(lambda: flushers() == before, "the end of the thread", 5)
    with herenow.Presence(server.unix_url, timeout=5) as other:
        assert other.is_online("alice")


def test_a_room_outlives_the_presence_that_gave_it(server: Server) -> None:
    room = herenow.Presence(server.unix_url, buffered=True, timeout=5).room("doc")
    gc.collect()
    room.mark_online("alice")
    with herenow.Presence(server.unix_url, timeout=5) as other:
        poll(lambda: other.room("doc").is_online("alice"), "the flusher", 5)
    room.close()


def test_marks_while_another_thread_closes_are_sent(server: Server) -> None:
    presence = herenow.Presence(server.unix_url, buffered=True, timeout=5)
    closing = threading.Event()

    def close() -> None:
        while not closing.is_set():
            presence.close()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(close)
        deadline, marked = time.monotonic() + 1, 0
        while time.monotonic() < deadline:
            presence.mark_online(f"u{marked}")
            marked += 1
        closing.set()
        done.result()
    assert presence.count_online_users() == marked
    presence.close()


def test_a_mark_that_comes_while_another_thread_closes_never_waits_for_ever(
    server: Server,
) -> None:
    gate, interval, before = threading.Barrier(2), sys.getswitchinterval(), flushers()
    presence = herenow.Presence(server.unix_url, buffered=True, timeout=5)

    def close() -> None:
        gate.wait()
        presence.close()

    def mark(number: int) -> None:
        gate.wait()
        for i in range(20):
            presence.mark_online(f"{number}-{i}")

    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(2) as pool:
            for number in range(500):
                for done in (pool.submit(close), pool.submit(mark, number)):
                    done.result()
                waits = bool(presence._outbox.buffer)
                assert flushers() - before or not waits, "nobody will send it"
    finally:
        sys.setswitchinterval(interval)
    assert presence.count_online_users() == 500 * 20
    presence.close()


def test_a_mark_that_comes_just_as_the_thread_is_told_to_end_has_one_of_its_own() -> None:
    sent = threading.Event()

    class Site:
        def flush(self) -> None:
            sent.set()

    class Late(Flag):
        def set(self) -> None:
            flusher.wake()  # what a mark does, in the midst of the close
            super().set()

    site = Site()
    flusher = Flusher(site.flush, lambda: 0.3, site)
    flusher._closed = Late()
    flusher.close()
    assert sent.wait(20)
    flusher.close()
