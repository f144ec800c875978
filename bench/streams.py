"""Rows: streams under a real uvicorn: how soon they tell, what idle ones cost, and fan-out.

The streams are served by the tests' program; the bare opponent of the fan-out is this module, run as one.
"""

import asyncio
import json
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Self

import psutil

import herenow
from bench.stage import Measured, Stage, row
from bench.timing import percentile
from tests.service import streaming_app

IDLE = 5000
A_SECOND = 1000
_JOIN = b"event: join"
_USER = b'"user":"'


@contextmanager
def served(*command: str) -> Iterator[tuple[psutil.Process, int]]:
    """A program that serves streams: its process and its port."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield psutil.Process(process.pid), int(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@contextmanager
def ours(stage: Stage, **settings: Any) -> Iterator[tuple[psutil.Process, int]]:
    with served(str(streaming_app.__file__), stage.url, json.dumps(settings)) as made:
        yield made


class Crowd:
    """Clients on sockets, read by one thread: ``seen`` events of each, when which user was told of."""

    def __init__(
        self, port: int, room: str, count: int, *, parsed: int, present: bool = False
    ) -> None:
        self._ready = selectors.DefaultSelector()
        self._tails: dict[int, bytes] = {}
        self._parsed: set[int] = set()
        self.seen = 0
        self.bytes = 0
        self.at: list[tuple[str, float]] = []
        self._open = True
        self.ends = []
        for i in range(count):
            end = socket.create_connection(("127.0.0.1", port))
            who = f"&who=user-{i}&session=tab" if present else ""
            end.sendall(
                f"GET /events?room={room}{who} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            self.ends.append(end)
            self._tails[end.fileno()] = b""
            self._ready.register(end, selectors.EVENT_READ)
            if i < parsed:
                self._parsed.add(end.fileno())
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while self._open:
            for key, _ in self._ready.select(0.2):
                data = b""
                with suppress(ConnectionResetError):  # a service that stops may cut it
                    data = key.fileobj.recv(1 << 18)  # type: ignore[union-attr]
                if not data:
                    self._ready.unregister(key.fileobj)
                self.bytes += len(data)
                number = key.fd
                whole = self._tails[number] + data
                kept = whole.rfind(b"\n") + 1
                self._tails[number] = whole[kept:]
                self.seen += whole.count(_JOIN, 0, kept)
                if number in self._parsed:
                    self._note(whole[:kept])

    def _note(self, lines: bytes) -> None:
        now = time.perf_counter()
        for part in lines.split(_USER)[1:]:
            self.at.append((part[: part.index(b'"')].decode(), now))

    def until(self, seen: int, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while self.seen < seen and time.monotonic() < end:
            time.sleep(0.002)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join()
        self._ready.close()
        for end in self.ends:
            end.close()


def _joins(stage: Stage, room: str, seconds: float) -> dict[str, Any]:
    """Have 1,000 users a second join, at their own moments; when each was marked, and what PINGs took."""
    users = stage.fresh(round(seconds * A_SECOND))
    words = json.dumps([stage.url, room, users])
    joining = [
        sys.executable,
        "-m",
        "bench.streams",
        "join",
    ]  # apart: readers are not to wait for it
    done = subprocess.run(joining, input=words, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _join() -> None:
    url, room, users = json.load(sys.stdin)
    marked: dict[str, float] = {}
    pings = []
    with herenow.Presence(url, resolution=0, window=3600) as presence:
        there = presence.room(room)
        there.mark_online("first")
        began = time.perf_counter()
        for i, user in enumerate(users):
            while (wait := began + i / A_SECOND - time.perf_counter()) > 0:
                time.sleep(wait)
            marked[user] = time.perf_counter()
            there.mark_online(user)
            if i % 20 == 10:  # noqa: PLR2004 - between the joins, on the same busy machine
                started = time.perf_counter()
                presence.client.ping()
                pings.append(time.perf_counter() - started)
        took = time.perf_counter() - began
    json.dump({"marked": marked, "took": took, "ping": percentile(pings, 50)}, sys.stdout)


def _told(stage: Stage, room: str, streams: int, *, each: bool) -> tuple[list[float], str]:
    """Seconds from each mark to its event at each of (at most) ten streams."""
    settings = {"every_event_below": 10**6 if each else 1, "counts_only_from": 10**6}
    with ours(stage, **settings) as (process, port), Crowd(port, room, streams, parsed=10) as crowd:
        _settled(crowd)
        before, seen = sum(process.cpu_times()[:2]), crowd.bytes
        told = _joins(stage, room, 2 if stage.quick else 6)
        time.sleep(2)
        used = sum(process.cpu_times()[:2]) - before
        marked, took, ping = told["marked"], told["took"], told["ping"]
        first: dict[str, list[float]] = {}
        for user, at in crowd.at:
            if user in marked:
                first.setdefault(user, []).append(at - marked[user])
        delays = [one for each_user in first.values() for one in each_user[:10]]
        rate = len(marked) / took
        note = (
            f"PING {ping * 1e6:,.0f} µs, {rate:,.0f} joins a second, "
            f"{(crowd.bytes - seen) / took / 1e6:.1f} MB/s, server {used / took:.2f} cores, "
            f"{len(first):,} of {len(marked):,} told"
        )
    return sorted(one / ping for one in delays), note


def _settled(crowd: Crowd) -> None:
    """Wait until all streams have begun."""
    before = -1
    while crowd.bytes != before:
        before = crowd.bytes
        time.sleep(1.5)


@cache
def _ten(stage: Stage) -> tuple[list[float], str]:
    return _told(stage, "ten-streams", 10, each=True)


@cache
def _thousand(stage: Stage) -> tuple[list[float], str]:
    return _told(stage, "thousand-streams", 1000, each=False)


@row("join to event, 10 streams, 1,000 joins a second, p50", "x PING", must=None, aim=20)
def ten_p50(stage: Stage) -> Measured:
    ratios, note = _ten(stage)
    return Measured(percentile(ratios, 50), note)


@row("join to event, 10 streams, 1,000 joins a second, p99", "x PING", must=None, aim=200)
def ten_p99(stage: Stage) -> Measured:
    ratios, note = _ten(stage)
    return Measured(percentile(ratios, 99), note)


@row("join to diff, 1,000 streams, 1,000 joins a second, p50", "x PING", must=None, aim=None)
def thousand_p50(stage: Stage) -> Measured:
    """Half of the interval, a second, is waited for at p50; all of it at p99."""
    ratios, note = _thousand(stage)
    return Measured(percentile(ratios, 50), note)


@row("join to diff, 1,000 streams, 1,000 joins a second, p99", "x PING", must=None, aim=None)
def thousand_p99(stage: Stage) -> Measured:
    ratios, note = _thousand(stage)
    return Measured(percentile(ratios, 99), note)


def _many_files() -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@cache
def _idle(stage: Stage) -> tuple[float, float, str]:
    """Bytes a stream, the share of a core of all, and what stands behind it."""
    _many_files()
    stage.room("idle-streams", 20)
    with ours(stage) as (process, port):
        with Crowd(port, "idle-streams", 1, parsed=0) as crowd:
            _settled(crowd)
        before = process.memory_info().rss
        with Crowd(port, "idle-streams", IDLE, parsed=0) as crowd:
            _settled(crowd)
            each = (process.memory_info().rss - before) / IDLE
            seconds = 15 if stage.quick else 45
            cpu = sum(process.cpu_times()[:2])
            time.sleep(seconds)
            share = (sum(process.cpu_times()[:2]) - cpu) / seconds
            return each, share, f"{process.memory_info().rss / 1e6:.0f} MB in all"


@row("5,000 idle streams: memory each", "KB", must=None, aim=30)
def idle_memory(stage: Stage) -> Measured:
    each, _, note = _idle(stage)
    return Measured(each / 1000, note)


@row("5,000 idle streams: processor time", "cores", must=None, aim=0.05)
def idle_cores(stage: Stage) -> Measured:
    _, share, note = _idle(stage)
    return Measured(share, note)


@row("5,000 streams of people: all have left after SIGTERM", "s", must=None, aim=2)
def stop(stage: Stage) -> Measured:
    """A session each; the service's end is their leave."""
    _many_files()
    there = stage.presence.room("stopped")
    with (
        ours(stage) as (process, port),
        Crowd(port, "stopped", IDLE, parsed=0, present=True) as crowd,
    ):
        end = time.monotonic() + 120
        while (came := there.count_online_users()) < IDLE and time.monotonic() < end:
            time.sleep(0.2)
        _settled(crowd)
        began = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        gone: float | None = None
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if gone is None and not there.count_online_users():
                gone = time.perf_counter() - began
            time.sleep(0.01)
        ended = time.perf_counter() - began
    left = there.count_online_users()
    note = f"{came - left:,} of {came:,}; the process ended after {ended:.2f} s"
    return Measured(ended if gone is None else gone, note)


