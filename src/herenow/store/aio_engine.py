"""The engine: runs operations on a client of the store, each round trip a `Call`.

Written once, for asyncio, in ``aio_engine.py``; ``engine.py`` is generated from that, for threads
(`make generate`). What is different there is in `tasks` and `threads`. The engine knows nothing of
presence; how a client is opened and what its errors mean is the business of `store`, who may call that of
`breaker`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from herenow.errors import StoreError
from herenow.models import Health
from herenow.operations import Operation, Outcome, Plan
from herenow.store import client_errors, tasks
from herenow.store.breaker import Breaker
from herenow.store.calls import Call, health_of
from herenow.store.commands import (
    advance,
    as_command,
    as_commands,
    as_whole_command,
    lacking,
    to_send_again,
)
from herenow.store.store import Opener, Store, answered

if TYPE_CHECKING:
    import weakref

T = TypeVar("T")
Observe: TypeAlias = Callable[[Sequence[Operation[Any]], Sequence[Outcome], float], None]
"""What was asked in one round trip, how each ended, and the seconds it took."""


class AsyncEngine:
    """Runs operations. Engines with one ``shared`` key share a breaker."""

    observe: Observe | None = None
    """Called after every round trip, where somebody measures."""

    def __init__(self, connect: Opener, shared: object = None) -> None:
        self.store = Store(connect, shared, partial(tasks.Prober, _probe))

    async def open(self) -> None:
        """Open the connection, where that is to be done; a cluster's client then knows its nodes."""
        if tasks.unready(self.store):
            with Call(self.store) as call:
                client = await tasks.opened(self.store)
                call.proves = self.store.cluster  # another one has not been asked anything yet
                if self.store.cluster:
                    await tasks.learn(client)

    async def ready(self) -> Any:
        """The client, opened if it was not, without blocking the loop. Raises what opening does."""
        return await tasks.opened(self.store)

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
        store = self.store
        with Call(store, operation.keys[0], watched=True) as call:
            await tasks.opened(store)
            try:
                reply = await store.execute(*as_command(operation))
            except Exception as error:
                if not (client_errors.lacks_script(error) or await self._moves(call, error)):
                    raise
                reply = await store.execute(*as_whole_command(operation))
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
        if not self.store.cluster:
            return await self._on_node(operations)
        try:
            await self.open()
        except (StoreError, ValueError) as error:
            return [error] * len(operations)
        parts = self.store.parts([one.keys[0] for one in operations])
        each = await tasks.together(self._on_node([operations[i] for i in part]) for part in parts)
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
        with Call(self.store, operations[0].keys[0]) as call:
            try:
                replies = await tasks.pipelined(self.store, as_commands(operations))
            except Exception as error:
                if not await self._moves(call, error):
                    raise
                whole = list(map(as_whole_command, operations))
                replies = await tasks.pipelined(self.store, whole)
            again = to_send_again(operations, lacking(replies))
            if again:
                whole = [as_whole_command(operations[i]) for i in again]
                sent = await tasks.pipelined(self.store, whole)
                for i, reply in zip(again, sent, strict=True):
                    replies[i] = reply
            return list(map(call.read, operations, replies))

    async def _moves(self, call: Call, error: Exception) -> bool:
        """See `Call.moves`; the nodes are asked first who serves what now."""
        if self.store.cluster and client_errors.lost(error):
            await tasks.learn_anew(self.store)
        return call.moves(error)

    async def run(self, plan: Plan[T]) -> T:
        """Run a plan to its end."""
        try:
            operations, result = advance(plan, None)
            while operations is not None:
                outcomes = await self.batch(operations) if operations else []
                operations, result = advance(plan, outcomes)
        finally:
            plan.close()  # one that is interrupted puts back what it took
        return result  # type: ignore[no-any-return]

    async def health(self, dropped: int) -> Health:
        """Measure one PING, unless the breaker is open; never raises for the store."""
        taken: list[float] = []
        nodes: list[Any] = [None]
        with suppress(StoreError):
            await self.open()
            nodes = self.store.masters()
            for node in nodes:
                with suppress(StoreError), Call(self.store, node=node and node.name):
                    client = await tasks.opened(self.store)
                    started = perf_counter()
                    await client.ping(**({} if node is None else {"target_nodes": node}))
                    taken.append(perf_counter() - started)
        return health_of(self.store, nodes, taken, dropped)

    @property
    def client(self) -> Any:
        """The client, opened if it was not, which may block."""
        if self.store.opened is None:
            with Call(self.store) as call:
                self.store.open()
                call.proves = self.store.cluster
        return self.store.opened

    async def aclose(self) -> None:
        """Close the connection; a later operation opens it again."""
        self.store.rest()
        tasks.abandon_elsewhere(self.store)
        connected = self.store.take()
        if connected is not None:
            await connected.aclose()


async def _probe(known: "weakref.ref[Store]", breaker: Breaker, stop: tasks.Flag) -> None:
    """Try, now and again, while a breaker is open."""
    wait = 0.0
    while not await stop.wait(wait):
        store = known()
        if store is None or breaker.closed:
            return
        if breaker.take(monotonic()):
            await _try(store, breaker)
        wait = breaker.due_in(monotonic())
        del store


async def _try(store: Store, breaker: Breaker) -> None:
    """Ask whether the store answers, and inform the breaker; raises nothing but a cancellation."""
    began = monotonic()
    try:
        client = await tasks.opened(store)
        await client.execute_command(*store.probe_command(breaker))
    except BaseException as error:
        if not isinstance(store.failed(error, began, breaker), Exception):
            raise
    else:
        answered(breaker)
