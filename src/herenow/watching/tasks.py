"""Where asyncio differs from threads, for watching; see `threads`, which has the same names.

A reader belongs to the loop that it was first read in, and ends with that.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from herenow.store.aio_engine import AsyncEngine
from herenow.store.tasks import Task, ended

_CONNECT_WITHIN: Final = 5.0


def here() -> object:
    """The running loop; None where none runs."""
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None


def survive_forks(_owner: object) -> None:
    """Do nothing: in a forked child no loop runs."""


def made(_begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do nothing: a reader that was made begins soon."""


async def entered(begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have a reader that is entered have begun, however long that takes."""
    await begin()


def from_anywhere(loop: Any, call: Callable[[], None]) -> None:
    """Have something called by a loop, if it is not over: from a finalizer, in any thread."""
    if loop is not None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(call)


def soon(method: Callable[[], Coroutine[Any, Any, None]]) -> object:
    """Have a method run soon, which what is given is to be kept for."""
    return asyncio.get_running_loop().create_task(method())


left = ended
"""Waits for the end of what is no longer needed."""


async def client_of(engine: AsyncEngine, *, anew: bool) -> Any:
    """The client, which knows who serves what (``anew``: has just asked)."""
    client = await engine.ready()
    if engine.store.cluster:
        await client.initialize()
        if anew:
            await client.nodes_manager.initialize()
    return client


async def connect(line: Any) -> None:
    """Connect a line."""
    async with asyncio.timeout(_CONNECT_WITHIN):
        await line.connect()


async def hear(line: Any, seconds: float) -> Any:
    """What comes next on a line; None: nothing in so long."""
    return await line.read_response(timeout=seconds, disconnect_on_error=False)


def hang_up(task: Task, _line: Any) -> None:
    """End what listens on a line."""
    task.cancel()


async def disconnect(line: Any) -> None:
    """Let go of a line."""
    with suppress(Exception):
        await line.disconnect(nowait=True)
