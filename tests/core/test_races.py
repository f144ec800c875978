"""Eight processes mark, hide, leave and sweep the same users at once; one of them is killed.

A sampler reads a room and what is new in its stream as one moment, again and again: whatever the
processes do between two scripts, what was told and what is stored say the same.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import herenow
from herenow.operations.events import StoredEvent, read_entry
from herenow.operations.keys import room_keys
from tests.core.racer import ROOMS, USERS, WINDOW, WORKERS
from tests.servers import Cluster, Server, unwatch, watch

KINDS = ("member", "hidden", "guest", "bot")
WINDOW_MS = round(WINDOW * 1000)
SECONDS, AT_MOST = 2.0, 30.0

LOOK = """
local clock, found = redis.call('TIME'), {}
found[1] = clock[1] * 1000 + math.floor(clock[2] / 1000)
found[2] = redis.call('XRANGE', KEYS[10], ARGV[1], '+')
for i = 2, 7 do found[i + 1] = redis.call('ZRANGEBYSCORE', KEYS[i], 0, 4e15, 'WITHSCORES') end
found[9] = redis.call('HGETALL', KEYS[8])
return found
"""


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def pairs(flat: list[bytes]) -> dict[str, str]:
    texts = [one.decode() for one in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


@dataclass
class Watcher:
    """One room, followed by its stream; every look compares it with what is stored."""

    room: str
    client: Any
    after: str = "-"
    entries: list[tuple[int, list[StoredEvent]]] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    last: dict[str, StoredEvent] = field(default_factory=dict)

    def look(self) -> None:
        keys = room_keys("herenow:", self.room)
        now, entries, *sets, packed = self.client.eval(LOOK, len(keys), *keys, self.after)
        for entry in entries:
            self.after = f"({entry[0].decode()}"
            events = read_entry(entry, self.room)
            self.entries.append((int(entry[1][1]), events))
            for stored in events:
                self.follow(stored)
        scores = [{name: int(score) for name, score in pairs(one).items()} for one in sets]
        online, (last_member, last_hidden) = scores[:4], scores[4:]
        there = {name: kind for kind, one in zip(KINDS, online, strict=True) for name in one}
        assert len(there) == sum(map(len, online)), "somebody is in two online sets"
        assert there == self.kinds, "what was told is not what is stored"
        known = {name for name, kind in there.items() if kind != "hidden"}
        assert not known & set(last_member)
        assert not set(there) & set(last_hidden)
        seen = {name: score for one in online for name, score in one.items()}
        self.check_sessions(seen, pairs(packed))
        self.check_timeouts(now, {"member": last_member, "hidden": last_hidden})

    def follow(self, stored: StoredEvent) -> None:
        """Joins and leaves of a user alternate, and each says the kind that they are of."""
        event, user = stored.event, stored.event.user
        assert user is not None
        assert event.kind is not None
        if event.type == "join":
            assert user not in self.kinds, f"{user} joins twice"
            self.kinds[user] = event.kind
        elif event.type == "leave":
            assert self.kinds.pop(user, None) == event.kind, f"{user} leaves twice, or as another"
        else:
            assert self.kinds.get(user) == (stored.was or event.kind), f"update of {user}"
            self.kinds[user] = event.kind
        self.last[user] = stored

    def check_sessions(self, seen: dict[str, int], packed: dict[str, str]) -> None:
        """Sessions are of people online, and the newest is when they were last seen."""
        for name, lines in packed.items():
            moments = [int(line.split("\t")[1]) for line in lines.split("\n")]
            assert max(moments) == seen[name], f"sessions of {name}: {lines!r}"

    def check_timeouts(self, now: int, last: dict[str, dict[str, int]]) -> None:
        """They left at their last seen and the window, or a sighting older than it came later."""
        for user, stored in self.last.items():
            event = stored.event
            scores = last.get(event.kind or "", {})
            if event.reason == "timeout" and user in scores:
                seen, at = scores[user], milliseconds(event.at)
                remembered = at - WINDOW_MS < seen <= now - WINDOW_MS
                assert seen + WINDOW_MS == at or remembered, (
                    f"{user} timed out at {at}, seen {seen}"
                )

    @property
    def told(self) -> list[StoredEvent]:
        return [stored for _, events in self.entries for stored in events]

    def ids(self) -> list[int]:
        return [stored.number for stored in self.told]

    def peaks(self) -> dict[str | None, tuple[int, int | None]]:
        """The most of each kind after any entry by which somebody joined or changed kind.

        Somebody whose timeout is told later, but was due, counts no more.
        """
        ends: dict[int, int] = {}  # where an entry says that they time out, by where they came
        came: dict[str, int] = {}
        for stored in self.told:
            event = stored.event
            assert event.user is not None
            if event.type == "join":
                came[event.user] = stored.number
            elif event.reason == "timeout":
                ends[came[event.user]] = milliseconds(event.at)
        best: dict[str | None, tuple[int, int | None]] = dict.fromkeys((None, *KINDS), (0, None))
        there: dict[str, tuple[str, int]] = {}
        for now, events in self.entries:
            for stored in events:
                event, user = stored.event, stored.event.user
                assert user is not None
                assert event.kind is not None
                if event.type == "leave":
                    del there[user]
                else:
                    joined = event.type == "join"
                    there[user] = (event.kind, stored.number if joined else there[user][1])
            if any(stored.event.type == "join" or stored.was for stored in events):
                kinds = [kind for kind, join in there.values() if ends.get(join, now + 1) > now]
                for kind, (most, _) in best.items():
                    number = len(kinds) - kinds.count("bot") if kind is None else kinds.count(kind)
                    if number > most:
                        best[kind] = (number, now)
        return best


@contextmanager
def racing(url: str, mode: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Start the processes; whoever is left at the end of the block is killed."""
    source, root = Path(herenow.__file__).parents[1], Path(__file__).parents[2]
    program = Path(__file__).with_name("racer.py")
    with subprocess.Popen(
        [sys.executable, str(program), url, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(source), str(root)])},
        start_new_session=True,
    ) as process:
        watch(process.pid)
        assert process.stdout
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == WORKERS
        try:
            yield process, pids
        finally:
            unwatch(process.pid)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def race(url: str, mode: str, watchers: list[Watcher], meanwhile: Callable[[], Any]) -> None:
    """Let them race, look all the while, and check the whole story."""
    most: dict[str, int] = dict.fromkeys(ROOMS, 0)
    killed, began = False, time.monotonic()
    with herenow.Presence(url, timeout=10) as sampler, racing(url, mode) as (process, pids):
        while process.poll() is None:
            meanwhile()
            for watcher in watchers:
                watcher.look()
            for name, counts in sampler.room_counts(ROOMS).items():
                most[name] = max(most[name], counts.people)
            raced = time.monotonic() - began
            if not killed and raced > SECONDS / 2:
                os.kill(pids[3], signal.SIGKILL)
                killed = True
            if raced > SECONDS and (tells_all(watchers) or raced > AT_MOST):
                assert process.stdin
                process.stdin.close()  # and they end
        assert killed
        assert process.returncode == 0
        for watcher in watchers:
            watcher.look()
            check_story(
                watcher, sampler.room(watcher.room), most[watcher.room], late=mode == "buffered"
            )
    assert tells_all(watchers)


