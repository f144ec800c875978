"""5. Rooms: the same API once more, by name. The room one begins in is `site`."""

import herenow
from herenow import Counts
from tests.conftest import Clock


def test_a_room_has_its_own_users(presence: herenow.Presence) -> None:
    document = presence.room("doc:42")
    document.mark_online("alice")
    assert document.get_online_users() == ["alice"]
    assert presence.get_online_users() == []


def test_a_window_belongs_to_its_room_in_every_process(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.room("doc:42", window=30).mark_online("alice")
    clock.now += 30
    assert not clocked.room("doc:42").is_online("alice")  # the stored window holds


def test_the_busiest_rooms_come_first(presence: herenow.Presence) -> None:
    presence.room("doc:1").mark_online("alice")
    presence.room("doc:2").mark_online_many(["alice", "bob"])
    assert [(one.name, one.counts.member) for one in presence.rooms()] == [
        ("doc:2", 2),
        ("doc:1", 1),
    ]


def test_many_rooms_are_counted_in_one_call(presence: herenow.Presence) -> None:
    presence.room("doc:1").mark_online("alice")
    assert presence.room_counts(["doc:1", "doc:2"]) == {
        "doc:1": Counts(member=1),
        "doc:2": Counts(),
    }


def test_forget_erases_a_user_in_every_room(presence: herenow.Presence) -> None:
    presence.mark_online("alice")
    presence.room("doc:1").mark_online("alice")
    assert presence.forget("alice") == 2
    assert presence.get_user_last_activity("alice") is None
    assert not presence.room("doc:1").is_online("alice")
