"""Running operations: with `aio_execution` the one place, beside the facades, that knows sync from async.

`Engine` and `AsyncEngine` send EVALSHA, fall back to EVAL where the store has not got the script (new,
restarted, failed over), and send batches as one pipeline. They know nothing of presence, and leave the
client and its errors to `store`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from herenow.breaker import Prober
from herenow.errors import StoreError, StoreTimeout, StoreUnavailable
from herenow.models import Health
from herenow.operations import Operation, Outcome, Plan
from herenow.store import Connected, Store

if TYPE_CHECKING:
    from herenow.lua import Script

T = TypeVar("T")


def as_command(operation: Operation[Any]) -> tuple[Any, ...]:
    """Make the command that runs an operation whose script the store has."""
    keys = operation.keys
    return ("EVALSHA", operation.script.sha, len(keys), *keys, *operation.args)


def as_whole_command(operation: Operation[Any]) -> tuple[Any, ...]:
    """Make the command that runs an operation and brings its script."""
    keys = operation.keys
    return ("EVAL", operation.script.text, len(keys), *keys, *operation.args)


def as_commands(operations: Sequence[Operation[Any]]) -> list[tuple[Any, ...]]:
    """One round trip's commands, in order: each names its script, which the store is taken to have.

    But a script after which another one writes to the same room is brought along: were it missing in
    the store, the other would write before it. Reads that came too early are sent again (see `late`).
    """
    brought: set[Script] = set()
    writers: dict[
        bytes, Script | None
    ] = {}  # the one that writes to a room from here on; None: several
    for one in reversed(operations):
        script, room = one.script, _room(one)
        alone = writers.get(room, script) is script
        if not alone:
            brought.add(script)
        if not script.reads:
            writers[room] = script if alone else None
    return [
        as_whole_command(one) if one.script in brought else as_command(one) for one in operations
    ]


def late(operations: Sequence[Operation[Any]], missing: Sequence[int]) -> list[int]:
    """What is to be sent again where the scripts of the ``missing`` were not in the store.

    These, in order, and what read in a room before one of them wrote there. No write is sent twice.
    """
    lacked, unwritten = {*missing}, set[bytes]()
    again: list[int] = []
    for i in range(min(lacked, default=len(operations)), len(operations)):
        one = operations[i]
        if i in lacked:
            again.append(i)
            if not one.script.reads:
                unwritten.add(_room(one))
        elif one.script.reads and _room(one) in unwritten:
            again.append(i)
    return again


def _room(operation: Operation[Any]) -> bytes:
    """What tells the room of an operation: its keys' hash tag."""
    return operation.keys[0].partition(b"}")[0]


def advance(
    plan: Plan[T], outcomes: list[Outcome] | None
) -> tuple[Sequence[Operation[Any]] | None, Any]:
    """Take a plan one round trip further: what to send next, or None and its result."""
    try:
        return (next(plan) if outcomes is None else plan.send(outcomes)), None
    except StopIteration as stop:
        return None, stop.value


class Asking:
    """What both engines are: a store, and how calls of it begin and end by its breaker."""

    prober: ClassVar[type]
    """What tries in the background while the breaker is open."""

    def __init__(self, connect: Callable[[], Connected], shared: object = None) -> None:
        self.store = Store(connect, shared)

    def refuse(self) -> None:
        """Raise StoreUnavailable where the breaker is open, and nobody should try now."""
        if not self.store.breaker.admits(monotonic()):
            self.seek()
            raise self.store.refusal

    def failed(self, error: BaseException, began: float, key: object = None) -> BaseException:
        """Translate what ended a call, and tell the breaker."""
        translated = self.store.failed(error, began, key)
        if not self.store.breaker.closed:
            self.seek()
        return translated

    def seek(self) -> None:
        """Have somebody try in the background."""
        breaker = self.store.breaker
        if breaker.seeker is None or not breaker.seeker.alive:
            try:
                breaker.seeker = type(self).prober(self)
            except RuntimeError:  # no more threads at the very end: a call tries instead
                breaker.seeker = None

    def rest(self) -> None:
        """Have nobody try any more."""
        if self.store.breaker.seeker is not None:
            self.store.breaker.seeker.stop()


