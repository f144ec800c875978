"""Rows: batches of a thousand, memory, and the sweep of a million."""

import time
from collections.abc import Callable, Sequence

import herenow
from bench.opponents import BareSet, Recipe, flat_now, parts
from bench.sightings import remove
from bench.stage import WINDOW, Measured, Stage, row, times_cheaper
from bench.timing import Side, percentile

BATCH = 1000
Make = Callable[[Sequence[str]], Sequence[object]]


def _as_they_are(users: Sequence[str]) -> Sequence[object]:
    return users


def _with_sessions(users: Sequence[str]) -> Sequence[object]:
    return [herenow.Sighting(one, session="tab-1", info={"page": "/doc/42"}) for one in users]


# Both sides' arguments are made off the clock: users or Sightings for us, the flat list for ZADD.
# That herenow validates and encodes them is part of its time.


def _repeats(
    room: herenow.Presence, bare: BareSet, make: Make, users: Sequence[str]
) -> tuple[Side, Side]:
    room.mark_online_many(make(users))

    def batches(calls: int) -> list[Sequence[object]]:
        return [make(users)] * calls

    def flats(calls: int) -> list[list[object]]:
        return [flat_now(users)] * calls

    return Side(room.mark_online_many, batches), Side(bare.add, flats)


def _joins(stage: Stage, room: herenow.Presence, bare: BareSet, make: Make) -> tuple[Side, Side]:
    came: list[str] = []

    def batches(calls: int) -> list[Sequence[object]]:
        came[:] = stage.fresh(BATCH * calls)
        return [make(part) for part in parts(came)]

    def flats(calls: int) -> list[list[object]]:
        came[:] = stage.fresh(BATCH * calls)
        return [flat_now(part) for part in parts(came)]

    return (
        Side(room.mark_online_many, batches, lambda: remove(stage, room, came)),
        Side(bare.add, flats, lambda: bare.remove(came)),
    )


