"""9. asyncio: AsyncPresence has the same methods, as coroutines."""

import herenow
from tests.servers import Server


async def test_the_same_methods_are_awaited(server: Server) -> None:
    async with herenow.AsyncPresence(server.unix_url, timeout=5) as presence:
        assert await presence.mark_online("alice") is True
        assert await presence.get_online_users() == ["alice"]


async def test_a_watch_is_read_by_async_for(server: Server) -> None:
    async with (
        herenow.AsyncPresence(server.unix_url, timeout=5) as presence,
        presence.watch() as events,
    ):
        await presence.mark_online("alice")
        await presence.mark_offline("alice")
        types = []
        async for event in events:
            types.append(event.type)
            if event.type == "leave":
                break
    assert types == ["join", "leave"]


async def test_a_session_is_held_open_by_async_with(server: Server) -> None:
    async with herenow.AsyncPresence(server.unix_url, timeout=5) as presence:
        async with presence.session("alice"):
            assert await presence.is_online("alice")
        assert not await presence.is_online("alice")
