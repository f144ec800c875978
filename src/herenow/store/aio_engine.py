"""Running operations on asyncio; see `execution`."""

import asyncio
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, perf_counter
from typing import Any, TypeAlias, TypeVar

from herenow.errors import StoreError
from herenow.models import Health
from herenow.operations import Operation, Outcome, Plan
from herenow.store.breaker import Breaker
from herenow.store.engine import (
    Asking,
    Call,
    advance,
    as_command,
    as_commands,
    as_whole_command,
    health_of,
    lacking,
    late,
)
from herenow.store.store import answered

T = TypeVar("T")
Observe: TypeAlias = Callable[[Sequence[Operation[Any]], Sequence[Outcome], float], None]
"""What was asked in one round trip, how each ended, and the seconds it took."""


class AsyncEngine(Asking):
    """Runs operations on an async client; see `Engine`."""

    observe: Observe | None = None
    """Told of every round trip, where somebody measures."""
    _loop: Any = None

    async def probe(self, breaker: Breaker) -> None:
        """Try whether the store answers, and tell the breaker; raises nothing but a cancellation."""
        began = monotonic()
        try:
            client = await self._open()
            await client.execute_command(*self.store.probe_command(breaker))
        except BaseException as error:
            if not isinstance(self.store.failed(error, began, breaker), Exception):
                raise
        else:
            answered(breaker)

    async def _open(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a client of ours belongs to its loop
            self._loop = self.store.loop = loop
            self.store.abandon()
        client = self.store.opened
        if client is None:
            # it may boot a server or ask a cluster for its slots: never on the event loop
            client = await asyncio.to_thread(self.store.open)
        return client

    async def ready(self) -> Any:
        """The client, opened if it was not, without blocking the loop. Raises what opening does."""
        return await self._open()

    async def call(self, operation: Operation[T]) -> T:
        """Run one operation: one round trip."""
        if self.observe is None:
            return await self._one(operation)
        began = perf_counter()
        outcome: Any = None
        try:
            outcome = await self._one(operation)
        except Exception as error:
            outcome = error
            raise
        finally:
            self.observe([operation], [outcome], perf_counter() - began)
        return outcome  # type: ignore[no-any-return]

    async def _one(self, operation: Operation[T]) -> T:
        with Call(self, operation.keys[0], watched=True) as call:
            client = await self._open()
            try:
                reply = await client.execute_command(*as_command(operation))
            except Exception as error:
                if not (self.store.lacks_script(error) or await self._moves(call, error)):
                    raise
                reply = await client.execute_command(*as_whole_command(operation))
        return operation.read(reply)

    async def batch(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        """Run several operations, in order: one round trip (a node)."""
        if len(operations) == 1:
            try:
                return [await self.call(operations[0])]
            except (StoreError, ValueError) as error:
                return [error]
        if self.observe is None:
            return await self._several(operations)
        began = perf_counter()
        outcomes = await self._several(operations)
        self.observe(operations, outcomes, perf_counter() - began)
        return outcomes

    async def _several(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        try:
            if self.store.cluster:
                await self._know()
                return await self._on_nodes(operations)
            return await self._together(operations)
        except (StoreError, ValueError) as error:
            return [error] * len(operations)

    async def _know(self) -> None:
        """Open the client, and have one of a cluster know which node is to be asked for what."""
        with Call(self) as call:
            client = await self._open()
            call.tells = self.store.cluster
            if self.store.cluster:
                await client.initialize()

    async def _on_nodes(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        parts = self.parts(operations)
        each = await asyncio.gather(
            *(self._on_node([operations[i] for i in part]) for part in parts)
        )
        outcomes: list[Outcome] = [None] * len(operations)
        for part, several in zip(parts, each, strict=True):
            for i, outcome in zip(part, several, strict=True):
                outcomes[i] = outcome
        return outcomes

    async def _on_node(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        try:
            return await self._together(operations)
        except (StoreError, ValueError) as error:
            return [error] * len(operations)

    async def _together(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        with Call(self, operations[0].keys[0]) as call:
            try:
                replies = await self._pipeline(as_commands(operations))
            except Exception as error:
                if not await self._moves(call, error):
                    raise
                replies = await self._pipeline(list(map(as_whole_command, operations)))
            again = late(operations, lacking(replies, self.store))
            if again:
                sent = await self._pipeline([as_whole_command(operations[i]) for i in again])
                for i, reply in zip(again, sent, strict=True):
                    replies[i] = reply
            return list(map(call.read, operations, replies))

    async def _moves(self, call: Call, error: Exception) -> bool:
        """See `Call.moves`; the nodes are asked first who serves what now."""
        store = self.store
        if store.cluster and store.lost(error):
            with suppress(Exception):
                await (await self._open()).nodes_manager.initialize()
        return call.moves(error)

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        client = await self._open()
        pipeline = client.pipeline() if self.store.cluster else client.pipeline(transaction=False)
        async with pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            replies = list(await pipeline.execute(raise_on_error=False))
        lost = [one for one in replies if isinstance(one, Exception) and self.store.lost(one)]
        if self.store.cluster and len(lost) == len(replies):
            raise lost[0]
        return replies

    async def run(self, plan: Plan[T]) -> T:
        """Run a plan to its end."""
        try:
            operations, result = advance(plan, None)
            while operations is not None:
                outcomes = await self.batch(operations) if operations else []
                operations, result = advance(plan, outcomes)
        finally:
            plan.close()  # one that is cancelled puts back what it took
        return result  # type: ignore[no-any-return]

    async def health(self, dropped: int) -> Health:
        """Measure one PING, unless the breaker is open; never raises for the store."""
        taken: list[float] = []
        nodes: list[Any] = [None]
        with suppress(StoreError):
            if self.store.cluster or self.store.opened is None:
                await self._know()
            nodes = self.store.masters()
            for node in nodes:
                with suppress(StoreError), Call(self, node=node and node.name):
                    client = await self._open()
                    started = perf_counter()
                    await client.ping(**({} if node is None else {"target_nodes": node}))
                    taken.append(perf_counter() - started)
        return health_of(self.store, nodes, taken, dropped)

    @property
    def client(self) -> Any:
        """The client, opened if it was not (which may block)."""
        try:
            return self.store.open()
        except Exception as error:
            raise self.store.translate(error) from error

    async def aclose(self) -> None:
        """Close the connection; a later operation opens it again."""
        self.rest()
        if self._loop is not asyncio.get_running_loop():
            self.store.abandon()
        connected = self.store.take()
        if connected is not None:
            await connected.aclose()


class _AsyncProber:
    """A task that tries while the breaker is open; see `Prober`."""

    def __init__(self, engine: AsyncEngine, breaker: Breaker) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(
            _probe(weakref.ref(engine), breaker), name="herenow-probe"
        )

    @property
    def alive(self) -> bool:
        """Whether it still tries: its loop may be over."""
        return not (self._task.done() or self._loop.is_closed())

    def stop(self) -> None:
        """Have it end."""
        if self.alive:
            self._loop.call_soon_threadsafe(self._task.cancel)


async def _probe(known: "weakref.ref[AsyncEngine]", breaker: Breaker) -> None:
    wait = 0.0
    while True:
        await asyncio.sleep(wait)
        engine = known()
        if engine is None or breaker.closed:
            return
        if breaker.take(monotonic()):
            await engine.probe(breaker)
        wait = breaker.due_in(monotonic())
        del engine


AsyncEngine.prober = _AsyncProber