def _batches(stage: Stage, name: str, online: int, make: Make, *, joins: bool) -> Measured:
    room, bare = stage.room(name, online), stage.bare_set(name, online)
    users = stage.users(online)[:: online // BATCH]
    pair = _joins(stage, room, bare, make) if joins else _repeats(room, bare, make, users)
    return times_cheaper(stage.fight(*pair, calls=(1, 1)))


@row("batch of 1,000: repeats, vs raw ZADD", "of its rate", must=0.6, aim=0.85, more=True)
def batch_repeats(stage: Stage) -> Measured:
    return _batches(stage, "batches", 1000, _as_they_are, joins=False)


@row("batch of 1,000: joins, vs raw ZADD", "of its rate", must=0.5, aim=0.7, more=True)
def batch_joins(stage: Stage) -> Measured:
    return _batches(stage, "batches", 1000, _as_they_are, joins=True)


@row("batch of 1,000: repeats at 1,000,000", "of its rate", must=0.6, aim=0.85, more=True)
def batch_repeats_big(stage: Stage) -> Measured:
    return _batches(stage, "big", stage.many, _as_they_are, joins=False)


@row("batch of 1,000: joins at 1,000,000", "of its rate", must=0.5, aim=0.7, more=True)
def batch_joins_big(stage: Stage) -> Measured:
    return _batches(stage, "big", stage.many, _as_they_are, joins=True)


@row("batch with sessions and info: repeats", "of its rate", must=0.18, aim=0.3, more=True)
def batch_sessions_repeats(stage: Stage) -> Measured:
    return _batches(stage, "tabs", 1000, _with_sessions, joins=False)


@row("batch with sessions and info: joins", "of its rate", must=0.18, aim=0.3, more=True)
def batch_sessions_joins(stage: Stage) -> Measured:
    return _batches(stage, "tabs", 1000, _with_sessions, joins=True)


# Memory: what the store uses more with them than without, a user. All of ours is in it: also what a
# room costs however few are in it, which the note tells.


@row("memory a user, vs a bare zset", "x its size", must=1.05, aim=1.01)
def memory_against_bare_set(stage: Stage) -> Measured:
    users = stage.users(stage.many)
    bare = BareSet(stage.client, "bare:memory")
    theirs = _grows(stage, lambda: bare.fill(users)) / len(users)
    stage.client.delete(bare.key)
    ours, note = _memory_of_ours(stage, users)
    return Measured(ours / theirs, f"{ours:.1f} B : {theirs:.1f} B{note}")


@row("memory a user, vs recipe (5 active minutes)", "of its size", must=0.3, aim=None)
def memory_against_recipe(stage: Stage) -> Measured:
    users = stage.users(stage.many)
    recipe = Recipe(stage.client)
    theirs = _grows(stage, lambda: recipe.fill(users, active_minutes=5)) / len(users)
    recipe.empty()
    for part in parts(users):
        stage.client.unlink(*(f"user-activity/{user}" for user in part))
    ours, note = _memory_of_ours(stage, users)
    return Measured(ours / theirs, f"{ours:.1f} B : {theirs:.1f} B{note}")


def _grows(stage: Stage, fill: Callable[[], object]) -> int:
    before = _settled_memory(stage)
    fill()
    return _settled_memory(stage) - before


def _settled_memory(stage: Stage) -> int:
    """Ask until it stays: tables are rehashed, and keys freed, in the background."""
    for client in (stage.presence.client, stage.client):
        client.connection_pool.disconnect()  # the store's buffers for them go too
    used = stage.used_memory()
    while True:
        time.sleep(0.2)
        before, used = used, stage.used_memory()
        if abs(used - before) < 4096:  # noqa: PLR2004 - the client's own buffers come and go
            return used


def _memory_of_ours(stage: Stage, users: Sequence[str]) -> tuple[float, str]:
    stage.room("first", 10_000)  # what the scripts take, once a server, is no user's
    name = f"memory-{time.time_ns()}"
    grew = _grows(stage, lambda: stage.room(name, len(users)))
    keys = list(stage.client.scan_iter(f"herenow:{{{name}}}:*", 10_000))
    fixed = sum(
        stage.client.memory_usage(key, 0) or 0
        for key in keys
        if not key.endswith(b":online:member")
    )
    stage.client.delete(*keys)
    return grew / len(users), f", {fixed / 1024:.0f} KiB of ours for events and settings"


@row("sweep of 1,000,000 expired: p99 of a call", "ms", must=2, aim=1)
def sweep(stage: Stage) -> Measured:
    bouts = [_swept(stage, f"sweep-{i}") for i in range(1 if stage.quick else 3)]
    best = min(bouts, key=lambda bout: percentile(bout, 99))
    note = f"median {percentile(best, 50):.2f} ms, most {max(best):.2f} ms, {len(best)} calls"
    return Measured(percentile(best, 99), note, tuple(percentile(bout, 99) for bout in bouts))


def _swept(stage: Stage, name: str) -> list[float]:
    """Fill a room, let all expire by its clock, sweep: the milliseconds of each call."""
    moment = time.time()
    with stage.open(resolution=0, clock=lambda: moment) as presence:
        room = presence.room(name)
        for part in parts(stage.users(stage.many), 10_000):
            moment += WINDOW / 2 / (stage.many / 10_000)
            room.mark_online_many(part)
        moment += WINDOW + 1
        client = stage.client
        client.config_set("slowlog-max-len", 100_000)
        client.config_set("slowlog-log-slower-than", 0)
        client.slowlog_reset()
        try:
            swept = 0
            while found := room.sweep():
                swept += found
            log = client.slowlog_get(100_000)
        finally:
            client.config_set("slowlog-log-slower-than", -1)
        client.delete(*client.scan_iter(f"herenow:{{{name}}}:*", 10_000))
    if swept != stage.many:
        raise AssertionError(f"{swept} swept of {stage.many}")
    return [one["duration"] / 1000 for one in log if one["command"].startswith(b"EVALSHA")]
