"""Different users over days, against sets: exact ones, within the error of a HyperLogLog."""

import random
from collections.abc import Iterator

import pytest

import herenow
from herenow import Sighting
from tests.conftest import Clock
from tests.servers import Server

DAYS = 40
FIRST = 804_556_800  # a midnight, in 1995
CROWD, A_DAY = 6000, 900
ERROR = 4 * 0.0081
"""Four standard errors of Redis's HyperLogLog."""

Seen = dict[tuple[int, str], set[str]]


@pytest.fixture(scope="module")
def days() -> Seen:
    """Who is seen on which day, by kind; whom a day has seen comes again on the next ones, or never."""
    dice = random.Random(11)
    users = [f"user {i}" for i in range(CROWD)]
    seen: Seen = {}
    for day in range(DAYS):
        regulars = dice.sample(users[: CROWD // 10], A_DAY // 3)
        others = dice.sample(users[CROWD // 10 :], A_DAY)
        seen[day, "member"] = {*regulars, *others}
        seen[day, "bot"] = {f"bot {dice.randrange(60)}" for _ in range(20)}
        seen[day, "guest"] = {f"guest {day} {i}" for i in range(100 + day)}
    return seen


@pytest.fixture
def told(server: Server, clock: Clock, days: Seen) -> Iterator[herenow.Presence]:
    """All of that, told day by day at several hours; nobody is seen twice within a minute."""
    with herenow.Presence(
        server.unix_url, resolution=0, clock=clock, history=40 * 86_400, timeout=5
    ) as made:
        for day in range(DAYS):
            for kind in ("member", "guest", "bot"):
                users = sorted(days[day, kind])
                for hour in (0, 13, 23):
                    clock.now = FIRST + day * 86_400 + hour * 3600
                    part = users if hour == 13 else users[hour % 2 :: 2]
                    made.mark_online_many([Sighting(one, kind=kind) for one in part])
        yield made


def test_days_weeks_and_months_are_unions_not_sums(
    told: herenow.Presence, clock: Clock, days: Seen
) -> None:
    for last in (DAYS - 1, DAYS - 5):
        clock.now = FIRST + last * 86_400 + 86_399
        for span in (1, 2, 7, 30):
            for kind in ("member", "bot"):
                among = [days[day, kind] for day in range(last - span + 1, last + 1)]
                exact = len(set().union(*among))
                found = told.unique_users(days=span, kind=kind)
                assert abs(found - exact) <= 1 + ERROR * exact, (last, span, kind)
                assert span == 1 or exact < sum(map(len, among)) * 0.95, "this tests nothing"
        exact = len(days[last, "guest"])
        assert abs(told.unique_users(kind="guest") - exact) <= 1 + ERROR * exact


def test_the_hidden_are_counted_with_members_where_asked_for(
    told: herenow.Presence, clock: Clock, days: Seen
) -> None:
    hidden = {f"user {i}" for i in range(200)} | {f"owl {i}" for i in range(300)}
    clock.now += 1800
    told.mark_online_many([Sighting(one, kind="hidden") for one in sorted(hidden)])
    for span in (1, 7, 30):
        members = set[str]().union(*(days[day, "member"] for day in range(DAYS - span, DAYS)))
        seen = told.unique_users(days=span)
        assert abs(seen - len(members)) <= 1 + ERROR * len(members)
        exact = len(members | hidden)
        found = told.unique_users(days=span, include_hidden=True)
        assert abs(found - exact) <= 1 + ERROR * exact


def test_a_day_that_is_not_over_counts_as_one(
    told: herenow.Presence, clock: Clock, days: Seen
) -> None:
    clock.now = FIRST + DAYS * 86_400 + 60
    assert told.unique_users() == 0
    told.mark_online("somebody new")
    assert told.unique_users() == 1
    week = set[str]().union(*(days[day, "member"] for day in range(DAYS - 6, DAYS)))
    assert abs(told.unique_users(days=7) - len(week) - 1) <= 1 + ERROR * len(week)
