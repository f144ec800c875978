"""Sessions, away, info, kinds, retention: what the words mean, one sentence a test."""

from datetime import timedelta

import pytest

import herenow
from tests.conftest import Clock

WINDOW = 300


def names(user: herenow.UserPresence) -> set[str]:
    return {one.name for one in user.sessions}


def look(presence: herenow.Presence, user: str, **options: bool) -> herenow.UserPresence:
    return presence.lookup([user], **options)[user]


# sessions


def test_a_session_is_one_tab_of_a_user(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online("alice", session="tab-1")
    clock.now += 1
    clocked.mark_online("alice", session="tab-2", info={"page": "/b"})
    alice = look(clocked, "alice")
    assert [one.name for one in alice.sessions] == ["tab-2", "tab-1"]  # newest first
    assert clocked.count_online_users() == 1
    assert alice.sessions[0].last_seen - alice.sessions[1].last_seen == timedelta(seconds=1)


def test_sightings_without_one_belong_to_the_session_without_a_name(
    clocked: herenow.Presence,
) -> None:
    clocked.mark_online("alice")
    assert look(clocked, "alice").sessions == ()  # alone, it has nothing to say
    clocked.mark_online("alice", session="tab")
    assert names(look(clocked, "alice")) == {"", "tab"}


def test_when_the_last_named_session_ends_the_user_leaves(clocked: herenow.Presence) -> None:
    clocked.mark_online("alice", session="tab-1")
    clocked.mark_online("alice", session="tab-2")
    assert clocked.mark_offline("alice", session="tab-1") is False
    assert clocked.is_online("alice")
    assert clocked.mark_offline("alice", session="tab-2") is True
    assert not clocked.is_online("alice")


def test_unnamed_sightings_do_not_hold_a_user_and_the_next_request_brings_them_back(
    clocked: herenow.Presence,
) -> None:
    clocked.mark_online("alice", session="tab")
    clocked.mark_online("alice")
    assert clocked.mark_offline("alice", session="tab") is True
    assert not clocked.is_online("alice")
    assert clocked.mark_online("alice") is True
    assert look(clocked, "alice").sessions == ()


def test_when_one_of_several_ends_the_last_sightings_of_the_others_count(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice", session="tab-1")
    before = clocked.get_user_last_activity("alice")
    clock.now += 100
    clocked.mark_online("alice", session="tab-2")
    clocked.mark_offline("alice", session="tab-2")
    assert clocked.get_user_last_activity("alice") == before
    clock.now += WINDOW - 100
    assert not clocked.is_online("alice")


def test_with_a_named_one_fresh_the_unnamed_count(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online("alice", session="tab-1")
    clock.now += 100
    clocked.mark_online("alice")
    seen = clocked.get_user_last_activity("alice")
    clocked.mark_online("alice", session="tab-2")
    clocked.mark_offline("alice", session="tab-2")
    assert clocked.get_user_last_activity("alice") == seen
    clock.now += 200  # tab-1 is over, the unnamed sighting is not
    assert clocked.is_online("alice")


def test_ending_a_session_that_is_not_there_changes_nothing(clocked: herenow.Presence) -> None:
    assert clocked.mark_offline("alice", session="tab") is False
    clocked.mark_online("alice")
    clocked.mark_online("bob", session="tab-1")
    before = clocked.lookup(["alice", "bob"])
    for user in ("alice", "bob"):
        assert clocked.mark_offline(user, session="tab-2") is False
    assert clocked.mark_offline("bob", session="") is False
    assert clocked.lookup(["alice", "bob"]) == before
    assert [event.type for event in clocked.explain("bob").events] == ["join"]


def test_ending_the_unnamed_one_with_none_named_is_a_leave(clocked: herenow.Presence) -> None:
    clocked.mark_online("alice")
    assert clocked.mark_offline("alice", session="") is True
    assert not clocked.is_online("alice")
    clocked.mark_online("alice")
    clocked.mark_online("alice", session="tab")
    assert clocked.mark_offline("alice", session="") is False
    assert names(look(clocked, "alice")) == {"tab"}


def test_a_session_unseen_for_the_window_is_over(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online("alice", session="old", away=False, info={"page": "/old"})
    clock.now += WINDOW / 2
    clocked.mark_online("alice", session="new", away=True)
    clock.now += WINDOW / 2
    alice = look(clocked, "alice")
    assert names(alice) == {"new"}  # not shown
    assert alice.away
    assert alice.info == {}
    assert clocked.mark_offline("alice", session="old") is False  # changes nothing
    assert clocked.mark_offline("alice", session="new") is True  # holds nothing


def test_at_most_32_sessions_and_what_is_over_makes_room(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice", session="first")
    clock.now += 1
    for i in range(31):
        clocked.mark_online("alice", session=f"tab-{i}")
    clocked.mark_online("alice")  # the unnamed one is none of them
    before = look(clocked, "alice")
    with pytest.raises(ValueError, match="at most 32 sessions"):
        clocked.mark_online("alice", session="33rd", kind="guest", info={"x": 1})
    with pytest.raises(ValueError, match="at most 32 sessions"):
        clocked.mark_online_many(["bob", herenow.Sighting("alice", session="33rd")])
    assert look(clocked, "alice") == before
    assert not clocked.is_online("bob")  # all or nothing
    clock.now += WINDOW - 1
    clocked.mark_online("alice", session="33rd")
    assert "33rd" in names(look(clocked, "alice"))
    assert "first" not in names(look(clocked, "alice"))


def test_everything_of_hers_ends_with_one_leave(clocked: herenow.Presence) -> None:
    for tab in ("tab-1", "tab-2", ""):
        clocked.mark_online("alice", session=tab, away=True, info={"page": "/"})
    assert clocked.mark_offline("alice") is True
    assert clocked.mark_online("alice") is True
    alice = look(clocked, "alice")
    assert (alice.sessions, alice.away, alice.info) == ((), False, {})


# away


def test_away_is_what_every_fresh_session_says(clocked: herenow.Presence) -> None:
    clocked.mark_online("alice", session="tab-1", away=True)
    assert look(clocked, "alice").away
    clocked.mark_online("alice", session="tab-2")
    assert not look(clocked, "alice").away
    clocked.mark_online("alice", session="tab-2", away=True)
    assert look(clocked, "alice").away
    clocked.mark_online("alice", session="tab-1", away=False)
    assert not look(clocked, "alice").away
    told = [event.away for event in reversed(clocked.explain("alice").events)]
    assert told == [True, False, True, False]


def test_the_unnamed_one_counts_for_away_only_when_none_is_named(
    clocked: herenow.Presence,
) -> None:
    clocked.mark_online("alice", away=True)
    assert look(clocked, "alice").away
    clocked.mark_online("alice", session="tab")
    assert not look(clocked, "alice").away
    clocked.mark_online("alice", session="tab", away=True)
    clocked.mark_online("alice", away=False)
    assert look(clocked, "alice").away


def test_a_mark_that_says_nothing_of_it_leaves_away_as_it_is(clocked: herenow.Presence) -> None:
    clocked.mark_online("alice", session="tab", away=True)
    clocked.mark_online("alice", session="tab")
    assert look(clocked, "alice").away
    events = clocked.explain("alice").events
    assert [(event.type, event.away) for event in events] == [("join", True)]


def test_going_away_is_an_update_never_a_leave(clocked: herenow.Presence) -> None:
    clocked.mark_online("alice", session="tab")
    clocked.mark_online("alice", session="tab", away=True)
    assert clocked.is_online("alice")
    newest = clocked.explain("alice").events[0]
    assert (newest.type, newest.away, newest.session) == ("update", True, "tab")


# info


def test_info_is_what_a_session_shows(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online("alice", session="tab-1", info={"page": "/a", "at": [1, None, "ü\t\n"]})
    clock.now += 1
    clocked.mark_online("alice", session="tab-2")
    alice = look(clocked, "alice")
    assert alice.info == {"page": "/a", "at": [1, None, "ü\t\n"]}  # of the newest that shows any
    clock.now += 1
    clocked.mark_online("alice", session="tab-2", info={"page": "/b"})
    assert look(clocked, "alice").info == {"page": "/b"}
    shown = {one.name: one.info for one in look(clocked, "alice").sessions}
    assert shown == {"tab-1": {"page": "/a", "at": [1, None, "ü\t\n"]}, "tab-2": {"page": "/b"}}


def test_none_leaves_it_and_an_empty_one_clears_it(clocked: herenow.Presence) -> None:
    clocked.mark_online("alice", info={"page": "/a"})
    clocked.mark_online("alice", info=None)
    assert look(clocked, "alice").info == {"page": "/a"}
    clocked.mark_online("alice", info={})
    assert look(clocked, "alice").info == {}
    assert look(clocked, "alice").sessions == ()


def test_info_is_a_json_object_of_at_most_a_kibibyte(clocked: herenow.Presence) -> None:
    most = {"a": "x" * (1024 - len('{"a":""}'))}
    clocked.mark_online("alice", info=most)
    assert look(clocked, "alice").info == most
    for wrong in ({"a": most["a"] + "x"}, [1], {"a": float("nan")}, {"a": object()}):
        with pytest.raises(ValueError, match="info"):
            clocked.mark_online("alice", info=wrong)  # type: ignore[arg-type]
    assert look(clocked, "alice").info == most


# kinds


def test_one_id_has_one_kind_at_a_time_and_another_moves_it(clocked: herenow.Presence) -> None:
    clocked.mark_online("alice")
    for kind in ("guest", "bot", "hidden", "member"):
        assert clocked.mark_online("alice", kind=kind) is False
        assert look(clocked, "alice", include_hidden=True).kind == kind
        counts = clocked.counts()
        assert getattr(counts, kind) == 1
        assert counts.people + counts.bot == 1
        assert clocked.explain("alice", include_hidden=True).events[0].type == "update"


def test_none_leaves_the_kind_as_it_is(clocked: herenow.Presence) -> None:
    clocked.mark_online("crawler", kind="bot")
    clocked.mark_online("crawler")
    clocked.mark_online("crawler", session="tab")
    assert look(clocked, "crawler").kind == "bot"


def test_a_guest_who_left_comes_back_as_a_member_unless_told(clocked: herenow.Presence) -> None:
    clocked.mark_online("g", kind="guest")
    clocked.mark_offline("g")
    clocked.mark_online("g")
    assert look(clocked, "g").kind == "member"


def test_a_login_replaces_the_guest_in_the_same_moment(clocked: herenow.Presence) -> None:
    clocked.mark_online("guest-1", kind="guest")
    assert clocked.mark_online("alice", kind="member", replaces="guest-1") is True
    assert clocked.counts() == herenow.Counts(member=1)
    assert clocked.peak().count == 1  # never two people
    left = clocked.explain("guest-1").events[0]
    assert (left.type, left.reason, left.kind) == ("leave", "left", "guest")
    assert clocked.mark_online("alice", replaces="guest-1") is False  # again: nothing more
    with pytest.raises(ValueError, match="replace themselves"):
        clocked.mark_online("alice", replaces="alice")


# retention


def test_a_member_is_remembered_until_the_retention_is_over(
    clocked: herenow.Presence, clock: Clock
) -> None:
    month = timedelta(days=30).total_seconds()
    clocked.mark_online("left")
    clocked.mark_online("timed out")
    seen = clocked.get_user_last_activity("left")
    clocked.mark_offline("left")
    clock.now += month - 0.001
    for user in ("left", "timed out"):
        assert clocked.get_user_last_activity(user) == seen
    assert clocked.count_active_users(month) == 2
    clock.now += 0.001  # to the millisecond, trimmed or not
    for user in ("left", "timed out"):
        assert clocked.get_user_last_activity(user) is None
    assert clocked.count_active_users(month) == 0
    assert clocked.get_active_users(month) == []


def test_guests_and_bots_are_forgotten_when_they_leave(
    clocked: herenow.Presence, clock: Clock
) -> None:
    for kind in ("guest", "bot"):
        clocked.mark_online(f"{kind} who leaves", kind=kind)
        clocked.mark_online(f"{kind} who times out", kind=kind)
        assert clocked.get_user_last_activity(f"{kind} who leaves")
        clocked.mark_offline(f"{kind} who leaves")
    clock.now += WINDOW
    for kind in ("guest", "bot"):
        for how in ("leaves", "times out"):
            assert clocked.get_user_last_activity(f"{kind} who {how}") is None
    assert clocked.count_active_users(3600) == 0


# who is away changes as a session goes that said otherwise


@pytest.mark.parametrize("way", ["mark", "batch", "end", "tab"])
def test_a_session_that_is_over_tells_who_is_away_as_the_next_event(
    clocked: herenow.Presence, clock: Clock, way: str
) -> None:
    clocked.mark_online("alice", session="phone", away=True)
    clocked.mark_online("alice", session="pad", away=True)
    clocked.mark_online("alice", session="desk", away=False)
    over = clock.now + WINDOW  # that of the desk
    clock.now += 200
    clocked.mark_online_many([herenow.Sighting("alice", session=one) for one in ("phone", "pad")])
    clock.now += 200
    assert look(clocked, "alice").away
    assert clocked.explain("alice").events[0].away is False
    if way == "mark":
        clocked.mark_online("alice", session="phone")
    elif way == "batch":
        clocked.mark_online_many(["bob", herenow.Sighting("alice", session="phone")])
    elif way == "end":
        clocked.mark_offline("alice", session="pad")
    else:
        clocked.mark_online("alice", session="tab", away=False)
    newest, *before = clocked.explain("alice").events
    assert newest.away is look(clocked, "alice").away
    told = before[0] if way == "tab" else newest
    assert (told.type, told.session, told.away, told.at.timestamp()) == (
        "update",
        "desk",
        True,
        over,
    )


def test_where_the_sessions_that_said_away_are_over_the_unnamed_one_counts_and_that_is_told(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice", session="phone", away=True)
    over = clock.now + WINDOW
    for _ in range(3):
        clock.now += 150
        clocked.mark_online("alice")
    assert not look(clocked, "alice").away
    newest = clocked.explain("alice").events[0]
    assert (newest.session, newest.away, newest.at.timestamp()) == ("phone", False, over)
