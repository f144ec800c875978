"""Running operations: with `aio_execution` the one place, beside the facades, that knows sync from async.

`Engine` and `AsyncEngine` send EVALSHA, fall back to EVAL where the store has not got the script (new,
restarted, failed over), and send batches as one pipeline. They know nothing of presence, and leave the
client and its errors to `store`.
"""

from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from herenow.errors import StoreError, StoreTimeout, StoreUnavailable
from herenow.models import Health
from herenow.operations import Operation, Outcome, Plan
from herenow.store.breaker import Breaker, Prober
from herenow.store.store import Opener, Store, answered, refusal

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
    """What both engines are: a store, and how calls of it begin and end by its breakers."""

    prober: ClassVar[type]
    """What tries in the background while a breaker is open."""

    def __init__(self, connect: Opener, shared: object = None) -> None:
        self.store = Store(connect, shared)

    def refuse(self) -> None:
        """Raise StoreUnavailable where the breaker is open, and nobody should try now."""
        breaker = self.store.breaker
        if not breaker.admits(monotonic()):
            self.seek(breaker)
            raise refusal(breaker)

    def failed(self, error: BaseException, began: float) -> BaseException:
        """Translate what ended a wait for the store, and tell its breaker; it tells nothing of a node."""
        if self.store.cluster:
            return error
        return self.call_failed(error, began, self.store.breaker)

    def call_failed(
        self, error: BaseException, began: float, breaker: Breaker, key: object = None
    ) -> BaseException:
        """Translate what ended a call, and tell its breaker."""
        translated = self.store.failed(error, began, breaker, key)
        if not breaker.closed:
            self.seek(breaker)
        return translated

    def seek(self, breaker: Breaker) -> None:
        """Have somebody try in the background."""
        if breaker.seeker is None or not breaker.seeker.alive:
            try:
                breaker.seeker = type(self).prober(self, breaker)
            except RuntimeError:  # no more threads at the very end: a call tries instead
                breaker.seeker = None

    def hasten(self, key: object) -> None:
        """Let the next call for a key try: whoever answers for it was heard, if not by a call."""
        self.store.breaker_of(key).hasten()

    def rest(self) -> None:
        """Have nobody try any more."""
        for breaker in self.store.breakers:
            if breaker.seeker is not None:
                breaker.seeker.stop()

    def parts(self, operations: Sequence[Operation[Any]]) -> list[list[int]]:
        """Which of them go together, by where they stand: those of one node, healthy nodes first."""
        parts: dict[Breaker, list[int]] = {}
        for i, one in enumerate(operations):
            parts.setdefault(self.store.breaker_of(one.keys[0]), []).append(i)
        return [parts[breaker] for breaker in sorted(parts, key=lambda one: not one.ok)]


class Call:
    """One round trip: it asks the breaker, tells it, and raises our errors instead of the client's."""

    __slots__ = ("_breaker", "_engine", "_key", "_watched", "began", "tells")

    def __init__(
        self,
        engine: Asking,
        key: object = None,
        *,
        watched: bool = False,
        node: str | None = None,
    ) -> None:
        self._engine = engine
        self._key = key
        self._watched = watched
        self.tells = True
        """Whether its end, without an error, shows that the store answers."""
        store = engine.store
        if node is not None:
            self._breaker = store.node_breaker(node)
        else:
            self._breaker = store.breaker_of(key) if store.cluster and key else store.breaker

    def __enter__(self) -> Self:
        store, breaker = self._engine.store, self._breaker
        if breaker.closed and not store.watched:  # as nearly always: no more than that
            self.began = monotonic()
            return self
        try:
            self.began = store.begin(breaker, self if self._watched else None)
        except StoreError:
            self._engine.seek(breaker)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        breaker = self._breaker
        if self._watched and self._engine.store.watched:
            breaker.unwatch(self)
        if error is not None:
            translated = self._engine.call_failed(error, self.began, breaker, self._key)
            if translated is not error:
                raise translated from error
        elif not breaker.ok:
            if self.tells:
                answered(breaker)
            else:
                breaker.interrupted(self.began)  # it was no answer, and is no try any more

    def moves(self, error: BaseException) -> bool:
        """Whether a call that was not answered belongs to another node by now, as after a failover.

        It is that one's from here on, and may be sent again: what the old one did, if anything, is lost.
        """
        store = self._engine.store
        if not (store.cluster and store.lost(error)):
            return False
        breaker = store.breaker_of(self._key)
        if breaker in (self._breaker, store.breaker):
            return False
        self._breaker.unwatch(self)
        self._breaker, self.began = breaker, monotonic()
        return True

    def read(self, operation: Operation[Any], reply: Any) -> Outcome:
        """Read one reply of several; of those that failed the breaker counts one."""
        if not isinstance(reply, Exception):
            return operation.read(reply)
        key = operation.keys[0]
        translated = self._engine.call_failed(reply, self.began, self._breaker, key)
        self.tells = self.tells and not isinstance(translated, StoreUnavailable | StoreTimeout)
        return translated


