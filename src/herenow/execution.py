"""Running operations: the one place, beside the facades, that knows sync from async.

`Engine` and `AsyncEngine` send EVALSHA, fall back to EVAL where the store has not got the script (new,
restarted, failed over), send batches as one pipeline, and turn whatever the client library raises
into herenow's errors. They know nothing of presence. A client is opened at the first use, never
before: after a fork, not in front of it.
"""

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import perf_counter
from types import ModuleType
from typing import Any, Final, Protocol, TypeVar

from herenow import forking
from herenow.errors import StoreError, StoreTimeout, StoreUnavailable
from herenow.models import Health
from herenow.operations import Operation, Outcome, Plan

T = TypeVar("T")
_log: Final = logging.getLogger("herenow")
_OUR_RULE: Final = "HERENOW "
# redis-py makes a class of some of these words, and takes them out of what is said
_AWAY_CLASSES: Final = (
    "ConnectionError",
    "RedisClusterException",
    "ClusterDownError",
    "MasterDownError",
    "NoPermissionError",
    "AuthenticationError",
)
_AWAY: Final = ("LOADING", "CLUSTERDOWN", "MASTERDOWN", "NOAUTH", "WRONGPASS", "NOPERM")


class Connected(Protocol):
    """What opening a connection gives: a client, and what else is to be closed with it."""

    @property
    def client(self) -> Any:
        """A redis or valkey client, single or cluster."""

    @property
    def cluster(self) -> bool:
        """Whether it talks to a cluster."""

    @property
    def exceptions(self) -> ModuleType:
        """What it raises."""

    @property
    def handed_in(self) -> bool:
        """Whether the client is the caller's, to be used as the caller made it."""

    def close(self) -> None:
        """Close a sync client, and what belongs to it."""

    async def aclose(self) -> None:
        """Close an async client, and what belongs to it."""

    def abandon(self) -> None:
        """Let go of an async client whose loop is over."""


class _Store:
    """The store as this process sees it: its client, once open, and how it does."""

    def __init__(self, connect: Callable[[], Connected]) -> None:
        self._connect = connect
        self._connected: Connected | None = None
        self._failed: tuple[float, Exception] | None = None
        self.start_anew()
        forking.register(self)
        self._errors: Any = None
        self.cluster = False
        self.execute: Callable[..., Any] = _not_open
        self.ok = True
        self.since = datetime.now(UTC)

    def start_anew(self) -> None:
        """Have a lock of its own: another thread may have been opening when this process was forked."""
        self._opening = threading.Lock()

    def open(self) -> Any:
        """Get the client; open it first where that is still to be done. May block, and raise."""
        connected = self._connected
        if connected is None:
            came = perf_counter()
            with self._opening:
                if self._connected is None:
                    self._connected = self._open_since(came)
                connected = self._connected
        return connected.client

    def _open_since(self, came: float) -> Connected:
        # who waited while another failed fails with it: a store that hangs costs nobody the sum
        if self._failed is not None and self._failed[0] > came:
            raise StoreUnavailable(str(self._failed[1])) from self._failed[1]
        try:
            opened = self._connect()
        except Exception as error:
            self._failed = (perf_counter(), error)
            raise
        self._errors = opened.exceptions
        self.cluster = opened.cluster
        self.execute = opened.client.execute_command
        if not (opened.cluster or opened.handed_in):
            self.execute = _straight(opened.client)
        return opened

    def take(self) -> Connected | None:
        """Let go of the connection, to close it."""
        connected, self._connected = self._connected, None
        return connected

    def abandon(self) -> None:
        """Let go of a connection of ours that can't be closed any more: its loop is over."""
        if self._connected is not None and not self._connected.handed_in:
            connected = self.take()
            if connected is not None:
                connected.abandon()

    @property
    def opened(self) -> Any | None:
        """The client, or None where it is not open yet."""
        return self._connected.client if self._connected else None

    def lacks_script(self, error: Exception) -> bool:
        """Whether the store has not got the script."""
        return str(error).startswith("NOSCRIPT") or type(error).__name__ == "NoScriptError"

    def note(self, *, ok: bool) -> None:
        """Remember since when the store is, or is not, answering; log each change once."""
        if ok != self.ok:
            self.ok, self.since = ok, datetime.now(UTC)
            (_log.info if ok else _log.warning)(
                "the store %s", "answers" if ok else "does not answer"
            )

    def translate(self, error: Exception) -> Exception:
        """Turn what a client library raised into one of our errors; others stay as they are."""
        if isinstance(error, StoreError | ValueError) and not self._is(error, "RedisError"):
            if isinstance(error, StoreUnavailable):  # an embedded server that does not come up
                self.note(ok=False)
            return error
        said = str(error)
        if _OUR_RULE in said:
            return ValueError(said.partition(_OUR_RULE)[2])
        if self._is(error, "TimeoutError") or isinstance(error, TimeoutError):
            self.note(ok=False)
            return StoreTimeout(f"the store did not answer in time: {said}")
        away = isinstance(error, OSError) or said.startswith(_AWAY)
        if away or any(self._is(error, one) for one in _AWAY_CLASSES):
            self.note(ok=False)
            return StoreUnavailable(f"the store is not available: {said}")
        if self._is(error, "RedisError"):
            return StoreError(f"the store refused: {said}")
        return error

    def _is(self, error: Exception, name: str) -> bool:
        modules = (
            [self._errors]
            if self._errors
            else [
                sys.modules[one]
                for one in ("redis.exceptions", "valkey.exceptions")
                if one in sys.modules
            ]
        )
        classes = (getattr(m, n, None) for m in modules for n in _spellings(name))
        return any(one is not None and isinstance(error, one) for one in classes)


def _spellings(name: str) -> tuple[str, str]:
    return name, name.replace("Redis", "Valkey")


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


def _not_open(*_: Any) -> Any:
    raise RuntimeError("not open")


def _straight(client: Any) -> Callable[..., Any]:
    """Send a command on a connection of the pool, and nothing else.

    A client of our own never retries; what its execute_command adds for that, and to observe it, takes
    a fifth of the time of a call. A connection that fails closes itself.
    """
    pool = client.connection_pool

    def execute(*command: Any) -> Any:
        connection = pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_command(*command), check_health=False)
            return connection.read_response()
        finally:
            pool.release(connection)

    return execute


class Engine:
    """Runs operations on a sync client; thread-safe."""

    def __init__(self, connect: Callable[[], Connected]) -> None:
        self._store = _Store(connect)

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
        self._store = _Store(connect)
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
    store: _Store, operations: Sequence[Operation[Any]], replies: Sequence[Any]
) -> list[Outcome]:
    if not store.ok:
        store.note(ok=True)
    return [
        store.translate(reply) if isinstance(reply, Exception) else operation.read(reply)
        for operation, reply in zip(operations, replies, strict=True)
    ]
