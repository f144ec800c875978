"""Where asyncio differs from threads, for what is written once; see `threads`, which has the same names.

What is written for this one has its other half generated, with `threads` in its place. An async
client belongs to the loop that it was opened in, and opening may block: that is done in a thread.
"""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import nullcontext, suppress
from typing import Any, TypeAlias, TypeVar

from herenow.store import client_errors
from herenow.store.breaker import Breaker
from herenow.store.store import Store

T = TypeVar("T")


async def opened(store: Store) -> Any:
    """The client of the running loop, opened if it was not."""
    loop = asyncio.get_running_loop()
    if store.loop is not loop:  # a client of ours belongs to its loop
        store.loop = loop
        store.abandon()
    client = store.opened
    if client is None:
        # it may boot a server or ask a cluster for its slots: never on the event loop
        client = await asyncio.to_thread(store.open)
    return client


def unready(store: Store) -> bool:
    """Whether it is to be opened, or may not know yet which node serves what."""
    return store.cluster or store.opened is None


async def learn(client: Any) -> None:
    """Have a cluster's client know which node is to be asked for what."""
    await client.initialize()


async def learn_anew(store: Store) -> None:
    """Ask the nodes of a cluster who serves what now."""
    with suppress(Exception):
        await (await opened(store)).nodes_manager.initialize()


async def together(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Make calls side by side."""
    return await asyncio.gather(*calls)


async def pipelined(store: Store, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Send commands, of one node, in one round trip; errors are among the replies."""
    client = await opened(store)
    pipeline = client.pipeline() if store.cluster else client.pipeline(transaction=False)
    async with pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        replies = list(await pipeline.execute(raise_on_error=False))
    lost = [one for one in replies if isinstance(one, Exception) and client_errors.lost(one)]
    if store.cluster and len(lost) == len(replies):
        raise lost[0]
    return replies


def abandon_elsewhere(store: Store) -> None:
    """Let go of a client of another loop, which can't be closed in this one."""
    if store.loop is not asyncio.get_running_loop():
        store.abandon()


Lock = nullcontext
"""What is between two waits of a task is done by that alone."""
Task: TypeAlias = asyncio.Task[Any]


class Flag:
    """A flag that is waited for, with a time-out; it is set in the loop of whoever waits."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.clear = self._event.clear

    def set(self) -> None:
        """Set it; whoever waits goes on."""
        with suppress(RuntimeError):  # the loop is over, and nobody waits
            self._event.set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, or so long; whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        return self._event.is_set()


def start(name: str, method: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> Task:
    """Have a method run beside this, until it ends or the loop does."""
    return asyncio.get_running_loop().create_task(method(*arguments), name=name)


def runs(task: Task | None) -> bool:
    """Whether it has not ended yet."""
    return task is not None and not task.done()


async def ended(task: Task | None) -> None:
    """Wait for the end of a task of this loop, but for one's own."""
    if (
        task is not None
        and task.get_loop() is asyncio.get_running_loop()
        and task is not asyncio.current_task()
    ):
        await asyncio.wait([task])


Probe: TypeAlias = Callable[["weakref.ref[Store]", Breaker, Flag], Coroutine[Any, Any, None]]


class Prober:
    """A task that tries while a breaker is open; it does not keep alive the store that it tries."""

    def __init__(self, probe: Probe, store: Store, breaker: Breaker) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(
            probe(weakref.ref(store), breaker, Flag()), name="herenow-probe"
        )

    @property
    def alive(self) -> bool:
        """Whether it still tries: its loop may be over."""
        return not (self._task.done() or self._loop.is_closed())

    def stop(self) -> None:
        """Have it end."""
        if self.alive:
            self._loop.call_soon_threadsafe(self._task.cancel)
