"""Batches: what goes in bulk must say what each sighting alone would have said."""

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

import herenow
from herenow import Sighting
from tests.conftest import Clock
from tests.core.machine import USERS, sightings
from tests.servers import Server


def test_an_aged_sighting_of_a_batch_revives_nobody_who_left_after_it(
    clocked: herenow.Presence, clock: Clock
) -> None:
    clocked.mark_online("alice")
    clock.now += 10
    clocked.mark_offline("alice")
    clock.now += 10
    assert clocked.mark_online_many([Sighting("alice", age=15), Sighting("bob", age=15)]) == 1
    assert clocked.get_online_users() == ["bob"]
    assert clocked.mark_online_many([Sighting("alice", age=5)]) == 1


def test_a_session_that_is_over_begins_anew(clocked: herenow.Presence, clock: Clock) -> None:
    clocked.mark_online("alice", session="tab", info={"page": "/a"})
    clock.now += 200
    clocked.mark_online("alice", session="other")
    clock.now += 200
    clocked.mark_online_many([Sighting("alice", session="tab"), "bob"])
    tabs = {one.name: one.info for one in clocked.lookup(["alice"])["alice"].sessions}
    assert tabs == {"tab": {}, "other": {}}


def test_many_at_once_in_one_round_trip_however_many(
    presence: herenow.Presence, server: Server
) -> None:
    presence.mark_online("first")
    before = server.control.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert presence.mark_online_many([f"u{i}" for i in range(2500)]) == 2500
    after = server.control.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert after - before == 4  # three scripts in one pipeline, and the list of rooms
    assert presence.count_online_users() == 2501


def of(said: dict[str, Any]) -> Sighting:
    age = (said["age"] or 0) / 1000
    return Sighting(said["name"], said["kind"], said["session"], said["away"], said["info"], age)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(before=st.lists(sightings, max_size=8), many=st.lists(sightings, min_size=1, max_size=8))
def test_many_at_once_say_what_they_say_one_by_one(
    clocked: herenow.Presence, clock: Clock, before: list[Any], many: list[Any]
) -> None:
    clocked.client.flushall()
    rooms = [clocked.room("at once"), clocked.room("one by one")]
    for room in rooms:
        for said in before:
            room.mark_online_many([of(said)])
    clock.now += 7
    joined = rooms[0].mark_online_many([of(said) for said in many])
    assert joined == sum(rooms[1].mark_online_many([of(said)]) or 0 for said in many)
    at_once, one_by_one = (room.lookup(USERS, include_hidden=True) for room in rooms)
    assert at_once == one_by_one
    assert rooms[0].counts() == rooms[1].counts()
