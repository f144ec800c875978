"""Pages, peaks, TTLs and memory: what stays exact, and what stays bounded, over time."""

from typing import Any

import pytest

import herenow
from tests.conftest import Clock
from tests.servers import Server

META = "herenow:{site}:meta"


def names(page: herenow.Page) -> list[str]:
    return [one.user for one in page.users]


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_neither_skip_nor_repeat_where_many_share_a_moment(
    clocked: herenow.Presence, clock: Clock, limit: int
) -> None:
    clocked.mark_online_many([f"ü{i}" for i in range(40)])
    clock.now += 1
    clocked.mark_online_many([f"b{i}" for i in range(40)])
    whole = clocked.get_online_users()
    assert whole == sorted(whole, key=lambda one: (one[0] == "b", one.encode()), reverse=True)
    found: list[str] = []
    cursor = None
    while True:
        page = clocked.page_online_users(limit, cursor)
        found += names(page)
        cursor = page.cursor
        if cursor is None:
            break
        # who a cursor names may move or leave: the rest is neither skipped nor repeated
        if len(found) % 3 == 0:
            clocked.mark_offline(found[-1])
    assert found == whole


def test_a_page_is_limited_by_a_narrower_window(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online("alice")
    clock.now += 60
    clocked.mark_online("bob")
    assert names(clocked.page_online_users(window=60)) == ["bob"]
    assert names(clocked.page_online_users(window=61)) == ["bob", "alice"]


def test_the_peak_is_exact_though_nobody_sweeps(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online_many(["a", "b", "c"])
    clock.now += 300
    clocked.mark_online_many(["d", "e"])
    assert clocked.peak().count == 3
    clocked.mark_online_many(["f", herenow.Sighting("g", kind="bot")])
    assert clocked.peak("member").count == 3
    clocked.mark_online("h", kind="guest")
    assert clocked.peak().count == 4
    assert clocked.peak().at is not None
    assert clocked.peak().at.timestamp() == clock.now  # type: ignore[union-attr]
    assert [clocked.peak(kind).count for kind in ("member", "hidden", "guest", "bot")] == [
        3, 0, 1, 1,
    ]  # fmt: skip


def test_an_empty_room_has_no_peak(clocked: herenow.Presence) -> None:
    assert clocked.peak() == herenow.Peak(0, None)


def test_the_ttl_outlives_window_and_retention_and_is_renewed_hourly(
    presence: herenow.Presence, server: Server
) -> None:
    presence.mark_online("alice")
    control = server.control
    keys = [META, "herenow:{site}:online:member", "herenow:{site}:events"]
    assert all(control.ttl(key) > 30 * 86_400 + 300 for key in keys)
    for key in keys:
        control.expire(key, 1000)
    presence.mark_online("alice")
    assert all(control.ttl(key) <= 1000 for key in keys)  # not at every mark
    control.hincrby(META, "renewed", -3600)
    presence.mark_online("alice")
    assert all(control.ttl(key) > 30 * 86_400 for key in keys)


def test_the_ttl_is_in_the_stores_time_whatever_the_clock(server: Server) -> None:
    with herenow.Presence(
        server.unix_url, resolution=0, clock=lambda: 800_000_000.0, timeout=5
    ) as old:
        old.mark_online("alice")
        assert old.is_online("alice")
    assert server.control.ttl("herenow:{site}:online:member") > 30 * 86_400


def test_touches_alone_bound_the_memory(clocked: herenow.Presence, clock: Clock) -> None:
    for i in range(200):
        clocked.mark_online(f"guest-{i}", kind="guest")
        clock.now += 10
    assert clocked.client.zcount("herenow:{site}:online:guest", 0, 4e15) <= 31


def test_members_alone_are_swept_by_joins(clocked: herenow.Presence, clock: Clock) -> None:
    for i in range(200):
        clocked.mark_online(f"member-{i}")
        clock.now += 10
        # ten may wait
        assert clocked.client.zcount("herenow:{site}:online:member", 0, 4e15) <= 31 + 10


def test_a_join_that_leaves_the_due_to_others_counts_none_of_them(
    server: Server, clock: Clock
) -> None:
    with herenow.Presence(server.unix_url, window=300, resolution=0, clock=clock) as presence:
        presence.mark_online("bob")
        presence.mark_online("cy")
        clock.now += 299
        presence.mark_online("dan")
        clock.now += 2
        assert presence.mark_online("alice")
        online = server.control.zcount("herenow:{site}:online:member", 0, 4e15)
        assert (online, presence.count_online_users()) == (4, 2)  # two are due, and not swept
        assert presence.peak().count == 3
        clock.now += 1
        assert presence.mark_online("bob")  # who was due too
        entries: Any = server.control.xrange("herenow:{site}:events")
        events = [
            "".join(event.split("\t")[:2])
            for _, fields in entries
            for event in fields[b"events"].decode().split("\n")
        ]
        assert events == ["jmbob", "jmcy", "jmdan", "jmalice", "tmbob", "tmcy", "jmbob"]


def test_a_mark_in_a_room_that_became_mixed_elsewhere_goes_on(
    server: Server, presence: herenow.Presence
) -> None:
    presence.mark_online("alice")
    presence.mark_online("alice")
    with herenow.Presence(server.unix_url, resolution=0) as other:
        other.mark_online("ghost", kind="hidden")
        other.mark_online("tabs", session="tab-1", away=True)
    assert not presence.mark_online("ghost")
    assert not presence.mark_online("tabs")
    assert presence.lookup(["ghost"], include_hidden=True)["ghost"].kind == "hidden"
    sessions = presence.lookup(["tabs"])["tabs"].sessions
    assert {one.name for one in sessions} == {"", "tab-1"}  # perhaps of one millisecond
    assert presence.mark_online("bob")
    counts = presence.counts()
    assert (counts.member, counts.hidden) == (3, 1)


def test_last_seen_is_cut_by_the_retention_to_the_millisecond(server: Server, clock: Clock) -> None:
    with herenow.Presence(
        server.unix_url, window=10, retention=100, resolution=0, clock=clock
    ) as presence:
        presence.mark_online("alice")
        presence.mark_offline("alice")
        clock.now += 99.999
        assert presence.get_user_last_activity("alice") is not None
        assert presence.count_active_users(100) == 1
        clock.now += 0.001
        assert presence.get_user_last_activity("alice") is None
        assert presence.count_active_users(100) == 0
        presence.sweep()
        assert presence.client.exists("herenow:{site}:last:member") == 0


def test_a_room_that_is_members_alone_again_gets_its_lean_path_back(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("guest", kind="guest")
    assert clocked.client.hget(META, "mixed") == b"1"
    clock.now += 400
    clocked.mark_online("alice")
    clocked.client.hincrby(META, "renewed", -3600)
    clocked.mark_online("alice")
    assert clocked.client.hget(META, "mixed") is None


def test_a_sweep_takes_at_most_250_and_the_oldest_first(
    clocked: herenow.Presence, clock: Clock
) -> None:
    for kind in ("member", "guest"):
        clocked.mark_online_many([herenow.Sighting(f"{kind}-{i}", kind=kind) for i in range(200)])
        clock.now += 1
    clock.now += 400
    assert clocked.sweep() == 250
    assert clocked.client.zcount("herenow:{site}:online:member", 0, 4e15) == 0
    assert clocked.client.zcount("herenow:{site}:online:guest", 0, 4e15) == 150
    assert clocked.sweep() == 150
    assert clocked.sweep() == 0


def test_a_clock_set_back_is_mended_by_a_sweep(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online("alice", session="tab")
    clock.now -= 1000
    clocked.sweep()
    clock.now += 299
    assert clocked.is_online("alice")
    clock.now += 1
    assert not clocked.is_online("alice")


def test_health_answers_and_never_raises() -> None:
    with herenow.Presence("redis://127.0.0.1:1/0") as nowhere:
        health = nowhere.health()
        assert (health.ok, health.latency, health.dropped) == (False, None, 0)


def test_health_of_a_store_that_answers(presence: herenow.Presence) -> None:
    health = presence.health()
    assert health.ok
    assert health.latency is not None
    assert 0 < health.latency < 1


def test_who_expired_beyond_what_a_touch_sweeps_leaves_first_all_the_same(
    clocked: herenow.Presence, clock: Clock, server: Server
) -> None:
    for i in range(60):
        clocked.mark_online(f"u{i:02}")
    clock.now += 300  # to the millisecond
    assert clocked.mark_online("u59") is True
    assert clocked.mark_online("u58", session="tab") is True
    assert clocked.mark_offline("u57") is False
    # not all are swept yet
    assert clocked.client.zcount("herenow:{site}:online:member", 0, 4e15) > 20
    assert [(one.type, one.reason) for one in reversed(clocked.explain("u59").events)] == [
        ("join", None), ("leave", "timeout"), ("join", None),
    ]  # fmt: skip
    assert [one.type for one in clocked.explain("u57").events] == ["leave", "join"]
    assert sorted(clocked.get_online_users()) == ["u58", "u59"]
