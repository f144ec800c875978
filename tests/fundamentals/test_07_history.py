"""7. History: the most online in each minute, the record, how many different users came."""

from datetime import UTC, datetime, timedelta

import herenow
from tests.conftest import Clock


def test_the_peak_is_the_most_ever_online_at_once(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online_many(["alice", "bob", "carol"])
    record = datetime.fromtimestamp(clock.now, UTC)
    clock.now += 60
    clocked.mark_offline("alice")
    assert clocked.peak() == herenow.Peak(3, record)


def test_each_minute_has_its_maximum_also_where_nobody_wrote(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clock.now = 1_000_020.0  # a full minute
    begin = datetime.fromtimestamp(clock.now, UTC)
    clocked.mark_online_many(["alice", "bob"])
    clock.now += 600
    samples = clocked.history(begin, begin + timedelta(minutes=10))
    # within the window of five minutes both were there, then nobody: zero is a count
    assert [one.people for one in samples] == [2] * 5 + [0] * 5


def test_unique_users_counts_each_user_once(presence: herenow.Presence) -> None:
    for _ in range(3):
        presence.mark_online_many(["alice", "bob"])
    assert presence.unique_users(days=1) == 2
