"""Rows: one sighting at a time, which is what a site does at every request."""

from collections.abc import Callable, Sequence

import herenow
from bench.stage import Measured, Stage, row, times_as_long, times_cheaper
from bench.timing import Side
from herenow.outbox.deferred import Deferred
from herenow.outbox.port import Port


@row("repeat sighting within resolution, vs recipe", "x cheaper", must=50, aim=100, more=True)
def repeat(stage: Stage) -> Measured:
    users = stage.users(1000)
    with stage.open() as presence:
        presence.mark_online_many(users)
        ours = Side(presence.mark_online, lambda calls: _cycled(users, calls))
        return times_cheaper(stage.fight(ours, _recipe_marks(stage)))


def _cycled(users: Sequence[str], count: int) -> list[str]:
    return [users[i % len(users)] for i in range(count)]


def _recipe_marks(stage: Stage) -> Side:
    users = stage.users(1000)
    return Side(stage.recipe.mark_online, lambda calls: _cycled(users, calls))


# Buffered marks: the wall time of the marks and of the flush that sends them, a mark. The client's
# time and the store's are both in it; only the flusher's waiting, half a second, is not.


def _buffered(stage: Stage, marks: Callable[[int], list[str]], **options: float) -> Measured:
    with stage.open(buffered=True, **options) as presence:
        mark = presence.mark_online

        def run(users: list[str]) -> None:
            for user in users:
                mark(user)
            presence.flush()

        ours = Side(run, lambda _: [marks(10_000)], holds=10_000)
        return times_cheaper(stage.fight(ours, _recipe_marks(stage), calls=(1, 50)))


@row("buffered mark, each of another user, vs recipe", "x cheaper", must=25, aim=50, more=True)
def buffered_distinct(stage: Stage) -> Measured:
    users = stage.users(10_000)
    return _buffered(stage, lambda _: users, resolution=0)


@row("buffered mark, each user ten times, vs recipe", "x cheaper", must=25, aim=50, more=True)
def buffered_repeating(stage: Stage) -> Measured:
    return _buffered(stage, lambda count: _cycled(stage.fresh(count // 10), count))


# Not buffered: a user who comes online, and one who is and says so again after the resolution.


def _joins(stage: Stage, room: herenow.Presence) -> Side:
    came: list[str] = []

    def fresh(calls: int) -> list[str]:
        came[:] = stage.fresh(calls)
        return came

    return Side(room.mark_online, fresh, lambda: remove(stage, room, came))


def remove(stage: Stage, room: herenow.Presence, users: Sequence[str]) -> None:
    """Take users out again, as if they had not been there: a room is to keep its size."""
    for kind in ("online:member", "sessions"):
        command = "HDEL" if kind == "sessions" else "ZREM"
        stage.client.execute_command(command, f"herenow:{{{room.name}}}:{kind}", *users)


def _stays(stage: Stage, room: herenow.Presence) -> Side:
    users = stage.users(1000)
    return Side(room.mark_online, lambda calls: _cycled(users, calls))


def _members(stage: Stage) -> herenow.Presence:
    return stage.room("members", 1000)


def _mixed(stage: Stage) -> herenow.Presence:
    room = stage.room("mixed", 1000)
    room.mark_online_many(herenow.Sighting(f"guest-{i}", "guest") for i in range(1000))
    room.mark_online("ghost", kind="hidden")
    for i in range(100):
        room.mark_online(f"tabs-{i}", session="tab-1", info={"page": "/"})
    return room


@row("first sighting, members alone, joins, vs recipe", "x its time", must=1, aim=None)
def join_against_recipe(stage: Stage) -> Measured:
    return times_as_long(stage.fight(_joins(stage, _members(stage)), _recipe_marks(stage)))


@row("first sighting, members alone, joins, vs PING", "x PING", must=None, aim=1.4)
def join_against_ping(stage: Stage) -> Measured:
    return times_as_long(stage.fight(_joins(stage, _members(stage)), stage.ping()))


@row("first sighting, members alone, was online, vs recipe", "x its time", must=1, aim=None)
def stay_against_recipe(stage: Stage) -> Measured:
    return times_as_long(stage.fight(_stays(stage, _members(stage)), _recipe_marks(stage)))


@row("first sighting, members alone, was online, vs PING", "x PING", must=None, aim=1.4)
def stay_against_ping(stage: Stage) -> Measured:
    return times_as_long(stage.fight(_stays(stage, _members(stage)), stage.ping()))


@row("first sighting, mixed room, joins, vs PING", "x PING", must=2.5, aim=1.8)
def mixed_join_against_ping(stage: Stage) -> Measured:
    return times_as_long(stage.fight(_joins(stage, _mixed(stage)), stage.ping()))


@row("first sighting, mixed room, was online, vs PING", "x PING", must=2.5, aim=1.8)
def mixed_stay_against_ping(stage: Stage) -> Measured:
    return times_as_long(stage.fight(_stays(stage, _mixed(stage)), stage.ping()))


# What history costs: the same marks in a room that keeps one, and in one that does not.


def _plain_and_kept(stage: Stage) -> tuple[herenow.Presence, herenow.Presence]:
    return stage.room("kept", 1000, history=True), stage.room("members", 1000)


@row("with history, was online, vs without", "x its time", must=1.1, aim=1.05)
def history_stay(stage: Stage) -> Measured:
    kept, plain = _plain_and_kept(stage)
    return times_as_long(stage.fight(_stays(stage, kept), _stays(stage, plain)))


@row("with history, joins, vs without", "x its time", must=1.1, aim=1.05)
def history_join(stage: Stage) -> Measured:
    kept, plain = _plain_and_kept(stage)
    return times_as_long(stage.fight(_joins(stage, kept), _joins(stage, plain)))


@row("a login in a site of 10,000 rooms, vs in one of 10", "x its time", must=1.5, aim=1.1)
def login(stage: Stage) -> Measured:
    """A guest in three threads becomes a member, who leaves them all."""

    def site(rooms: int) -> tuple[herenow.Presence, Side]:
        presence = stage.open(buffered=True, prefix=f"login-{rooms}:")
        port = Port(presence)
        port.note_rooms()
        for i in range(rooms):
            presence.room(f"thread {i}").mark_online("somebody")
        presence.flush()

        def guests(calls: int) -> list[str]:
            found = stage.fresh(calls)
            for guest in found:
                presence.mark_online(guest, "guest")
                for i in range(3):
                    port.defer(Deferred(guest, linked_to="site"), f"thread {i}")
            presence.flush()
            return found

        def log_in(guest: str) -> None:
            presence.mark_online(f"member {guest}", replaces=guest)
            if port.leave_rooms(guest) != 3:  # noqa: PLR2004
                raise RuntimeError("the guest is not in the threads")

        return presence, Side(log_in, guests)

    few, in_few = site(10)
    many, in_many = site(10_000)
    with few, many:
        return times_as_long(stage.fight(in_many, in_few))
