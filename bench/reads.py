"""Rows: who is online, counted, paged and looked up; with 1,000 and with 1,000,000."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter, sleep

import herenow
from bench.stage import WINDOW, Measured, Stage, row, times_as_long, times_cheaper
from bench.timing import BOUTS, Figures, Side, simple
from tests.servers.distant import Distant


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


@row("16 threads' p50 on reads 10 ms away, buffered vs not", "x its time", must=1.3, aim=1.1)
def read_by_threads(stage: Stage) -> Measured:
    with Distant(stage.server.socket, 0.01) as distant:

        def p50(*, buffered: bool) -> float:
            with herenow.Presence(distant.url, window=WINDOW, timeout=60, buffered=buffered) as one:
                return _median_read(one, stage.fresh(960))

        bouts = [Figures(p50(buffered=True), p50(buffered=False)) for _ in range(BOUTS)]
        return times_as_long(sorted(bouts, key=lambda one: one.ratio))


def _median_read(presence: herenow.Presence, users: Sequence[str]) -> float:
    """Have sixteen threads mark a user and read, twenty times a second each; the median of the reads."""

    def pages(number: int) -> list[float]:
        took: list[float] = []
        due = perf_counter() + number / 16 / 20
        for user in users[number::16]:
            sleep(max(0.0, due - perf_counter()))
            due += 1 / 20
            presence.mark_online(user)
            began = perf_counter()
            presence.count_online_users()
            took.append(perf_counter() - began)
        return took

    presence.mark_online(users[-1])
    presence.count_online_users()
    with ThreadPoolExecutor(16) as pool:
        return median([one for part in pool.map(pages, range(16)) for one in part])
