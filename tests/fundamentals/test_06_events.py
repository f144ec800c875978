"""6. Events: a snapshot, then what happens after it, without a gap or an overlap."""

import herenow


def test_a_watch_goes_on_from_a_snapshot(presence: herenow.Presence) -> None:
    presence.mark_online("alice")
    snapshot = presence.snapshot()
    assert [one.user for one in snapshot.users] == ["alice"]
    with presence.watch(after=snapshot.event_id) as events:
        presence.mark_online("bob")
        presence.mark_offline("alice")
        join, leave = next(events), next(events)
    assert (join.type, join.user) == ("join", "bob")
    assert (leave.type, leave.user, leave.reason) == ("leave", "alice", "left")


def test_a_repeated_mark_is_no_event(presence: herenow.Presence) -> None:
    with presence.watch() as events:
        presence.mark_online("alice")
        presence.mark_online("alice")
        presence.mark_offline("alice")
        assert [next(events).type, next(events).type] == ["join", "leave"]


def test_a_change_of_what_a_session_shows_is_an_update(presence: herenow.Presence) -> None:
    presence.mark_online("alice", session="tab")
    with presence.watch() as events:
        presence.mark_online("alice", session="tab", info={"page": "/news"})
        update = next(events)
    assert (update.type, update.user, update.session) == ("update", "alice", "tab")
    assert update.info == {"page": "/news"}


def test_who_times_out_leaves_within_a_second(presence: herenow.Presence) -> None:
    room = presence.room("short", window=1)
    with room.watch() as events:
        room.mark_online("alice")
        assert next(events).type == "join"
        leave = next(events)  # by the real clock
    assert (leave.type, leave.reason) == ("leave", "timeout")


def test_to_outsiders_who_hides_has_left(presence: herenow.Presence) -> None:
    presence.mark_online("alice")
    with presence.watch() as events, presence.watch(include_hidden=True) as insiders:
        presence.mark_online("alice", kind="hidden")
        leave, update = next(events), next(insiders)
    assert (leave.type, leave.reason) == ("leave", "left")
    assert (update.type, update.kind, update.was) == ("update", "hidden", "member")


def test_a_watch_of_some_users_hears_of_nobody_else(presence: herenow.Presence) -> None:
    with presence.watch(users=["bob"]) as events:
        presence.mark_online("alice")
        presence.mark_online("bob")
        assert next(events).user == "bob"


def test_where_events_are_missing_a_reset_starts_over(presence: herenow.Presence) -> None:
    presence.mark_online("alice")
    place = presence.snapshot().event_id
    presence.mark_online("bob")
    presence.forget("bob")  # erases their events too
    with presence.watch(after=place) as events:
        reset = next(events)
    assert reset.type == "reset"
    assert reset.snapshot is not None
    assert [one.user for one in reset.snapshot.users] == ["alice"]
