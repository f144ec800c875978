"""4. Kinds: members, guests, bots, and members who hide. A user has one kind at a time."""

import herenow
from herenow import Counts


def test_guests_and_bots_are_counted_apart(presence: herenow.Presence) -> None:
    presence.mark_online("alice")
    presence.mark_online("visitor-1", kind="guest")
    presence.mark_online("crawler", kind="bot")
    counts = presence.counts()
    assert counts == Counts(member=1, guest=1, bot=1)
    assert counts.people == 2  # all but bots
    assert presence.get_online_users() == ["alice"]
    assert presence.get_online_users(kind="guest") == ["visitor-1"]


def test_marking_with_another_kind_moves_a_user(presence: herenow.Presence) -> None:
    presence.mark_online("alice", kind="guest")
    presence.mark_online("alice", kind="member")
    assert presence.counts() == Counts(member=1)


def test_a_login_replaces_the_guest(presence: herenow.Presence) -> None:
    presence.mark_online("visitor-1", kind="guest")
    presence.mark_online("alice", replaces="visitor-1")
    assert presence.counts() == Counts(member=1)
    assert presence.get_user_last_activity("visitor-1") is None  # guests are forgotten


def test_who_hides_is_offline_to_whoever_does_not_ask_for_the_hidden(
    presence: herenow.Presence,
) -> None:
    presence.mark_online("alice")
    presence.mark_online("alice", kind="hidden")
    assert not presence.is_online("alice")
    assert presence.get_online_users() == []
    assert presence.is_online("alice", include_hidden=True)
    assert presence.get_online_users(include_hidden=True) == ["alice"]


def test_who_hides_stays_hidden_until_they_show_themselves(presence: herenow.Presence) -> None:
    presence.mark_online("alice", kind="hidden")
    presence.mark_online("alice")  # says nothing of the kind: unchanged
    assert presence.get_online_users() == []
    presence.mark_online("alice", kind="member")
    assert presence.get_online_users() == ["alice"]


def test_who_left_hidden_comes_back_hidden(presence: herenow.Presence) -> None:
    presence.mark_online("alice", kind="hidden")
    presence.mark_offline("alice")
    presence.mark_online("alice")
    assert presence.get_online_users() == []
