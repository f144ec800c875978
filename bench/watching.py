"""Rows: live events: how soon a join is told, how fast expiries are, what idle watching costs."""

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import herenow
from bench.stage import Measured, Stage, row
from bench.timing import percentile
from herenow.watching.watchers import Events

ROOMS = 5000
PROCESSES = 8


def _latencies(stage: Stage) -> tuple[list[float], list[float]]:
    """Seconds from a mark to its event in a thread that waits for it, and of PINGs between them."""
    joins, pings = [], []
    room = stage.room("watched", 1000)
    client = stage.presence.client
    arrived: list[float] = []
    there = threading.Event()

    def read(events: Events) -> None:
        for _ in events:
            arrived.append(time.perf_counter())
            there.set()

    with (
        stage.open(resolution=0) as other,
        ThreadPoolExecutor(1) as thread,
        other.room("watched").watch() as events,
    ):
        thread.submit(read, events)
        for user in stage.fresh(500 if stage.quick else 2000):
            started = time.perf_counter()
            client.ping()
            pings.append(time.perf_counter() - started)
            there.clear()
            started = time.perf_counter()
            room.mark_online(user)
            there.wait(5)
            joins.append(arrived[-1] - started)
        events.close()
    return joins, pings


def _in_pings(stage: Stage, percent: int) -> Measured:
    bouts = [_latencies(stage) for _ in range(3)]
    ratios = sorted(
        (percentile(joins, percent) / percentile(pings, 50), percentile(joins, percent))
        for joins, pings in bouts
    )
    ratio, seconds = ratios[0]
    return Measured(ratio, f"{seconds * 1e6:,.0f} µs", tuple(one for one, _ in ratios))


@row("join to its event at a client, p50", "x PING", must=None, aim=6)
def join_to_event(stage: Stage) -> Measured:
    return _in_pings(stage, 50)


@row("join to its event at a client, p99", "x PING", must=None, aim=20)
def join_to_event_at_worst(stage: Stage) -> Measured:
    return _in_pings(stage, 99)


@row("expiries told a second, one watcher", "a second", must=None, aim=100_000, more=True)
def expiries(stage: Stage) -> Measured:
    """All at once, swept by the watcher itself."""
    users = stage.users(20_000 if stage.quick else 100_000)
    with stage.open(resolution=0, window=5) as presence:
        room = presence.room(f"expiring-{time.time_ns()}", window=2)
        room.mark_online("last")
        for i in range(0, len(users), 10_000):
            room.mark_online_many(users[i : i + 10_000])
        told, resets, began = 0, 0, 0.0
        with room.watch() as events:
            while told < len(users):
                batch = events.batch(10)
                if not batch:
                    break
                now = time.perf_counter()
                leaves = [one for one in batch if one.type == "leave"]
                resets += sum(one.type == "reset" for one in batch)
                began = began or (now if leaves else 0.0)
                told += len(leaves)
            seconds = time.perf_counter() - began
    late = "" if told >= len(users) else f", {len(users) - told:,} not told"
    return Measured(told / seconds, f"{told:,} in {seconds:.2f} s, {resets} resets{late}")


@row("idle watch of 5,000 rooms by 8 processes: store", "cores", must=0.4, aim=0.05)
def idle(stage: Stage) -> Measured:
    """The processor time that the store takes while 40,000 watches have nothing to tell."""
    with stage.open(resolution=0) as presence:
        for i in range(ROOMS):
            presence.room(f"idle-{i}").mark_online_many(["alice", "bob"])
    watchers = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.watching", stage.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    try:
        for one in watchers:
            assert one.stdout is not None  # noqa: S101 - it is a pipe
            one.stdout.readline()
        seconds = 5 if stage.quick else 75  # each room is looked at once a minute in any case
        before = _cpu(stage)
        time.sleep(seconds)
        used = (_cpu(stage) - before) / seconds
        took = [float(one.communicate(b"\n", timeout=60)[0]) for one in watchers]
    finally:
        for one in watchers:
            one.kill()
            one.wait()
    return Measured(used, f"{max(took):.3f} cores a watching process at most")


def _cpu(stage: Stage) -> float:
    info = stage.client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


async def _watch_all(url: str) -> None:
    async with herenow.AsyncPresence(url, timeout=60) as presence:
        watches = [presence.room(f"idle-{i}").watch() for i in range(ROOMS)]
        for one in watches:
            await one.__aenter__()
        await asyncio.sleep(1)
        print(flush=True)
        before, started = time.process_time(), time.monotonic()
        await asyncio.to_thread(sys.stdin.readline)
        print((time.process_time() - before) / (time.monotonic() - started), flush=True)


if __name__ == "__main__":
    asyncio.run(_watch_all(sys.argv[1]))
