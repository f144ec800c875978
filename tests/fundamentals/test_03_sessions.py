"""3. Sessions: the tabs, devices and connections of one user; each may be away and show something."""

import herenow
from tests.conftest import Clock


def test_two_tabs_are_one_user(presence: herenow.Presence) -> None:
    presence.mark_online("alice", session="tab-1")
    presence.mark_online("alice", session="tab-2")
    assert presence.count_online_users() == 1
    sessions = presence.lookup(["alice"])["alice"].sessions
    assert {one.name for one in sessions} == {"tab-1", "tab-2"}


def test_a_user_leaves_with_their_last_session(presence: herenow.Presence) -> None:
    presence.mark_online("alice", session="tab-1")
    presence.mark_online("alice", session="tab-2")
    assert presence.mark_offline("alice", session="tab-1") is False
    assert presence.is_online("alice")
    assert presence.mark_offline("alice", session="tab-2") is True
    assert not presence.is_online("alice")


def test_a_user_is_away_when_every_session_says_so(presence: herenow.Presence) -> None:
    presence.mark_online("alice", session="desk", away=True)
    presence.mark_online("alice", session="phone")
    assert presence.lookup(["alice"])["alice"].away is False
    presence.mark_online("alice", session="phone", away=True)
    assert presence.lookup(["alice"])["alice"].away is True


def test_a_session_shows_a_small_object(presence: herenow.Presence) -> None:
    presence.mark_online("alice", session="tab", info={"page": "/news"})
    assert presence.lookup(["alice"])["alice"].info == {"page": "/news"}
    presence.mark_online("alice", session="tab")  # None leaves it unchanged
    assert presence.lookup(["alice"])["alice"].info == {"page": "/news"}
    presence.mark_online("alice", session="tab", info={})  # an empty one clears it
    assert presence.lookup(["alice"])["alice"].info == {}


def test_a_session_can_be_held_open(presence: herenow.Presence) -> None:
    with presence.session("alice", info={"page": "/"}) as session:
        assert presence.is_online("alice")
        session.update(away=True)
        assert presence.lookup(["alice"])["alice"].away
    assert not presence.is_online("alice")


def test_a_session_that_nobody_has_seen_for_the_window_is_over(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice", session="old")
    clock.now += 200
    clocked.mark_online("alice", session="new")
    clock.now += 150
    assert [one.name for one in clocked.lookup(["alice"])["alice"].sessions] == ["new"]
