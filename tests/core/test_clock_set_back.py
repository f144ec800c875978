"""The store's clock is set back: nobody believes what is yet to come, and whoever writes mends it.

A clock that a test moves stands for the store's; where it must be the store's own, all that the store
holds is moved on instead, which is the same.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import herenow
from herenow.operations.keys import room_keys
from tests.conftest import Clock
from tests.operations import methods
from tests.servers import Server

KINDS: tuple[Any, ...] = ("member", "hidden", "guest", "bot")
HOUR = 3600
READS: dict[str, Callable[[herenow.Presence], Any]] = {
    "is_online": lambda room: room.is_online("alice", include_hidden=True),
    "lookup": lambda room: room.lookup(["alice"], include_hidden=True)["alice"].online,
    "get_user_last_activity": lambda room: room.get_user_last_activity(
        "alice", include_hidden=True
    ),
    "get_user_last_activity, gone": lambda room: room.get_user_last_activity(
        "gone", include_hidden=True
    ),
    "get_online_users": lambda room: [
        room.get_online_users(kind=kind, include_hidden=True) for kind in KINDS
    ],
    "get_online_users, narrow": lambda room: room.get_online_users(window=1, include_hidden=True),
    "page_online_users": lambda room: [
        room.page_online_users(kind=kind, include_hidden=True).users for kind in KINDS
    ],
    "count_online_users": lambda room: [
        room.count_online_users(kind=kind, include_hidden=True) for kind in KINDS
    ],
    "counts": lambda room: [room.counts().people, room.counts().bot],
    "room_counts": lambda room: list(room.room_counts([room.name])[room.name].__reduce__()[1:]),
    "rooms": lambda room: room.rooms(include_hidden=True),
    "count_active_users": lambda room: room.count_active_users(2000, include_hidden=True),
    "get_active_users": lambda room: room.get_active_users(2000, include_hidden=True),
    "snapshot": lambda room: (
        room.snapshot(include_hidden=True).users,
        room.snapshot().counts.people,
        room.snapshot().counts.bot,
    ),
    "explain": lambda room: room.explain("alice", include_hidden=True).presence.online,
}


REMEMBERED = {"peak", "history", "unique_users"}
"""What is not of now."""


def test_each_read_is_here() -> None:
    assert {title.split(",")[0] for title in READS} == {*methods("read")} - REMEMBERED


def something(answer: Any) -> bool:
    """Whether there is anything but nothing in an answer."""
    if isinstance(answer, list | tuple):
        return any(map(something, answer))
    return bool(answer)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_reads_a_moment_that_is_yet_to_come(
    clocked: herenow.Presence, clock: Clock, kind: Any
) -> None:
    room = clocked.room("room", history=True)
    room.mark_online("gone", kind=kind)
    room.mark_offline("gone")
    room.mark_online("alice", kind=kind, session="tab", info={"page_online_users": "/"})
    room.mark_online("another", kind=kind)
    cursor = room.page_online_users(1, kind=kind, include_hidden=True).cursor
    assert cursor is not None
    assert something(READS["get_online_users"](room))
    for back in (1, HOUR):
        clock.now -= back
        found = {name: ask(room) for name, ask in READS.items() if name != "room_counts"}
        assert {name: one for name, one in found.items() if something(one)} == {}
        assert room.room_counts(["room"])["room"] == herenow.Counts(0, 0, 0, 0)
        assert not room.page_online_users(1, cursor, kind=kind, include_hidden=True).users


WRITES: dict[str, Callable[[herenow.Presence], Any]] = {
    "a mark": lambda room: room.mark_online("bob"),
    "a mark of theirs": lambda room: room.mark_online("alice"),
    "a batch": lambda room: room.mark_online_many(["bob", "cy"]),
    "a kind": lambda room: room.mark_online("bob", kind="guest"),
    "a session": lambda room: room.mark_online("bob", session="tab"),
    "an aged mark": lambda room: room.mark_online_many([herenow.Sighting("bob", age=5)]),
    "one of long ago": lambda room: room.mark_online_many([herenow.Sighting("bob", age=999)]),
    "a leave": lambda room: room.mark_offline("bob"),
    "a sweep": lambda room: room.sweep(),
    "an erasure": lambda room: room.forget("bob"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("write", WRITES)
def test_whoever_writes_mends_what_is_ahead(
    clocked: herenow.Presence, clock: Clock, kind: Any, write: str
) -> None:
    room = clocked.room("room")
    room.mark_online_many(["bob", herenow.Sighting("gone", kind=kind)])
    room.mark_online("alice", kind=kind)
    if write != "a mark of theirs":
        room.mark_online("alice", session="tab")
    room.mark_offline("gone")
    clock.now -= HOUR
    WRITES[write](room)
    assert room.is_online("alice", include_hidden=True)
    now = clock.now
    if kind in ("member", "hidden"):
        gone = room.get_user_last_activity("gone", include_hidden=True)
        assert gone is not None
        assert gone.timestamp() == now
    clock.now = now + 299.999
    assert room.lookup(["alice"], include_hidden=True)["alice"].online
    clock.now = now + 300
    assert not room.is_online("alice", include_hidden=True)
    assert something(READS["get_online_users"](room)) is False
    # their leave was mended too: what was seen after it counts
    assert room.mark_online_many([herenow.Sighting("gone", age=1)]) == 1


def test_a_crowd_that_is_ahead_is_mended_a_few_hundred_at_a_time(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online_many([f"u{i}" for i in range(900)])
    clock.now -= HOUR
    for _ in range(4):
        clocked.mark_online("alice")
    assert clocked.count_online_users() == 901
    clock.now += 300
    assert clocked.count_online_users() == 0


SHIFT = """
local by = tonumber(ARGV[1])
for _, key in ipairs({KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[9]}) do
  for _, user in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, by, user) end
end
for _, field in ipairs({'moved', 'joined'}) do
  if redis.call('HGET', KEYS[1], field) then redis.call('HINCRBY', KEYS[1], field, by) end
end
"""


def test_who_was_seen_once_goes_while_others_are_marked_and_a_stream_watches(
    server: Server,
) -> None:
    left = threading.Event()
    with herenow.Presence(server.unix_url, window=2, resolution=0, timeout=5) as presence:
        presence.mark_online("alice")
        presence.mark_online("bob")

        def follow() -> None:
            with presence.watch() as events:
                for event in events:
                    if (event.type, event.user) == ("leave", "alice"):
                        left.set()
                        return

        watching = threading.Thread(target=follow, daemon=True)
        watching.start()
        time.sleep(1)  # the stream has begun, and knows when the next is due
        presence.mark_online("bob")
        presence.mark_online("alice")
        time.sleep(0.2)
        keys = room_keys("herenow:", "site")
        server.control.eval(SHIFT, len(keys), *keys, HOUR * 1000)
        until = time.monotonic() + 6
        while time.monotonic() < until and not left.is_set():
            presence.mark_online("bob")
            time.sleep(0.1)
        assert left.is_set()
        assert presence.get_online_users() == ["bob"]
        presence.close()
        watching.join(10)


def test_a_watch_whose_snapshot_was_later_than_now_starts_over(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice")
    snapshot = clocked.snapshot()
    clock.now -= HOUR
    clocked.mark_online("bob")
    clock.now += 400
    clocked.mark_online("cy")  # alice times out before the moment of the snapshot
    with clocked.watch(after=snapshot.event_id) as events:
        [event, *_] = events.batch(5)
        assert event.type == "reset"
        assert event.snapshot is not None
        assert [one.user for one in event.snapshot.users] == ["cy"]
