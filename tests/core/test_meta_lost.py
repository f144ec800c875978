"""A room's settings are lost alone, as a store that is full evicts keys: its window is not."""

from collections.abc import Callable
from typing import Any

import pytest

import herenow
from tests.conftest import Clock
from tests.servers import Server

META = "herenow:{room}:meta"
WRITES: dict[str, Callable[[herenow.Presence], Any]] = {
    "nothing": lambda _: None,
    "a mark": lambda room: room.mark_online("eve"),
    "a guest": lambda room: room.mark_online("eve", kind="guest"),
    "a batch": lambda room: room.mark_online_many(["eve", "dan"]),
    "a leave": lambda room: room.mark_offline("nobody"),
    "a sweep": lambda room: room.sweep(),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("window", [30, 3000])
@pytest.mark.parametrize("last", ["a mark", "a batch"])
def test_the_window_of_a_room_stays_where_its_settings_are_lost(
    server: Server, clock: Clock, window: int, write: str, last: str
) -> None:
    with (
        herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as first,
        herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as other,
    ):
        room, there = first.room("room", window=window), other.room("room")
        room.mark_online_many(["alice", herenow.Sighting("gus", kind="guest")])
        clock.now += window - 10
        room.mark_online("bob")
        if last == "a batch":
            room.mark_online_many(["bob", "cy"])
        server.control.delete(META)
        clock.now += 10  # alice is over, and bob is not
        WRITES[write](there)
        known = {"bob"} | ({"cy"} if last == "a batch" else set())
        for reader in (there, room):
            assert {*reader.get_online_users()} - {"eve", "dan"} == known
            assert reader.count_online_users() == len(reader.get_online_users())
            assert reader.counts().member == len(reader.get_online_users())
            assert not reader.is_online("alice")
            assert [one.user for one in reader.page_online_users().users if one.user in known]
            found = reader.lookup(["bob"])["bob"]
            assert found.online_until is not None
            assert found.online_until.timestamp() == clock.now - 10 + window


@pytest.mark.parametrize("kind", ["member", "hidden", "guest", "bot"])
def test_a_set_has_the_window_of_its_room_as_long_as_it_has_anybody(
    server: Server, clock: Clock, kind: Any
) -> None:
    key, many = f"herenow:{{room}}:online:{kind}", 60
    with (
        herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as first,
        herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as other,
    ):
        rooms = [first.room("room", window=window) for window in (30, 3000, 90)]
        for room, window in zip(rooms, (30, 3000, 90), strict=True):  # named anew: longer, shorter
            room.mark_online_many([herenow.Sighting(f"u{i}", kind=kind) for i in range(many)])
            clock.now += window - 1
            server.control.delete(META)
            there = other.room("room")
            listed = there.get_online_users(kind=kind, include_hidden=True)
            assert len(listed) == many
            clock.now += 1
            assert there.get_online_users(kind=kind, include_hidden=True) == []
            assert there.sweep() == many
            assert server.control.exists(key) == 0
        rooms[-1].mark_online("alice", kind=kind)
        rooms[-1].mark_offline("alice")
        assert server.control.exists(key) == 0
        rooms[-1].mark_online("alice", kind=kind)
        assert server.control.zcard(key) == 2
        server.control.delete(META)
        rooms[-1].forget("alice")
        assert server.control.exists(key) == 0
