"""What a watch tells: in order, from its place on, to whom it concerns; and when it starts over."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import herenow
from herenow.operations.events import Place
from tests.conftest import Clock
from tests.core.sides import SIDES
from tests.servers import Server
from tests.waiting import poll
from tests.watch.readers import Watching, apply, watching

STREAM = "herenow:{site}:events"
META = "herenow:{site}:meta"


@pytest.fixture(params=SIDES)
def watcher(request: pytest.FixtureRequest, server: Server) -> Iterator[Watching]:
    """A facade that watches the store, another one than the one that marks."""
    with watching(request.param, server.unix_url) as made:
        yield made


def test_it_tells_what_happens_from_its_beginning_on(
    watcher: Watching, presence: herenow.Presence
) -> None:
    presence.mark_online("before")
    events = watcher.watch()
    presence.mark_online("alice", session="tab", info={"page": "/"})
    presence.mark_online("alice", session="tab", away=True)
    presence.mark_offline("alice")
    told = events.take(3)
    assert [(one.type, one.user, one.away) for one in told] == [
        ("join", "alice", False),
        ("update", "alice", True),
        ("leave", "alice", None),
    ]
    assert told[0].info == {"page": "/"}
    assert told[2].reason == "left"
    assert told[0].room == "site"


def test_it_resumes_after_any_event_without_gap_or_overlap(
    watcher: Watching, presence: herenow.Presence
) -> None:
    events = watcher.watch()
    presence.mark_online_many(["a", "b", "c"])
    presence.mark_online("d")
    told = events.take(4)
    for i, event in enumerate(told[:-1]):
        again = watcher.watch(after=event.id)
        assert again.take(3 - i) == told[i + 1 :]


def test_a_snapshot_and_a_watch_from_it_meet(watcher: Watching, presence: herenow.Presence) -> None:
    empty = presence.snapshot()  # of a room that is not there yet
    presence.mark_online("alice")
    snapshot = presence.snapshot()
    presence.mark_online("bob")
    presence.mark_offline("alice")
    assert watcher.watch(after=empty.event_id).brief(3) == [
        ("join", "alice"),
        ("join", "bob"),
        ("leave", "alice"),
    ]
    assert watcher.watch(after=snapshot.event_id).brief(2) == [("join", "bob"), ("leave", "alice")]


@pytest.mark.parametrize("name", SIDES)
def test_leaves_that_a_snapshot_knew_are_not_told_again(
    name: str, server: Server, clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online_many(["alice", "bob"])
    clock.now += 299
    clocked.mark_online("bob")
    clock.now += 2  # alice is over, and nobody swept
    snapshot = clocked.snapshot()
    assert [one.user for one in snapshot.users] == ["bob"]
    clocked.mark_online("alice")  # a leave, then a join
    with watching(name, server.unix_url, clock=clock) as watcher:
        events = watcher.watch(after=snapshot.event_id)
        [event] = events.take(1)
        assert (event.type, event.user) == ("join", "alice")
        # nor to whoever resumes from there
        clocked.mark_offline("bob")
        assert watcher.watch(after=event.id).brief(1) == [("leave", "bob")]


def test_a_timeout_is_told_within_a_second_of_its_moment(watcher: Watching, server: Server) -> None:
    with herenow.Presence(server.unix_url, resolution=0, window=1.5, timeout=5) as presence:
        presence.mark_online("before")
        events = watcher.watch()
        time.sleep(0.3)
        presence.mark_online("alice")
        assert events.brief(1) == [("join", "alice")]
        for user in ("before", "alice"):
            [event] = events.take(1)
            late = (datetime.now(UTC) - event.at).total_seconds()
            assert (event.type, event.user, event.reason) == ("leave", user, "timeout")
            assert 0 <= late < 1


def test_after_a_clock_is_set_back_timeouts_are_swept(
    server: Server, clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice")
    with clocked.room("site").watch() as events:
        clock.now -= 10_000
        poll(
            lambda: (
                server.control.zscore("herenow:{site}:online:member", "alice") == clock.now * 1000
            ),
            "a sweep",
        )
        clock.now += 301
        assert [(one.type, one.user) for one in events.batch(10)] == [("leave", "alice")]


def test_some_users_only(watcher: Watching, presence: herenow.Presence) -> None:
    events = watcher.watch(users=[7, "bob", "nobody"])
    presence.mark_online_many(["alice", "bob", "carol", "7"])
    presence.mark_offline("alice")
    presence.mark_offline("bob")
    assert events.brief(3) == [("join", "bob"), ("join", "7"), ("leave", "bob")]


def test_who_watches_some_users_starts_over_with_those_of_them_who_are_online(
    watcher: Watching, presence: herenow.Presence
) -> None:
    watched = [f"u{i}" for i in range(2500)] + ["bob", "dan", "ghost", "gone"]
    presence.mark_online_many([f"u{i}" for i in range(0, 2500, 2)] + ["carol", "gone"])
    presence.mark_offline("gone")
    presence.mark_online("bob", session="tab", away=True, info={"page": "/"})
    presence.mark_online("dan", kind="guest")
    presence.mark_online("ghost", kind="hidden")
    outside = watcher.watch("1", users=watched)
    inside = watcher.watch("1", users=watched, include_hidden=True)
    nobody = watcher.watch("1", users=[])
    found, told, nothing = (one.take(1)[0].snapshot for one in (outside, inside, nobody))
    assert found is not None
    assert told is not None
    assert nothing is not None
    assert {one.user for one in found.users} == {f"u{i}" for i in range(0, 2500, 2)} | {
        "bob",
        "dan",
    }
    assert found.next_page is None
    assert found.counts.member == 1252
    seen: list[Any] = [one.last_seen for one in found.users]
    assert seen == sorted(seen, reverse=True)
    looked = presence.lookup(["bob", "dan", "u0"])
    assert {one.user: one for one in found.users}.items() >= looked.items()
    assert {one.user for one in told.users} - {one.user for one in found.users} == {"ghost"}
    assert nothing.users == ()
    presence.mark_offline("bob")  # from the snapshot on, nothing is missed or told again
    presence.mark_online("carol", away=True)
    presence.mark_online("gone")
    assert outside.brief(2) == [("leave", "bob"), ("join", "gone")]


def test_hiding_is_a_leave_to_outsiders_and_an_update_to_others(
    watcher: Watching, presence: herenow.Presence
) -> None:
    outside, inside = watcher.watch(), watcher.watch(include_hidden=True)
    presence.mark_online("alice")
    presence.mark_online("alice", kind="hidden")
    presence.mark_online("alice", session="tab", away=True)
    presence.mark_online("alice", kind="member")
    presence.mark_online("ghost", kind="hidden")
    presence.mark_online("end")
    shown = outside.take(5)
    assert [(one.type, one.user) for one in shown] == [
        ("join", "alice"),
        ("leave", "alice"),
        ("join", "alice"),
        ("update", "alice"),  # of the session that was opened meanwhile
        ("join", "end"),
    ]
    first = Place.parse(shown[0].id).number
    assert [Place.parse(one.id).number - first for one in shown] == [0, 1, 2, 3, 4]
    told = inside.take(7)
    assert [(one.type, one.user, one.kind) for one in told][1] == ("update", "alice", "hidden")
    assert [one.type for one in told] == ["join", *["update"] * 4, "join", "join"]


def test_rooms_are_watched_apart(watcher: Watching, presence: herenow.Presence) -> None:
    events = {room: watcher.watch(room=room) for room in ("doc:1", "doc:2 {é}")}
    for room in events:
        presence.room(room).mark_online(f"in {room}")
    for room, reader in events.items():
        [event] = reader.take(1)
        assert (event.room, event.user) == (room, f"in {room}")


def starts_over(watcher: Watching, after: str, users: list[str]) -> None:
    """From there a watch begins with a reset that has these users; then it goes on."""
    events = watcher.watch(after=after)
    [event] = events.take(1)
    assert event.type == "reset"
    assert event.snapshot is not None
    assert (event.user, event.kind, event.id) == (None, None, event.snapshot.event_id)
    assert [one.user for one in event.snapshot.users] == users


def test_what_was_trimmed_makes_it_start_over(
    watcher: Watching, presence: herenow.Presence, server: Server
) -> None:
    presence.mark_online("alice")
    snapshot = presence.snapshot()
    for user in ("bob", "carol", "dave"):
        presence.mark_online(user)
    server.control.xtrim(STREAM, maxlen=1, approximate=False)
    starts_over(watcher, snapshot.event_id, ["dave", "carol", "bob", "alice"])


def test_a_stream_that_was_lost_makes_it_start_over(
    watcher: Watching, presence: herenow.Presence, server: Server
) -> None:
    presence.mark_online("alice")
    snapshot = presence.snapshot()
    presence.mark_online("bob")
    server.control.delete(STREAM)
    starts_over(watcher, snapshot.event_id, ["bob", "alice"])


def test_somebody_forgotten_makes_it_start_over(
    watcher: Watching, presence: herenow.Presence
) -> None:
    presence.mark_online("alice")
    events = watcher.watch()
    presence.mark_online("bob")
    assert events.brief(1) == [("join", "bob")]
    presence.forget("alice")
    assert events.brief(1) == [("reset", None)]
    presence.mark_online("carol")
    assert events.brief(1) == [("join", "carol")]


def test_a_store_emptied_makes_it_start_over(
    watcher: Watching, presence: herenow.Presence, server: Server
) -> None:
    presence.mark_online_many(["alice", "bob"])
    events = watcher.watch()
    server.control.flushall()
    presence.mark_online("carol")
    told = events.take(1)
    assert told[0].type == "reset"  # before alice, or with alice
    online: set[str] = set()
    apply(online, told + events.batch(1), presence)
    assert online == {"carol"}


@pytest.mark.parametrize(
    "after", ["", "x", "1-", "1 ", "-1", "1" * 40, "1-2-hxyz", 7, b"1", "\uff11"]
)
def test_an_id_that_is_none_is_refused(watcher: Watching, after: Any) -> None:
    with pytest.raises(ValueError, match="after is the id of an Event"):
        watcher.side.presence.watch(after=after)
    with pytest.raises(ValueError, match="users is a list"):
        watcher.side.presence.watch(users="alice")


def test_a_reader_too_slow_starts_over(watcher: Watching, presence: herenow.Presence) -> None:
    events = watcher.watch()
    other = watcher.watch(users=["end"])
    for i in range(14):
        presence.mark_online_many([f"u{j}" for j in range(i * 1000, i * 1000 + 1000)])
        assert other.batch(0.1) == []  # it sees none of them, but keeps up
    presence.mark_online("end")
    assert other.brief(1) == [("join", "end")]
    assert events.events._watch.waiting <= 10_000
    told = events.take(1)
    assert told[0].type == "reset"
    presence.mark_online("after")
    assert events.brief(1) == [("join", "after")]


def test_closing_ends_it_and_frees_all(watcher: Watching, server: Server) -> None:
    events = watcher.watch()
    others = [watcher.watch(room=f"doc:{i}") for i in range(20)]
    poll(lambda: len(server.control.client_list(_type="pubsub")) == 1, "one line")
    events.close()
    assert events.batch() == []
    for one in others:
        one.close()
    poll(lambda: not server.control.client_list(_type="pubsub"), "the end of the line")


def test_breaking_out_of_the_loop_frees_all(server: Server, presence: herenow.Presence) -> None:
    threads = threading.active_count()
    timer = threading.Timer(0.2, presence.mark_online, ["alice"])
    timer.start()
    for event in presence.watch():
        assert event.user == "alice"
        break
    timer.join()
    poll(lambda: not server.control.client_list(_type="pubsub"), "the end of the line")
    poll(lambda: threading.active_count() == threads, "the end of the threads")


@pytest.mark.parametrize("open_before", [True, False], ids=["watching", "from a snapshot"])
def test_a_shorter_window_makes_it_start_over(
    watcher: Watching, server: Server, *, open_before: bool
) -> None:
    """Who is over by the shorter one left at a moment that is past, before that of the snapshot."""
    with herenow.Presence(server.unix_url, window=60, resolution=0, timeout=5) as presence:
        presence.mark_online_many([herenow.Sighting("alice", age=30), "bob"])
        snapshot = presence.snapshot()
        assert [one.user for one in snapshot.users] == ["bob", "alice"]
        events = watcher.watch(after=snapshot.event_id) if open_before else None
        with herenow.Presence(server.unix_url, window=10, resolution=0, timeout=5) as shorter:
            shorter.mark_online("bob")
        events = events or watcher.watch(after=snapshot.event_id)
        [reset] = events.take(1)
        assert reset.type == "reset"
        assert reset.snapshot is not None
        assert [one.user for one in reset.snapshot.users] == ["bob"]
