"""Many sessions that end at once, as those of a service that stops: what each alone would have said."""

import asyncio
import time
from typing import Any

import herenow
from herenow.outbox.port import AsyncPort
from tests.conftest import SERVER, Clock
from tests.servers import Cluster, Server, binary, start_server

USERS = ["alice", "bob", "carol", "dan", "erin"]
ENDED = [
    ("alice", "1"),
    ("alice", "2"),  # the last one
    ("bob", "1"),  # another is left, and is away
    ("carol", "none"),  # carol has no such session
    ("dan", "1"),  # hidden
    ("dan", "1"),  # again
    ("nobody", "1"),
    ("erin", ""),  # a leave: erin has no named one
]


async def crowd(there: herenow.AsyncPresence) -> None:
    await there.mark_online("alice", session="1", info={"page": "/"})
    await there.mark_online("alice", session="2")
    await there.mark_online("bob", session="1", kind="guest")
    await there.mark_online("bob", session="2", away=True)
    await there.mark_online("carol", session="1")
    await there.mark_online("dan", session="1", kind="hidden")
    await there.mark_online("erin")


async def told(there: herenow.AsyncPresence) -> list[Any]:
    """All that can be known of the room, but its name and the ids of its events."""
    found = await there.lookup(USERS, include_hidden=True)
    events = [
        (one.type, one.user, one.kind, one.reason, one.away, one.session, one.info, one.at)
        for user in USERS
        for one in (await there.explain(user, include_hidden=True)).events
    ]
    counts = await there.counts()
    return [found, events, counts]


async def test_they_say_what_each_alone_would_have_said(server: Server, clock: Clock) -> None:
    async with herenow.AsyncPresence(server.unix_url, clock=clock, resolution=0) as presence:
        one, many = presence.room("one"), presence.room("many")
        for there in (one, many):
            await crowd(there)
        clock.now += 10
        for user, session in ENDED:
            await one.mark_offline(user, session)
        assert not await AsyncPort(presence).end_sessions([("many", *each) for each in ENDED])
        assert await told(one) == await told(many)
        assert await many.get_online_users(kind="guest") == ["bob"]
        assert await many.get_online_users(include_hidden=True) == ["carol"]


async def test_a_thousand_of_a_room_are_four_scripts(server: Server) -> None:
    async with herenow.AsyncPresence(server.unix_url, resolution=0, timeout=10) as presence:
        users = [f"u{i}" for i in range(1000)]
        await presence.mark_online_many(herenow.Sighting(user, session="tab") for user in users)
        before = server.control.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert not await AsyncPort(presence).end_sessions([("site", user, "tab") for user in users])
        after = server.control.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert after - before == 5  # and the list of rooms
        assert await presence.count_online_users() == 0


async def test_those_of_several_rooms_end_on_every_node(cluster: Cluster) -> None:
    async with herenow.AsyncPresence(cluster.url, resolution=0) as presence:
        rooms = [f"doc:{i}" for i in range(20)]
        for room in rooms:
            await presence.room(room).mark_online("alice", session="tab")
        assert not await AsyncPort(presence).end_sessions(
            [(room, "alice", "tab") for room in rooms]
        )
        counted = await presence.room_counts(rooms)
        assert sum(one.people for one in counted.values()) == 0


async def test_those_that_a_hanging_store_did_not_take_are_told() -> None:
    with start_server(binary(SERVER)) as store:
        async with herenow.AsyncPresence(store.unix_url, resolution=0) as presence:
            ended = [(room, "alice", "tab") for room in ("site", "doc")]
            for room, user, session in ended:
                await presence.room(room).mark_online(user, session=session)
            store.pause()
            try:
                assert sorted(await AsyncPort(presence).end_sessions(ended)) == sorted(ended)
            finally:
                store.resume()
            end = time.monotonic() + 20
            while await AsyncPort(presence).end_sessions(ended):  # the breaker may still be open
                assert time.monotonic() < end
                await asyncio.sleep(0.05)
            assert not await presence.is_online("alice")
