"""2. Last seen: remembered after a user has left or timed out, for the retention."""

from datetime import UTC, datetime, timedelta

import herenow
from tests.conftest import Clock


def test_last_seen_is_the_moment_of_the_last_sighting(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice")
    seen = datetime.fromtimestamp(clock.now, UTC)
    clock.now += 200
    assert clocked.get_user_last_activity("alice") == seen
    clock.now += 86_400  # offline for long, and still remembered
    assert clocked.get_user_last_activity("alice") == seen


def test_a_user_nobody_has_seen_has_no_last_activity(presence: herenow.Presence) -> None:
    assert presence.get_user_last_activity("nobody") is None


def test_after_the_retention_nothing_is_remembered(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online("alice")
    clock.now += 30 * 86_400
    assert clocked.get_user_last_activity("alice") is None


def test_active_users_are_those_seen_lately_online_or_not(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice")
    clock.now += 3600
    clocked.mark_online("bob")
    assert clocked.get_online_users() == ["bob"]
    assert clocked.get_active_users(window=7200) == ["bob", "alice"]
    assert clocked.count_active_users(window=7200) == 2


def test_one_lookup_tells_all_of_many_users(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online(7)
    found = clocked.lookup([7, "bob"])  # by the keys that were passed
    assert found[7].online
    assert found[7].online_until == datetime.fromtimestamp(clock.now, UTC) + timedelta(seconds=300)
    assert not found["bob"].online
    assert found["bob"].last_seen is None


def test_a_late_sighting_says_how_old_it_is(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online_many([herenow.Sighting("alice", age=10)])
    seen = clocked.get_user_last_activity("alice")
    assert seen == datetime.fromtimestamp(clock.now - 10, UTC)


def test_a_late_sighting_does_not_bring_back_who_left_after_it(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice")
    clock.now += 20
    clocked.mark_offline("alice")
    clock.now += 1
    clocked.mark_online_many([herenow.Sighting("alice", age=10)])
    assert not clocked.is_online("alice")