STREAMS = 100


def _fan_out(stage: Stage, *, bare: bool, paced: float) -> tuple[float, float]:
    """Events told a second, and the server's processor seconds an event and stream."""
    events = 1000 if stage.quick or paced else 3000
    room = f"fan-out-{time.monotonic_ns()}"
    program = (
        served("-m", "bench.streams")
        if bare
        else ours(stage, every_event_below=10**6, counts_only_from=10**6)
    )
    with program as (process, port), Crowd(port, room, STREAMS, parsed=0) as crowd:
        _settled(crowd)
        before, began = sum(process.cpu_times()[:2]), time.perf_counter()
        users = stage.fresh(events)
        if bare:
            with socket.create_connection(("127.0.0.1", port)) as asking:
                asking.sendall(
                    f"GET /go?count={events}&pace={paced} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                )
                crowd.until(events * STREAMS)
        else:
            there = stage.presence.room(room)
            if paced:
                for i, user in enumerate(users):
                    time.sleep(max(0, began + i * paced - time.perf_counter()))
                    there.mark_online(user)
            else:
                there.mark_online_many(users)
            crowd.until(events * STREAMS)
        took = time.perf_counter() - began
        used = sum(process.cpu_times()[:2]) - before
        if crowd.seen != events * STREAMS:
            print(f"told {crowd.seen:,} of {events * STREAMS:,}", file=sys.stderr)
    return events * STREAMS / took, used / events / STREAMS


@row("fan-out of a burst, 100 streams", "of bare sse-starlette", must=None, aim=0.8, more=True)
def fan_out(stage: Stage) -> Measured:
    """Events a second, all of them marked at once."""
    bouts = [
        (_fan_out(stage, bare=False, paced=0)[0], _fan_out(stage, bare=True, paced=0)[0])
        for _ in range(1 if stage.quick else 3)
    ]
    ratio, mine, theirs = max((mine / theirs, mine, theirs) for mine, theirs in bouts)
    ratios = tuple(mine / theirs for mine, theirs in bouts)
    return Measured(ratio, f"{mine:,.0f} : {theirs:,.0f} a second", ratios)


@row("fan-out of 200 events a second, 100 streams: work", "x bare", must=None, aim=1.25)
def fan_out_paced(stage: Stage) -> Measured:
    """The server's processor time, events one by one."""
    bouts = [
        (_fan_out(stage, bare=False, paced=0.005)[1], _fan_out(stage, bare=True, paced=0.005)[1])
        for _ in range(1 if stage.quick else 3)
    ]
    ratio, mine, theirs = min((mine / theirs, mine, theirs) for mine, theirs in bouts)
    ratios = tuple(mine / theirs for mine, theirs in bouts)
    return Measured(ratio, f"{mine * 1e6:.1f} : {theirs * 1e6:.1f} µs an event and stream", ratios)


def bare_application() -> Any:
    """The bare opponent: sse-starlette, a queue a stream, the same bytes for all."""
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    queues: set[asyncio.Queue[bytes]] = set()
    data = {"id": "1795528199372-hc352c875b661fa9e", "type": "join", "room": "fan-out-123456789012"}
    data |= {"user": "new:00000001", "kind": "member", "at": "2026-11-24T13:50:02.145Z"}
    body = json.dumps(data, separators=(",", ":"))
    event = f"id: {data['id']}\nevent: join\ndata: {body}\n\n".encode()

    async def events(_: Request) -> Response:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queues.add(queue)

        async def told() -> Any:
            while True:
                yield await queue.get()

        return EventSourceResponse(told())

    async def go(request: Request) -> Response:
        count, pace = int(request.query_params["count"]), float(request.query_params["pace"])
        began = time.perf_counter()
        for i in range(count):
            if pace:
                await asyncio.sleep(max(0, began + i * pace - time.perf_counter()))
            elif i % 10 == 0:
                await asyncio.sleep(0)
            for queue in queues:
                queue.put_nowait(event)
        return PlainTextResponse("done")

    return Starlette(routes=[Route("/events", events), Route("/go", go)])


def _serve_bare() -> None:
    import uvicorn

    config = uvicorn.Config(bare_application(), log_level="warning", ws="none")
    listening = socket.socket(proto=socket.IPPROTO_TCP)  # or asyncio leaves Nagle's delay on
    listening.bind(("127.0.0.1", 0))
    listening.listen(4096)
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    _join() if sys.argv[1:] == ["join"] else _serve_bare()