def tells_all(watchers: list[Watcher]) -> bool:
    """Whether enough was told, of all sorts: on a machine that is busy that takes longer."""
    events = [stored.event for watcher in watchers for stored in watcher.told]
    return (
        len(events) > 300
        and {event.reason for event in events} == {None, "left", "timeout"}
        and {event.kind for event in events} == set(KINDS)
    )


def check_story(watcher: Watcher, room: herenow.Presence, most: int, *, late: bool) -> None:
    assert all(after == before + 1 for before, after in pairwise(watcher.ids())), "a hole"
    peaks = {}
    for kind in (None, *KINDS):
        peak = room.peak(kind, include_hidden=True)  # type: ignore[arg-type]
        peaks[kind] = (peak.count, peak.at and milliseconds(peak.at))
    told = watcher.peaks()
    if late:  # told in batches: more may have been there for a moment before the batch came
        assert all(peaks[kind][0] >= told[kind][0] for kind in told)
    else:
        assert peaks == told
    assert peaks[None][0] >= most > 0
    online = {
        n: one.kind for n, one in room.lookup(USERS, include_hidden=True).items() if one.online
    }
    assert online.items() <= watcher.kinds.items()
    time.sleep(WINDOW)
    while room.sweep():
        pass
    watcher.look()
    assert watcher.kinds == {}


@pytest.mark.parametrize("mode", ["plain", "buffered"])
@pytest.mark.parametrize("cache", ["kept", "flushed"])
def test_what_is_told_is_what_is_stored(server: Server, mode: str, cache: str) -> None:
    watchers = [Watcher(name, server.control) for name in ROOMS]
    flush = server.control.script_flush if cache == "flushed" else lambda: None
    race(server.unix_url, mode, watchers, flush)


@pytest.mark.parametrize("mode", ["plain", "buffered"])
def test_what_is_told_is_what_is_stored_on_a_cluster(cluster: Cluster, mode: str) -> None:
    keys = {name: room_keys("herenow:", name)[0].decode() for name in ROOMS}
    watchers = [Watcher(name, cluster.node_of(keys[name]).control) for name in ROOMS]

    def flush() -> None:
        for node in cluster.alive():
            node.control.script_flush()

    race(cluster.url, mode, watchers, flush if mode == "buffered" else lambda: None)
