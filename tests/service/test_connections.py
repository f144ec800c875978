"""Connections of `herenow serve`: heads that come slowly, and more connections than it takes."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.servers import Server, poll
from tests.service.conftest import API_KEY, Process, Serve, bearer
from tests.waiting import in_time

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
STREAM = f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_KEY}\r\n\r\n"
Dial = Callable[[str], socket.socket]


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Connect to a service; closed in the end."""
    with contextlib.ExitStack() as opened:

        def connect(address: str) -> socket.socket:
            where = urlsplit(address)
            made = opened.enter_context(socket.create_connection((where.hostname, where.port), 30))
            made.settimeout(30)
            return made

        yield connect


def rest(sock: socket.socket) -> bytes:
    """What comes until it is closed."""
    told = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            told += part
    return told


def test_a_head_that_comes_slowly_is_refused(serve: Serve, dial: Dial) -> None:
    """A byte a second, none at all, and the second one of a connection; not so streams, nor a body."""
    address = serve()
    slow, silent, again, stream = (dial(address) for _ in range(4))
    stream.sendall(STREAM.encode())
    again.sendall(GET + b"\r\n" + GET)
    slow.sendall(GET)
    slow.settimeout(1)
    told, end = b"", time.monotonic() + 40
    while not told:
        assert time.monotonic() < end
        slow.sendall(b"X")
        with contextlib.suppress(TimeoutError):
            told = slow.recv(65536)
    told += rest(slow)
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in told
    assert b"head did not come within 10 s" in told
    assert rest(silent).startswith(b"HTTP/1.1 408 ")
    answers = rest(again)
    assert answers.startswith(b"HTTP/1.1 200 ")
    stream.settimeout(0.2)
    seen = b""
    with contextlib.suppress(TimeoutError):
        while part := stream.recv(65536):
            seen += part
    assert b"event: reset" in seen  # and it was not ended
    assert b"408" not in seen
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_kept_connection_is_answered_at_once(serve: Serve) -> None:
    """No answer waits for the acknowledgement of its own head: 40 ms, by the client's kernel."""
    site = f"{serve()}/v1/rooms/site"
    with httpx.Client(headers=bearer(API_KEY)) as kept:

        def fifty() -> float:
            began = time.monotonic()
            for _ in range(25):
                assert kept.get(site).status_code == 200
                assert kept.put(f"{site}/users/alice", json={}).is_success
            return time.monotonic() - began

        in_time(1.5, fifty)


def test_what_is_no_request_is_a_problem(serve: Serve, dial: Dial) -> None:
    sock = dial(serve())
    sock.sendall(b"\x16\x03\x01\x02\x00\r\n\r\n")
    told = rest(sock)
    assert told.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in told


def test_there_are_not_more_connections_than_files_allow(
    server: Server, tmp_path: Path, dial: Dial
) -> None:
    """Who is connected stays, and it answers others again when some go."""
    few = ("sh", "-c", 'ulimit -n 140; exec "$@"', "sh")
    running = Process(tmp_path, server.unix_url, (), {}, few)
    try:
        first = dial(running.address)
        others = [dial(running.address) for _ in range(60)]
        assert rest(others[-1]) == b""  # 40 are taken, and it is ended at once
        first.sendall(GET + b"\r\n")
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        for one in others:
            one.close()
        poll(lambda: answers(running.address), "an answer")
    finally:
        running.stop()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz").status_code == 200
    except httpx.TransportError:
        return False