class Engine(Asking):
    """Runs operations on a sync client; thread-safe. Engines with one ``shared`` key share a breaker."""

    prober = Prober

    def open(self) -> None:
        """Open the connection, where that is still to be done."""
        if self.store.opened is None:
            with Call(self) as call:
                self.store.open()
                call.tells = self.store.cluster  # another one has not been asked anything yet

    def call(self, operation: Operation[T]) -> T:
        """Run one operation: one round trip."""
        store = self.store
        with Call(self, operation.keys[0], watched=True) as call:
            store.open()
            try:
                reply = store.execute(*as_command(operation))
            except Exception as error:
                if not (store.lacks_script(error) or call.moves(error)):
                    raise
                reply = store.execute(*as_whole_command(operation))
        return operation.read(reply)

    def batch(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        """Run several operations, in order: one round trip (a node)."""
        try:
            if len(operations) == 1:
                return [self.call(operations[0])]
            if not self.store.cluster:
                return self._together(operations)
        except (StoreError, ValueError) as error:
            return [error] * len(operations)
        outcomes: list[Outcome] = [None] * len(operations)
        for part in self.parts(operations):
            for i, outcome in zip(part, self._on_node([operations[i] for i in part]), strict=True):
                outcomes[i] = outcome
        return outcomes

    def _on_node(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        try:
            return self._together(operations)
        except (StoreError, ValueError) as error:
            return [error] * len(operations)

    def _together(self, operations: Sequence[Operation[Any]]) -> list[Outcome]:
        with Call(self, operations[0].keys[0]) as call:
            try:
                replies = self._pipeline(as_commands(operations))
            except Exception as error:
                if not call.moves(error):
                    raise
                replies = self._pipeline(list(map(as_whole_command, operations)))
            again = late(operations, lacking(replies, self.store))
            if again:
                sent = self._pipeline([as_whole_command(operations[i]) for i in again])
                for i, reply in zip(again, sent, strict=True):
                    replies[i] = reply
            return list(map(call.read, operations, replies))

    def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        client = self.store.open()
        if not self.store.cluster:
            return _piped(client, commands)
        # of one node: the library's own asks again for each command that a hung one leaves unanswered
        try:
            replies = _piped(self.store.client_of(commands[0][3]), commands)
        except Exception as error:
            if self.store.lost(error):
                client.nodes_manager.initialize()
            raise
        return [
            self._redirected(command) if self.store.redirects(reply) else reply
            for command, reply in zip(commands, replies, strict=True)
        ]

    def _redirected(self, command: tuple[Any, ...]) -> Any:
        try:
            return self.store.execute(*command)
        except Exception as error:  # noqa: BLE001 - one of several replies
            return error

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
        taken: list[float] = []
        nodes: list[Any] = [None]
        with suppress(StoreError):
            self.open()
            nodes = self.store.masters()
            for node in nodes:
                with suppress(StoreError), Call(self, node=node and node.name):
                    started = perf_counter()
                    self.store.open().ping(**({} if node is None else {"target_nodes": node}))
                    taken.append(perf_counter() - started)
        return health_of(self.store, nodes, taken, dropped)

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


def _piped(client: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute(raise_on_error=False))


def health_of(store: Store, nodes: Sequence[Any], taken: Sequence[float], dropped: int) -> Health:
    """Say how a store does: of its nodes (None: itself) some answered a PING, in so many seconds."""
    ok = 0 < len(taken) == len(nodes)
    breakers = [store.breaker, *(store.node_breaker(one.name) for one in nodes if one is not None)]
    bad = [one for one in breakers if not one.ok]
    worst = min(bad, key=lambda one: (one.closed, one.since), default=None)
    since = max(one.since for one in breakers) if worst is None else worst.since
    state = "closed" if worst is None else worst.state
    return Health(ok, since, max(taken) if ok else None, dropped, state)


def lacking(replies: Sequence[Any], store: Store) -> list[int]:
    """Which of the replies say that the script is not there."""
    return [
        i for i, one in enumerate(replies) if isinstance(one, Exception) and store.lacks_script(one)
    ]