class Call:
    """One round trip: it asks the breaker, tells it, and raises our errors instead of the client's."""

    __slots__ = ("_engine", "_key", "_lost", "_watched", "began")

    def __init__(self, engine: Asking, key: object = None, *, watched: bool = False) -> None:
        self._engine = engine
        self._key = key
        self._watched = watched
        self._lost = False

    def __enter__(self) -> Self:
        store = self._engine.store
        if store.breaker.closed and not store.watched:  # as nearly always: no more than that
            self.began = monotonic()
            return self
        try:
            self.began = store.begin(self if self._watched else None)
        except StoreError:
            self._engine.seek()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        store = self._engine.store
        if self._watched and store.watched:
            store.end(self)
        if error is not None:
            translated = self._engine.failed(error, self.began, self._key)
            if translated is not error:
                raise translated from error
        elif not (store.breaker.ok or self._lost):
            store.answered()

    def read(self, operation: Operation[Any], reply: Any) -> Outcome:
        """Read one reply of several; of those that failed the breaker counts one."""
        if not isinstance(reply, Exception):
            return operation.read(reply)
        translated = self._engine.failed(reply, self.began, operation.keys[0])
        self._lost |= isinstance(translated, StoreUnavailable | StoreTimeout)
        return translated


class Engine(Asking):
    """Runs operations on a sync client; thread-safe. Engines with one ``shared`` key share a breaker."""

    prober = Prober

    def open(self) -> None:
        """Open the connection, where that is still to be done."""
        if self.store.opened is None:
            with Call(self):
                self.store.open()

    def call(self, operation: Operation[T]) -> T:
        """Run one operation: one round trip."""
        store = self.store
        with Call(self, operation.keys[0], watched=True):
            store.open()
            try:
                reply = store.execute(*as_command(operation))
            except Exception as error:
                if not store.lacks_script(error):
                    raise
                reply = store.execute(*as_whole_command(operation))
        return operation.read(reply)

    def batch(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        """Run several operations, in order: one round trip (a node)."""
        try:
            if len(operations) == 1:
                return [self.call(operations[0])]
            with Call(self, operations[0].keys[0]) as call:
                replies = self._pipeline(as_commands(operations))
                again = late(operations, lacking(replies, self.store))
                if again:
                    sent = self._pipeline([as_whole_command(operations[i]) for i in again])
                    for i, reply in zip(again, sent, strict=True):
                        replies[i] = reply
                return list(map(call.read, operations, replies))
        except (StoreError, ValueError) as error:
            return [error] * len(operations)

    def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        client = self.store.open()
        if not self.store.cluster:
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
            operations, result = advance(plan, None)
            while operations is not None:
                outcomes = self.batch(operations) if operations else []
                operations, result = advance(plan, outcomes)
        finally:
            plan.close()  # one that is interrupted puts back what it took
        return result  # type: ignore[no-any-return]

    def health(self, dropped: int) -> Health:
        """Measure one PING, unless the breaker is open; never raises for the store."""
        latency: float | None = None
        with suppress(StoreError), Call(self):
            client = self.store.open()
            started = perf_counter()
            client.ping()
            latency = perf_counter() - started
        return health_of(self.store, latency, dropped)

    @property
    def client(self) -> Any:
        """The client, opened if it was not."""
        self.open()
        return self.store.opened

    def close(self) -> None:
        """Close the connection; a later operation opens it again."""
        self.rest()
        connected = self.store.take()
        if connected is not None:
            connected.close()


def health_of(store: Store, latency: float | None, dropped: int) -> Health:
    """Say how a store does that answered a PING within ``latency`` seconds, None: not."""
    breaker = store.breaker
    return Health(latency is not None, breaker.since, latency, dropped, breaker.state)


def lacking(replies: Sequence[Any], store: Store) -> list[int]:
    """Which of the replies say that the script is not there."""
    return [
        i for i, one in enumerate(replies) if isinstance(one, Exception) and store.lacks_script(one)
    ]
