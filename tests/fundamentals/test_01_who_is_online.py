"""1. Who is online: mark a user, ask who is here, count them. A sighting holds for the window."""

import pytest

import herenow
from tests.conftest import Clock


def test_whoever_is_marked_is_online(presence: herenow.Presence) -> None:
    presence.mark_online("alice")
    assert presence.is_online("alice")
    assert not presence.is_online("bob")


def test_the_answer_says_whether_the_mark_brought_them_online(presence: herenow.Presence) -> None:
    assert presence.mark_online("alice") is True
    assert presence.mark_online("alice") is False


def test_the_list_has_the_newest_first(clocked: herenow.Presence, clock: Clock) -> None:
    for user in ("alice", "bob", "carol"):
        clocked.mark_online(user)
        clock.now += 1
    assert clocked.get_online_users() == ["carol", "bob", "alice"]
    assert clocked.get_online_users(limit=1) == ["carol"]


def test_the_count_is_that_of_the_list(presence: herenow.Presence) -> None:
    presence.mark_online_many(["alice", "bob", "carol"])
    assert presence.count_online_users() == 3 == len(presence.get_online_users())


def test_a_sighting_holds_for_the_window_to_the_millisecond(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice")
    clock.now += 299.999
    assert clocked.is_online("alice")
    clock.now += 0.001
    assert not clocked.is_online("alice")


def test_a_narrower_window_asks_who_was_here_just_now(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice")
    clock.now += 60
    clocked.mark_online("bob")
    assert clocked.get_online_users(window=30) == ["bob"]
    assert clocked.count_online_users(window=90) == 2


def test_whoever_leaves_is_offline_at_once(presence: herenow.Presence) -> None:
    presence.mark_online("alice")
    assert presence.mark_offline("alice") is True
    assert not presence.is_online("alice")
    assert presence.mark_offline("alice") is False


def test_a_user_is_a_string_an_int_or_a_uuid(presence: herenow.Presence) -> None:
    presence.mark_online(7)
    assert presence.is_online("7")
    assert presence.get_online_users() == ["7"]


@pytest.mark.parametrize("user", ["", "a\nb", "x" * 257, None, 1.5, b"alice"])
def test_anything_else_is_an_error_that_names_the_rule(
    presence: herenow.Presence, user: object
) -> None:
    with pytest.raises(ValueError, match="user"):
        presence.mark_online(user)
    assert presence.get_online_users() == []


def test_a_page_goes_on_where_the_last_one_ended(presence: herenow.Presence) -> None:
    presence.mark_online_many([f"user-{number}" for number in range(5)])
    first = presence.page_online_users(limit=3)
    second = presence.page_online_users(limit=3, cursor=first.cursor)
    assert [one.user for one in (*first.users, *second.users)] == presence.get_online_users()
    assert second.cursor is None
