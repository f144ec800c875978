"""How streams end: a server that stops, clients that go, readers that take nothing."""

import signal
import socket
import time
from functools import partial
from pathlib import Path

import pytest

import herenow
from tests.service.conftest import Stream
from tests.service.following import Following, raw
from tests.waiting import in_time, poll


def test_an_application_stops_within_two_seconds_with_streams_open(
    stream: Stream, presence: herenow.Presence
) -> None:
    def stopped() -> float:
        serving = stream()
        followings = [serving.follow(room=f"r{i % 3}") for i in range(30)]
        for one in followings:
            one.until_told("reset")
        began = time.monotonic()
        assert serving.stop() in {0, -signal.SIGTERM}
        took = time.monotonic() - began
        for one in followings:
            assert one.ended.wait(10)
        return took

    in_time(2, stopped)


def test_a_client_that_goes_is_noticed(stream: Stream) -> None:
    serving = stream()
    followings = [serving.follow() for _ in range(5)]
    poll(lambda: serving.count()["open"] == 5, "five")
    for one in followings:
        one.close()
    poll(lambda: serving.count()["open"] == 0, "none", 20)
    told = serving.count()
    assert (told["opened"], told["ended"], told.get("cut", 0)) == (5, 5, 0)
    assert told["feeds"] == []


def flood(presence: herenow.Presence, number: int) -> None:
    """Have fifty events happen, of a kilobyte each."""
    info = {"page": f"{number:06}" + "x" * 900}
    presence.mark_online_many(
        herenow.Sighting(f"u{i}", session="tab", info=info) for i in range(50)
    )


def test_a_reader_that_takes_nothing_is_cut_and_others_go_on(
    stream: Stream, presence: herenow.Presence
) -> None:
    serving = stream(max_waiting=2**17, send_timeout=60.0)
    good = serving.follow()
    good.until_told("reset")
    with raw(serving.port, size=4096) as (sock, lines):
        while not next(lines).startswith(b"data"):
            pass
        before = memory(serving.process.pid)
        for i in range(1000):
            flood(presence, i)
            good.until(partial(has_seen, good, (i + 1) * 50))  # it keeps up
            if i % 10 == 0 and serving.count()["open"] == 1:
                break
        poll(lambda: serving.count()["open"] == 1, "the end of the stuck one")
        assert serving.count()["cut"] == 1
        assert memory(serving.process.pid) - before < 20e6
        presence.mark_online("bob")
        good.until_told("join", "bob")
        assert_aborted(sock)


def has_seen(following: Following, count: int) -> bool:
    return len(following.told) > count


@pytest.mark.parametrize("behind", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_reader_that_takes_nothing_for_long_is_cut(
    stream: Stream, presence: herenow.Presence, *, behind: bool
) -> None:
    """Also behind a middleware that runs the application in a task of its own."""
    serving = stream(send_timeout=1.0, max_waiting=2**30, behind=behind)
    with raw(serving.port, size=4096) as (sock, lines):
        while not next(lines).startswith(b"data"):
            pass
        end = time.monotonic() + 30
        while serving.count()["open"] and time.monotonic() < end:
            flood(presence, time.monotonic_ns() % 1_000_000)
        assert serving.count()["cut"] == 1
        assert_aborted(sock)


def test_an_application_stops_in_time_with_a_reader_that_takes_nothing(
    stream: Stream, presence: herenow.Presence
) -> None:
    def stopped() -> float:
        serving = stream()
        with raw(serving.port, size=4096) as (_, lines):
            while not next(lines).startswith(b"data"):
                pass
            for i in range(100):
                flood(presence, i)
            began = time.monotonic()
            assert serving.stop() in {0, -signal.SIGTERM}
            return time.monotonic() - began

    in_time(2.5, stopped)


def assert_aborted(sock: socket.socket) -> None:
    """The kernel holds nothing back: after what had arrived comes a reset, and at once."""
    sock.settimeout(5)
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return
    raise AssertionError("it was ended, not aborted")


def memory(pid: int) -> int:
    """Bytes that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
