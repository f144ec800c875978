"""Watchers under eight processes that mark and leave the same users: nothing they are told is a lie.

Each follows joins and leaves as a client does: they alternate for every user, and in the end it knows
who is online. One reads on; one resumes anew all the time; one loses its line; one sleeps until what
it missed is trimmed.
"""

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import herenow
from herenow.names import KINDS
from tests.core import racer
from tests.core.programs import PATH
from tests.core.sides import SIDES
from tests.servers import Server

ROOM = racer.ROOMS[0]
SECONDS = 3


class Follower:
    """What a client knows of a room from its events: online, gone, or (after a reset) not known."""

    def __init__(self, *, include_hidden: bool) -> None:
        self.include_hidden = include_hidden
        self.known: dict[str, bool] = {}
        self.events = self.resets = 0
        self.last: str | None = None

    def see(self, event: herenow.Event) -> None:
        self.events += 1
        self.last = event.id
        if event.type == "reset":
            self.resets += 1
            assert event.snapshot is not None
            # the others are gone, or guests or bots, of whom a snapshot has numbers only
            self.known = {one.user: True for one in event.snapshot.users}
            return
        assert event.user is not None
        there = self.known.get(event.user, event.type != "join")
        assert there is (event.type != "join"), event
        self.known[event.user] = event.type != "leave"
        if not self.include_hidden:
            assert event.kind != "hidden"


def steady(batch: int, dice: random.Random) -> tuple[bool, float]:
    return False, 0.0


def resuming(batch: int, dice: random.Random) -> tuple[bool, float]:
    return dice.random() < 0.2, 0.0


def sleeping(batch: int, dice: random.Random) -> tuple[bool, float]:
    return batch % 7 == 6, 0.6 if batch % 7 == 6 else 0.0


Manner = Callable[[int, random.Random], tuple[bool, float]]


def follow(
    presence: herenow.Presence, follower: Follower, manner: Manner, end: threading.Event
) -> None:
    events = presence.watch(after=follower.last, include_hidden=follower.include_hidden)
    dice, batches = random.Random(1), 0
    while True:
        batch = events.batch(0.5)
        for event in batch:
            follower.see(event)
        if not batch and end.is_set():
            return
        anew, pause = manner(batches := batches + 1, dice)
        if anew and not end.is_set():
            events.close()
            time.sleep(pause)
            events = presence.watch(after=follower.last, include_hidden=follower.include_hidden)


async def afollow(
    presence: herenow.AsyncPresence, follower: Follower, manner: Manner, end: threading.Event
) -> None:
    events = presence.watch(after=follower.last, include_hidden=follower.include_hidden)
    dice, batches = random.Random(1), 0
    while True:
        batch = await events.batch(0.5)
        for event in batch:
            follower.see(event)
        if not batch and end.is_set():
            return
        anew, pause = manner(batches := batches + 1, dice)
        if anew and not end.is_set():
            await events.aclose()
            await asyncio.sleep(pause)
            events = presence.watch(after=follower.last, include_hidden=follower.include_hidden)


def all_follow(
    name: str, url: str, followers: dict[tuple[Manner, bool], Follower], end: threading.Event
) -> None:
    """Have each follow, by one Presence, until the end."""

    async def together() -> None:
        async with herenow.AsyncPresence(url, timeout=5) as presence:
            room = presence.room(ROOM)
            await asyncio.gather(
                *(afollow(room, one, manner, end) for (manner, _), one in followers.items())
            )

    if name == "async":
        asyncio.run(together())
        return
    with herenow.Presence(url, timeout=5) as presence, ThreadPoolExecutor(10) as threads:
        room = presence.room(ROOM)
        done = [threads.submit(follow, room, one, key[0], end) for key, one in followers.items()]
    for one in done:
        one.result()


@pytest.mark.parametrize("name", SIDES)
def test_watchers_know_the_truth(name: str, server: Server) -> None:
    url = server.unix_url
    followers: dict[tuple[Manner, bool], Follower] = {
        (manner, hidden): Follower(include_hidden=hidden)
        for manner in (steady, resuming, sleeping)
        for hidden in (False, True)
    }
    end = threading.Event()
    with (
        herenow.Presence(url, resolution=0, timeout=5) as presence,
        ThreadPoolExecutor(1) as thread,
    ):
        room = presence.room(ROOM)
        room.mark_online("first")  # from whose join on all is followed
        for one in followers.values():
            one.last = room.snapshot().event_id
            one.known["first"] = True
        following = thread.submit(all_follow, name, url, followers, end)
        with subprocess.Popen(
            [sys.executable, Path(racer.__file__), url, "plain", str(SECONDS)],
            env={"PYTHONPATH": PATH},
            stdout=subprocess.DEVNULL,
        ) as writers:
            while writers.poll() is None:
                time.sleep(0.3)
                server.control.client_kill_filter(_type="pubsub")
        if writers.returncode:
            end.set()  # or its readers are waited for without end
        assert writers.returncode == 0
        time.sleep(racer.WINDOW)
        wide = presence.room(ROOM, window=3600)
        while wide.sweep():
            pass
        wide.mark_online_many([herenow.Sighting(f"u{i}", KINDS[i % 4]) for i in range(8)])
        time.sleep(0.5)
        end.set()
        following.result(60)
        for (manner, hidden), follower in followers.items():
            online = {
                user
                for kind in KINDS
                for user in wide.get_online_users(kind=kind, include_hidden=hidden)
            }
            assert {user for user, there in follower.known.items() if there} == online, manner
            assert follower.events > 100, manner
