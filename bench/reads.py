"""Rows: who is online, counted, paged and looked up; with 1,000 and with 1,000,000."""

from collections.abc import Callable

import herenow
from bench.stage import Measured, Stage, row, times_as_long, times_cheaper
from bench.timing import Side, simple


@row("count (one kind), vs PING", "x PING", must=1.4, aim=1.05)
def count_against_ping(stage: Stage) -> Measured:
    return times_as_long(stage.fight(simple(stage.small().count_online_users), stage.ping()))


@row("page of 50 with objects, vs PING", "x PING", must=4.5, aim=2.5)
def page_against_ping(stage: Stage) -> Measured:
    return times_as_long(stage.fight(simple(stage.small().page_online_users), stage.ping()))


@row("lookup of 500, vs a raw ZMSCORE of 500", "x its time", must=4.5, aim=3)
def lookup(stage: Stage) -> Measured:
    users = stage.users(500)
    room, bare = stage.small(), stage.bare_set("lookup", 1000)
    ours, theirs = simple(lambda: room.lookup(users)), simple(lambda: bare.scores(users))
    return times_as_long(stage.fight(ours, theirs))


@row(
    "count at 1,000,000, vs recipe",
    "x faster",
    must=2000,
    aim=10_000,
    more=True,
    full_size_only=True,
)
def count_against_recipe(stage: Stage) -> Measured:
    stage.recipe.fill(stage.users(stage.many), active_minutes=1, activity=False)
    try:
        ours, theirs = simple(stage.big().count_online_users), Side(stage.recipe.count)
        return times_cheaper(stage.fight(ours, theirs, calls=(100, 1)))
    finally:
        stage.recipe.empty()


def _grown(stage: Stage, call: Callable[[herenow.Presence], object]) -> Measured:
    small, big = stage.small(), stage.big()
    return times_as_long(stage.fight(simple(lambda: call(big)), simple(lambda: call(small))))


@row("count: at 1,000,000 vs at 1,000", "x its time", must=1.2, aim=1.05)
def count_grown(stage: Stage) -> Measured:
    return _grown(stage, herenow.Presence.count_online_users)


@row("page of 50: at 1,000,000 vs at 1,000", "x its time", must=1.2, aim=1.05)
def page_grown(stage: Stage) -> Measured:
    return _grown(stage, herenow.Presence.page_online_users)


@row("one lookup: at 1,000,000 vs at 1,000", "x its time", must=1.2, aim=1.05)
def lookup_grown(stage: Stage) -> Measured:
    return _grown(stage, lambda room: room.lookup(["user:0000500"]))
