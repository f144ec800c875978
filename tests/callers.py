"""One way to talk to a client that herenow made, whether it is one of redis or of redis.asyncio."""

import asyncio
from typing import Any, Self

from redis.exceptions import RedisClusterException, RedisError

from herenow.store import Connection, connect, connect_async

MAKERS = {"sync": connect, "async": connect_async}


class Caller:
    """A client of a URL, and a loop to run it in when it needs one; closed by ``with``."""

    def __init__(self, maker: str, url: str, **kwargs: Any) -> None:
        self.connection: Connection = MAKERS[maker](url, **kwargs)
        self._loop = asyncio.Runner() if maker == "async" else None

    @property
    def client(self) -> Any:
        return self.connection.client

    def __call__(self, *words: Any) -> Any:
        if self._loop is None:
            return self.client.execute_command(*words)
        return self._loop.run(self._awaited(*words))

    async def _awaited(self, *words: Any) -> Any:
        await asyncio.sleep(0.01)  # a loop that ran since then has seen which sockets were closed
        return await self.client.execute_command(*words)

    def wait(self, result: Any) -> Any:
        """What a method of the client gives, or would once awaited."""
        if self._loop is None:
            return result

        async def awaited() -> Any:
            return await result

        return self._loop.run(awaited())

    def succeeds(self, *words: Any) -> bool:
        try:
            self(*words)
        except (RedisError, RedisClusterException):
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is None:
            self.connection.close()
            return
        with self._loop as loop:
            loop.run(self.connection.aclose())
