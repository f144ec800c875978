"""Streams of `herenow serve`, as a page has them: presence, and their end."""

import contextlib
import signal
import time
from pathlib import Path

import httpx

import herenow
from tests.servers import Server
from tests.service.conftest import API_KEY, Process, Serve, bearer, token
from tests.waiting import in_time

USERS = "/v1/rooms/site/users"


def test_a_stream_is_presence_and_its_end_the_leave(serve: Serve) -> None:
    """As a page has it: the token in the query, a session, and the tab that is closed."""
    address = serve()
    query = {"token": token("alice", rooms=["site"]), "session": "tab"}
    with (
        httpx.Client() as client,
        client.stream("GET", f"{address}/v1/rooms/site/events", params=query) as stream,
    ):
        lines = stream.iter_lines()
        assert stream.headers["content-type"].startswith("text/event-stream")
        while not next(lines).startswith("event: reset"):
            pass
        told = httpx.get(f"{address}{USERS}/alice", headers=bearer(API_KEY)).json()
        assert told["online"]
        assert [one["name"].partition("~")[0] for one in told["sessions"]] == ["tab"]
    until = time.monotonic() + 3
    while httpx.get(f"{address}{USERS}/alice", headers=bearer(API_KEY)).json()["online"]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_service_stops_within_two_seconds_with_streams_open(
    server: Server, tmp_path: Path, presence: herenow.Presence
) -> None:
    def stopped() -> float:
        running = Process(tmp_path, server.unix_url, (), {})
        reading = []  # one that is thrown away ends its stream
        with contextlib.ExitStack() as streams:
            streams.callback(running.stop, signal.SIGKILL)
            for number in range(20):
                query = {"token": token(f"user-{number}"), "session": "tab"}
                stream = httpx.stream(
                    "GET", f"{running.address}/v1/events", params=query, timeout=30
                )
                reading.append(streams.enter_context(stream).iter_raw())
                next(reading[-1])
            assert presence.count_online_users() == 20
            began = time.monotonic()
            running.stop(signal.SIGTERM)
            took = time.monotonic() - began
        assert presence.count_online_users() == 0
        return took

    in_time(2, stopped)


def test_a_stream_ends_with_its_token(serve: Serve) -> None:
    query = {"token": token("alice", expires=2)}
    address = serve()
    began = time.monotonic()
    with httpx.stream("GET", f"{address}/v1/events", params=query) as stream:
        for _ in stream.iter_lines():
            pass
    assert time.monotonic() - began < 6


def test_the_environment_bounds_how_many_streams_there_are(serve: Serve) -> None:
    events = f"{serve(HERENOW_MAX_STREAMS='1')}/v1/rooms/site/events"
    with httpx.stream("GET", events, headers=bearer(API_KEY), timeout=30) as stream:
        reading = stream.iter_lines()  # one that is thrown away ends its stream
        next(reading)
        assert httpx.get(events, headers=bearer(API_KEY)).status_code == 503
