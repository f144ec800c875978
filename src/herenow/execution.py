"""Running operations: the one place, beside the facades, that knows sync from async.

`Engine` and `AsyncEngine` send EVALSHA, fall back to EVAL where the store has not got the script (new,
restarted, failed over), and send batches as one pipeline. They know nothing of presence, and leave the
client and its errors to `store`.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, TypeVar

from herenow.errors import StoreError
from herenow.models import Health
from herenow.operations import Operation, Outcome, Plan
from herenow.store import Connected, Store

T = TypeVar("T")


def _command(operation: Operation[Any]) -> tuple[Any, ...]:
    keys = operation.keys
    return ("EVALSHA", operation.script.sha, len(keys), *keys, *operation.args)


def _whole_command(operation: Operation[Any]) -> tuple[Any, ...]:
    keys = operation.keys
    return ("EVAL", operation.script.text, len(keys), *keys, *operation.args)


def _commands(operations: Sequence[Operation[Any]]) -> list[tuple[Any, ...]]:
    """One round trip's commands, in order.

    What another script comes after is sent whole: were it missing in the store, the other would run
    before it.
    """
    last = operations[-1].script
    return [_command(one) if one.script is last else _whole_command(one) for one in operations]


def _step(
    plan: Plan[T], outcomes: list[Outcome] | None
) -> tuple[Sequence[Operation[Any]] | None, Any]:
    """Take a plan one round trip further: what to send next, or None and its result."""
    try:
        return (next(plan) if outcomes is None else plan.send(outcomes)), None
    except StopIteration as stop:
        return None, stop.value


class Engine:
    """Runs operations on a sync client; thread-safe."""

    def __init__(self, connect: Callable[[], Connected]) -> None:
        self._store = Store(connect)

    def open(self) -> None:
        """Open the connection, where that is still to be done."""
        try:
            self._store.open()
        except Exception as error:
            raise self._store.translate(error) from error

    def call(self, operation: Operation[T]) -> T:
        """Run one operation: one round trip."""
        store = self._store
        try:
            store.open()
            try:
                reply = store.execute(*_command(operation))
            except Exception as error:
                if not store.lacks_script(error):
                    raise
                reply = store.execute(*_whole_command(operation))
        except Exception as error:
            translated = store.translate(error)
            if translated is error:
                raise
            raise translated from error
        if not store.ok:
            store.note(ok=True)
        return operation.read(reply)

    def batch(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        """Run several operations, in order: one round trip (a node)."""
        if len(operations) == 1:
            try:
                return [self.call(operations[0])]
            except (StoreError, ValueError) as error:
                return [error]
        try:
            outcomes = self._pipeline(_commands(operations))
            missing = [
                i for i, one in enumerate(outcomes) if _failed(one, self._store.lacks_script)
            ]
            if missing:
                again = self._pipeline([_whole_command(operations[i]) for i in missing])
                for i, outcome in zip(missing, again, strict=True):
                    outcomes[i] = outcome
        except Exception as error:
            translated = self._store.translate(error)
            if not isinstance(translated, StoreError | ValueError):
                raise
            return [translated] * len(operations)
        return _read_all(self._store, operations, outcomes)

    def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        client = self._store.open()
        if not self._store.cluster:
            with client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(pipeline.execute(raise_on_error=False))
        with client.pipeline() as pipeline:
            for command in commands:
                # not told the node, it asks a server where the keys of each command are
                node = client.get_node_from_key(command[3])
                pipeline.execute_command(*command, target_nodes=node)
            return list(pipeline.execute(raise_on_error=False))

    def run(self, plan: Plan[T]) -> T:
        """Run a plan to its end."""
        try:
            operations, result = _step(plan, None)
            while operations is not None:
                outcomes = self.batch(operations) if operations else []
                operations, result = _step(plan, outcomes)
        finally:
            plan.close()  # one that is interrupted puts back what it took
        return result  # type: ignore[no-any-return]

    def health(self, dropped: int) -> Health:
        """Measure one PING; never raises for the store."""
        started = perf_counter()
        latency: float | None = None
        try:
            self._store.open().ping()
            latency = perf_counter() - started
        except Exception as error:
            if not isinstance(self._store.translate(error), StoreError):
                raise
        self._store.note(ok=latency is not None)
        return Health(latency is not None, self._store.since, latency, dropped)

    @property
    def client(self) -> Any:
        """The client, opened if it was not."""
        self.open()
        return self._store.opened

    def close(self) -> None:
        """Close the connection; a later operation opens it again."""
        connected = self._store.take()
        if connected is not None:
            connected.close()


class AsyncEngine:
    """Runs operations on an async client; see `Engine`."""

    def __init__(self, connect: Callable[[], Connected]) -> None:
        self._store = Store(connect)
        self._loop: Any = None

    async def _open(self) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # a client of ours belongs to its loop
            self._loop = loop
            self._store.abandon()
        client = self._store.opened
        if client is None:
            # it may boot a server or ask a cluster for its slots: never on the event loop
            client = await asyncio.to_thread(self._store.open)
        return client

    async def call(self, operation: Operation[T]) -> T:
        """Run one operation: one round trip."""
        store = self._store
        try:
            client = await self._open()
            try:
                reply = await client.execute_command(*_command(operation))
            except Exception as error:
                if not store.lacks_script(error):
                    raise
                reply = await client.execute_command(*_whole_command(operation))
        except Exception as error:
            translated = store.translate(error)
            if translated is error:
                raise
            raise translated from error
        if not store.ok:
            store.note(ok=True)
        return operation.read(reply)

    async def batch(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        """Run several operations, in order: one round trip (a node)."""
        if len(operations) == 1:
            try:
                return [await self.call(operations[0])]
            except (StoreError, ValueError) as error:
                return [error]
        try:
            outcomes = await self._pipeline(_commands(operations))
            missing = [
                i for i, one in enumerate(outcomes) if _failed(one, self._store.lacks_script)
            ]
            if missing:
                again = await self._pipeline([_whole_command(operations[i]) for i in missing])
                for i, outcome in zip(missing, again, strict=True):
                    outcomes[i] = outcome
        except Exception as error:
            translated = self._store.translate(error)
            if not isinstance(translated, StoreError | ValueError):
                raise
            return [translated] * len(operations)
        return _read_all(self._store, operations, outcomes)

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        client = await self._open()
        pipeline = client.pipeline() if self._store.cluster else client.pipeline(transaction=False)
        async with pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return list(await pipeline.execute(raise_on_error=False))

    async def run(self, plan: Plan[T]) -> T:
        """Run a plan to its end."""
        try:
            operations, result = _step(plan, None)
            while operations is not None:
                outcomes = await self.batch(operations) if operations else []
                operations, result = _step(plan, outcomes)
        finally:
            plan.close()  # one that is cancelled puts back what it took
        return result  # type: ignore[no-any-return]

    async def health(self, dropped: int) -> Health:
        """Measure one PING; never raises for the store."""
        started = perf_counter()
        latency: float | None = None
        try:
            client = await self._open()
            await client.ping()
            latency = perf_counter() - started
        except Exception as error:
            if not isinstance(self._store.translate(error), StoreError):
                raise
        self._store.note(ok=latency is not None)
        return Health(latency is not None, self._store.since, latency, dropped)

    @property
    def client(self) -> Any:
        """The client, opened if it was not (which may block)."""
        try:
            return self._store.open()
        except Exception as error:
            raise self._store.translate(error) from error

    async def aclose(self) -> None:
        """Close the connection; a later operation opens it again."""
        import asyncio

        if self._loop is not asyncio.get_running_loop():
            self._store.abandon()
        connected = self._store.take()
        if connected is not None:
            await connected.aclose()


def _failed(outcome: Any, because: Callable[[Exception], bool]) -> bool:
    return isinstance(outcome, Exception) and because(outcome)


def _read_all(
    store: Store, operations: Sequence[Operation[Any]], replies: Sequence[Any]
) -> list[Outcome]:
    if not store.ok:
        store.note(ok=True)
    return [
        store.translate(reply) if isinstance(reply, Exception) else operation.read(reply)
        for operation, reply in zip(operations, replies, strict=True)
    ]
