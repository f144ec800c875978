"""What touch, leave and sweep tell: the entries of a room's stream, and how it stays bounded."""

from datetime import UTC, datetime
from typing import Any

import herenow
from herenow.operations.events import as_outsider, read_entry
from tests.conftest import Clock
from tests.servers import Server

STREAM = "herenow:{site}:events"
START = 1_000_000


def told(server: Server) -> list[Any]:
    """All that is in the stream of `site`, oldest first."""
    script = "return redis.call('XRANGE', KEYS[1], '-', '+')"
    entries: Any = server.control.eval(script, 1, STREAM)
    return [one for entry in entries for one in read_entry(entry, "site")]


def brief(server: Server) -> list[tuple[str, str, str | None]]:
    return [(one.event.type, str(one.event.user), one.event.reason) for one in told(server)]


def test_joins_and_leaves_are_told_in_order(clocked: herenow.Presence, server: Server) -> None:
    clocked.mark_online("alice")
    clocked.mark_online("bob")
    clocked.mark_online("alice")  # nothing new
    clocked.mark_offline("alice")
    clocked.mark_offline("alice")  # alice is gone already
    assert brief(server) == [
        ("join", "alice", None),
        ("join", "bob", None),
        ("leave", "alice", "left"),
    ]
    ids = [int(one.event.id) for one in told(server)]
    assert ids == list(range(ids[0], ids[0] + 3))


def test_a_timeout_is_told_of_the_moment_it_was_due(
    clocked: herenow.Presence, clock: Clock, server: Server
) -> None:
    clocked.mark_online("alice")
    clock.now += 1000
    assert clocked.sweep() == 1
    last = told(server)[-1].event
    assert (last.type, last.reason) == ("leave", "timeout")
    assert last.at == datetime.fromtimestamp(START + 300, UTC)


def test_who_comes_back_unswept_leaves_first(
    clocked: herenow.Presence, clock: Clock, server: Server
) -> None:
    clocked.mark_online("alice")
    clock.now += 1000
    assert clocked.mark_online("alice") is True
    assert brief(server) == [
        ("join", "alice", None),
        ("leave", "alice", "timeout"),
        ("join", "alice", None),
    ]


def test_a_kind_that_changes_is_an_update(clocked: herenow.Presence, server: Server) -> None:
    clocked.mark_online("alice", kind="guest")
    clocked.mark_online("alice", kind="member")
    last = told(server)[-1]
    assert (last.event.type, last.event.kind, last.was) == ("update", "member", "guest")


def test_away_and_info_are_updates_and_repeats_are_none(
    clocked: herenow.Presence, server: Server
) -> None:
    clocked.mark_online("alice", session="tab", info={"page": "/a\tb\n"})
    clocked.mark_online("alice", session="tab", info={"page": "/a\tb\n"})
    clocked.mark_online("alice", session="tab", away=True)
    first, second = (one.event for one in told(server))
    assert (first.type, first.session, first.info) == ("join", "tab", {"page": "/a\tb\n"})
    assert (second.type, second.away, second.info) == ("update", True, {"page": "/a\tb\n"})


def test_to_outsiders_hiding_is_a_leave_and_showing_a_join(
    clocked: herenow.Presence, server: Server
) -> None:
    clocked.mark_online("alice")
    clocked.mark_online("alice", kind="hidden")
    clocked.mark_online("alice", away=True)
    clocked.mark_online("alice", kind="member")
    inside = [one.event.type for one in told(server)]
    outside = [as_outsider(one) for one in told(server)]
    assert inside == ["join", "update", "update", "update"]
    assert [one and (one.type, one.kind, one.reason) for one in outside] == [
        ("join", "member", None),
        ("leave", "member", "left"),
        None,
        ("join", "member", None),
    ]


def test_a_batch_is_one_entry_and_the_numbers_count_users(
    clocked: herenow.Presence, server: Server
) -> None:
    clocked.mark_online_many([f"u{i}" for i in range(500)])
    assert server.control.xlen(STREAM) == 1
    ids = [int(one.event.id) for one in told(server)]
    assert len(ids) == 500
    assert ids == list(range(ids[0], ids[0] + 500))


def test_about_ten_thousand_users_told_are_kept(clocked: herenow.Presence, server: Server) -> None:
    for start in range(0, 40_000, 1000):
        clocked.mark_online_many([f"u{i}" for i in range(start, start + 1000)])
    assert 10_000 <= len(told(server)) < 20_000
    for i in range(300):
        clocked.mark_online(f"single{i}")
    assert 10_000 <= len(told(server)) < 20_000
    assert told(server)[-1].event.user == "single299"


def test_events_of_more_than_a_day_ago_go_with_the_hourly_upkeep(
    clocked: herenow.Presence, clock: Clock, server: Server
) -> None:
    clocked.mark_online("alice")
    clock.now += 2 * 86_400
    server.control.hset("herenow:{site}:meta", "renewed", 0)
    clocked.mark_online("bob")
    assert [one.event.user for one in told(server)] == ["alice", "bob"]  # a timeout, a join
    assert told(server)[0].event.reason == "timeout"


def test_forgetting_deletes_every_entry_that_names_a_user_and_leaves_a_hole(
    clocked: herenow.Presence, server: Server
) -> None:
    clocked.mark_online_many(["alice", "bob"])
    clocked.mark_online("carol")
    clocked.forget("alice")
    clocked.mark_online("dave")
    events = [one.event for one in told(server)]
    assert [one.user for one in events] == ["carol", "dave"]
    assert int(events[1].id) - int(events[0].id) == 2


def test_a_name_that_contains_another_is_not_forgotten_with_it(
    clocked: herenow.Presence, server: Server
) -> None:
    clocked.mark_online("alice cooper")
    clocked.forget("alice")
    assert [one.event.user for one in told(server)] == ["alice cooper"]


def test_the_counter_of_a_new_room_starts_at_the_time(
    presence: herenow.Presence, server: Server
) -> None:
    presence.mark_online("alice")
    seconds, _ = server.control.time()
    assert 0 <= int(told(server)[0].event.id) - int(seconds) * 1000 < 10_000


def test_each_event_of_an_entry_has_its_own_moment_or_that_of_the_entry() -> None:
    said = "tm\tann\t5000\ntm\tbob\t5000\njm\tcy\nug\tdan\t\ttab\t1\t{}\tm\ntm\teve\t6000"
    entry = ("9-9", ["at", "9000", "told", "5", "events", said])
    events = [one.event for one in read_entry(entry, "site")]
    assert [(one.id, one.user, one.at.timestamp()) for one in events] == [
        ("5", "ann", 5),
        ("6", "bob", 5),
        ("7", "cy", 9),
        ("8", "dan", 9),
        ("9", "eve", 6),
    ]
    dan = events[3]
    assert (dan.session, dan.away, dan.info, dan.was) == ("tab", True, {}, "member")
    assert (events[2].session, events[2].away, events[2].info) == (None, None, None)
