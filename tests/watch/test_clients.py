"""Watches on clients handed in, of both libraries; cancelled, left, and of several loops."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio
import valkey
import valkey.asyncio

import herenow
from tests.servers import Server
from tests.waiting import poll

ANSWERS: list[dict[str, Any]] = [{}, {"protocol": 3, "decode_responses": True}]


@pytest.mark.parametrize("answers", ANSWERS, ids=["plain", "decoded"])
@pytest.mark.parametrize("make", [redis.Redis, valkey.Valkey])
def test_a_client_handed_in(
    make: Callable[..., Any], answers: dict[str, Any], server: Server, presence: herenow.Presence
) -> None:
    client = make(port=server.port, socket_timeout=0.5, **answers)
    with herenow.Presence(client) as other, other.watch() as events:
        presence.mark_online("alice", info={"page": "/"})
        assert [(one.type, one.user, one.info) for one in events.batch(10)] == [
            ("join", "alice", {"page": "/"})
        ]
    client.close()


@pytest.mark.parametrize("answers", ANSWERS, ids=["plain", "decoded"])
@pytest.mark.parametrize("make", [redis.asyncio.Redis, valkey.asyncio.Valkey])
async def test_an_async_client_handed_in(
    make: Callable[..., Any], answers: dict[str, Any], server: Server, presence: herenow.Presence
) -> None:
    client = make(port=server.port, socket_timeout=0.5, **answers)
    async with herenow.AsyncPresence(client) as other, other.watch() as events:
        presence.mark_online("alice", info={"page": "/"})
        assert [(one.type, one.user, one.info) for one in await events.batch(10)] == [
            ("join", "alice", {"page": "/"})
        ]
    await client.aclose()


async def test_a_cancellation_loses_nothing(server: Server, presence: herenow.Presence) -> None:
    async with herenow.AsyncPresence(server.unix_url, timeout=5) as other, other.watch() as events:
        for i in range(5):
            waiting = asyncio.create_task(anext(events))
            await asyncio.sleep(0.02)
            presence.mark_online(f"u{i}")
            waiting.cancel()
            result = await asyncio.gather(waiting, return_exceptions=True)
            event = result[0] if isinstance(result[0], herenow.Event) else await anext(events)
            assert event.user == f"u{i}"


async def test_leaving_the_loop_frees_all(server: Server, presence: herenow.Presence) -> None:
    async with herenow.AsyncPresence(server.unix_url, timeout=5) as other:
        start = presence.snapshot().event_id
        presence.mark_online("alice")
        async for event in other.watch(after=start):
            assert event.user == "alice"
            break
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > 1 or server.control.client_list(_type="pubsub"):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)


def test_one_loop_after_another(server: Server, presence: herenow.Presence) -> None:
    other = herenow.AsyncPresence(server.unix_url, timeout=5)

    async def one(user: str) -> str | None:
        try:
            async with other.watch() as events:
                presence.mark_online(user)
                return (await anext(events)).user
        finally:  # a connection can be closed in its own loop alone
            await other.aclose()

    assert [asyncio.run(one(user)) for user in ("alice", "bob")] == ["alice", "bob"]
    poll(lambda: not server.control.client_list(_type="pubsub"), "the end of the line")
