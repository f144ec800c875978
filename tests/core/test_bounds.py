"""What a room holds is bounded by whatever writes there alone: nothing waits for a worker that sweeps.

The clock is the test's, so none of this is the hourly upkeep, which goes by the store's.
"""

from collections.abc import Callable
from typing import Any

import pytest

import herenow
from herenow.operations.keys import room_keys
from herenow.operations.logs import follow
from herenow.operations.marking import Mark
from tests.conftest import Clock
from tests.servers import Server

WINDOW, RETENTION = 10, 60
STEPS = 400
DAY = 86_400
_ONLINE, _LAST, _LEFT, _EVENTS = range(1, 5), (5, 6), 8, 9

Write = Callable[[herenow.Presence, int], Any]


def _hide(room: herenow.Presence, i: int) -> None:
    room.mark_online(f"hidden-{i}", kind="hidden")


def _replace(room: herenow.Presence, i: int) -> None:
    room.mark_online(f"user-{i}", replaces=f"guest-{i}")


def _seen_long_ago(room: herenow.Presence, i: int) -> None:
    room.mark_online_many([herenow.Sighting(f"user-{i}-{n}", age=15 + n) for n in range(5)])


def _tabs(room: herenow.Presence, i: int) -> None:
    room.mark_online(f"user-{i}", session="tab", info={"page": "/"})


def _follow(room: herenow.Presence, i: int) -> None:
    room._engine.run(
        room._outbox.rooms.write(
            [
                (
                    room._scope,
                    lambda naming: follow(
                        room._scope, [Mark(f"u{i}")], [9], "log", str(i), naming=naming
                    ),
                )
            ]
        )
    )


WRITES: dict[str, Write] = {
    "marks": lambda room, i: room.mark_online(f"address-{i}"),
    "guests": lambda room, i: room.mark_online(f"guest-{i}", kind="guest"),
    "hidden": _hide,
    "sessions": _tabs,
    "batches": lambda room, i: room.mark_online_many([f"user-{i}-{n}" for n in range(20)]),
    "big batches": lambda room, i: room.mark_online_many([f"u-{i}-{n}" for n in range(900)]),
    "seen long ago": _seen_long_ago,
    "logins": _replace,
    "comings and goings": lambda room, i: (room.mark_online(f"u{i}"), room.mark_offline(f"u{i}")),
    "goings of nobody": lambda room, i: room.mark_offline(f"user-{i}"),
    "a log": _follow,
}


def sizes(server: Server, clock: Clock) -> dict[str, int]:
    """How many entries of a room are over, of each key that has any."""
    keys = room_keys("herenow:", "room")
    now = round(clock.now * 1000)
    over = {}
    for at in (*_ONLINE, *_LAST, _LEFT):
        kept = (RETENTION if at in _LAST else WINDOW) * 1000
        over[keys[at].decode()] = server.control.zcount(keys[at], "-inf", now - kept)
    entries: Any = server.control.xrange(keys[_EVENTS])
    old = [one for one, fields in entries if int(fields[b"at"]) <= now - DAY * 1000]
    return {**over, keys[_EVENTS].decode(): len(old)}


@pytest.mark.parametrize("way", WRITES)
def test_what_is_over_goes_though_nobody_sweeps(server: Server, clock: Clock, way: str) -> None:
    with herenow.Presence(
        server.unix_url, window=WINDOW, retention=RETENTION, resolution=0, clock=clock, timeout=5
    ) as presence:
        room = presence.room("room")
        big = way == "big batches"
        for i in range(40 if big else STEPS):
            WRITES[way](room, i)
            clock.now += WINDOW / 2 if big else 1
        for key, number in sizes(server, clock).items():
            assert number <= (2000 if big else 60), key


@pytest.mark.parametrize(
    "way", sorted(WRITES.keys() - {"big batches"})
)  # whose events go by their number
def test_events_of_long_ago_go_though_nobody_sweeps(server: Server, clock: Clock, way: str) -> None:
    with herenow.Presence(
        server.unix_url, window=WINDOW, retention=RETENTION, resolution=0, clock=clock, timeout=5
    ) as presence:
        room = presence.room("room")
        for i in range(STEPS):
            WRITES[way](room, i)
            clock.now += 0.05 * DAY
        for key, number in sizes(server, clock).items():
            assert number <= 60, key


def test_a_crowd_that_left_goes_where_one_user_alone_is_seen_again_and_again(
    server: Server, clock: Clock
) -> None:
    with herenow.Presence(
        server.unix_url, window=WINDOW, retention=RETENTION, resolution=0, clock=clock, timeout=5
    ) as presence:
        room = presence.room("room")
        room.mark_online_many([f"user-{i}" for i in range(500)])
        for _ in range(4000):
            room.mark_online("alice")
            clock.now += 0.1
        for key, number in sizes(server, clock).items():
            assert number <= 60, key
