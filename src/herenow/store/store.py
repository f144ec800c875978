"""The store as one process sees it: its client, and what goes wrong with it.

Opens the connection at the first use, never before: after a fork, not in front of it. Turns whatever the
client library raises into herenow's errors, and informs the breaker, which all that ask the same store
share, how calls began and ended. Knows nothing of operations.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from herenow.errors import StoreError, StoreTimeout, StoreUnavailable
from herenow.store import client_errors, finalizing, forking
from herenow.store.breaker import Breaker, shared_breaker

_log: Final = logging.getLogger("herenow")
_AGAIN: Final = 60.0
_KINDS: Final = 100


class Connected(Protocol):
    """What opening a connection gives: a client, and what else is to be closed with it."""

    @property
    def client(self) -> Any:
        """A redis or valkey client, single or cluster."""

    @property
    def cluster(self) -> bool:
        """Whether it talks to a cluster."""

    def node(self, key: Any) -> str | None:
        """Name the node of a cluster that the client would ask for a key, as far as it knows."""

    def client_of(self, key: Any) -> Any:
        """A client of that node alone."""

    def masters(self) -> list[Any]:
        """The nodes of a cluster that the client writes to, as far as it knows."""

    @property
    def asynchronous(self) -> bool:
        """Whether it is a client of asyncio."""

    @property
    def handed_in(self) -> bool:
        """Whether the client is the caller's, to be used as the caller made it."""

    def close(self) -> None:
        """Close a sync client, and what belongs to it."""

    async def aclose(self) -> None:
        """Close an async client, and what belongs to it."""

    def abandon(self) -> None:
        """Let go of an async client whose loop is over."""

    def drop(self, loop: Any) -> None:
        """Close a client that nobody uses any more, an async one in its loop."""


class Opener(Protocol):
    """What opens the connection."""

    @property
    def name(self) -> str:
        """What the log calls the store."""

    def __call__(self) -> Connected:
        """Open it. May block, and raise."""


class Prober(Protocol):
    """Who tries in the background while a breaker is open."""

    @property
    def alive(self) -> bool:
        """Whether it still tries."""

    def stop(self) -> None:
        """Have it end."""


class Store:
    """The store as this process sees it: its client, once open, and its breakers.

    ``breaker`` is the one of the store; of a cluster, it knows of the connecting alone, and each node has
    one of its own: a bad one is no reason to refuse the others' rooms. Who gives
    the same ``shared`` key, not None, means the same store, and shares its breakers. ``prober`` starts
    who tries in the background.
    """

    def __init__(self, connect: Opener, shared: object, prober: Callable[..., Prober]) -> None:
        self._connect = connect
        self._prober = prober
        self._shared = shared
        self.name = connect.name
        self.breaker = self._breaker(shared, self.name)
        self._nodes: dict[str, Breaker] = {}
        self.watched = False
        self._refusals: dict[str, float] = {}
        self._connected: Connected | None = None
        self._closing: Any = None
        self._taken = float("-inf")
        self.loop: Any = None  # where an async client is used, and closed
        self._failed: tuple[float, Exception] | None = None
        self.start_anew()
        forking.register(self)
        self.cluster = False
        self.execute: Callable[..., Any] = _not_open

    def start_anew(self) -> None:
        """Have a lock of its own: another thread may have been opening when this process was forked."""
        self._opening = threading.Lock()

    def open(self) -> Any:
        """Get the client; open it first where that is still to be done. May block, and raise."""
        connected = self._connected
        if connected is None:
            came = monotonic()
            with self._opening:
                if self._connected is None:
                    self._connected = self._open_since(came)
                connected = self._connected
        return connected.client

    def _open_since(self, came: float) -> Connected:
        # who waited while another failed fails with it: a store that hangs costs nobody the sum
        if self._failed is not None and self._failed[0] > came:
            raise StoreUnavailable(str(self._failed[1])) from self._failed[1]
        finalizing.close_dropped()
        try:
            opened = self._connect()
        except Exception as error:
            self._failed = (monotonic(), error)
            raise
        self.cluster = opened.cluster
        self.watched = opened.handed_in
        self.execute = opened.client.execute_command
        if not (opened.cluster or opened.handed_in or opened.asynchronous):
            self.execute = _straight(opened.client)
        if not opened.handed_in:
            self._closing = finalizing.close_when_dropped(self, partial(opened.drop, self.loop))
        return opened

    def take(self) -> Connected | None:
        """Let go of the connection, to close it."""
        connected, self._connected = self._connected, None
        self._taken = monotonic()
        if self._closing is not None:
            self._closing.detach()
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

    # its breakers, and those of its nodes

    @staticmethod
    def _breaker(shared: object, name: str) -> Breaker:
        return Breaker(name) if shared is None else shared_breaker(shared, name)

    def breaker_of(self, key: Any) -> Breaker:
        """The breaker of whoever answers for a key: a cluster's node, or the store."""
        if self.cluster and self._connected is not None:
            node = self._connected.node(key)
            if node is not None:
                return self._nodes.get(node) or self.node_breaker(node)
        return self.breaker

    def node_breaker(self, node: str) -> Breaker:
        """The breaker of one node of a cluster."""
        if node not in self._nodes:
            shared = (*self._shared, node) if isinstance(self._shared, tuple) else None
            self._nodes[node] = self._breaker(shared, f"{self.name}, node {node}")
        return self._nodes[node]

    @property
    def breakers(self) -> list[Breaker]:
        """That of the store, and those of its nodes."""
        return [self.breaker, *list(self._nodes.values())]

    def hasten(self, key: object = None) -> None:
        """Let the next call try, for a key whose node was heard, or (None) whatever it asks.

        It may be the last chance to send what waits.
        """
        for one in self.breakers if key is None else [self.breaker_of(key)]:
            one.hasten()

    def parts(self, keys: Sequence[Any]) -> list[list[int]]:
        """Which of the keys go together, by where they stand: those of one node, healthy nodes first."""
        parts: dict[Breaker, list[int]] = {}
        for i, key in enumerate(keys):
            parts.setdefault(self.breaker_of(key), []).append(i)
        return [parts[breaker] for breaker in sorted(parts, key=lambda one: not one.ok)]

    def client_of(self, key: Any) -> Any:
        """A client of the node that a cluster's client would ask for a key."""
        self.open()
        return self._connected and self._connected.client_of(key)

    def masters(self) -> list[Any]:
        """The nodes of a cluster that are written to; of another store None alone, which is itself."""
        return self._connected.masters() if self.cluster and self._connected else [None]

    # calls, and how they end

    def begin(self, breaker: Breaker, call: object = None) -> float:
        """Begin a call, or raise StoreUnavailable at once where its breaker is open; the moment.

        A ``call`` that is named is watched where the client may let it wait for long: it should be a
        short one. Have it unwatched then.
        """
        now = monotonic()
        if self.watched:
            breaker.notice(now)
        if not breaker.closed and not breaker.admit(now):
            raise refusal(breaker)
        if self.watched and call is not None:
            breaker.watch(call, now)
        return now

    def failed(
        self, error: BaseException, began: float, breaker: Breaker, key: object = None
    ) -> BaseException:
        """Translate what ended a call that asked for ``key``, and inform its breaker."""
        if not isinstance(error, Exception):  # cancelled, or the program ends
            breaker.interrupted(began)
            return error
        translated = client_errors.translate(error)
        if client_errors.forbidden(error):
            answered(breaker)
        elif isinstance(translated, StoreUnavailable | StoreTimeout):
            breaker.key = key or breaker.key
            breaker.failed(began, monotonic(), str(translated))
        elif translated is not error:
            self._refused(translated, monotonic())
            answered(breaker)
        else:
            breaker.interrupted(began)
            if began <= self._taken:  # who uses a socket that is closed raises anything
                return StoreUnavailable(f"the connection was closed by close(): {error!r}")
        return translated

    def _refused(self, refusal: Exception, now: float) -> None:
        """Log a refusal, once while there are such: buffered marks wait for its end in silence."""
        if isinstance(refusal, StoreError):
            what = str(refusal)
            if now - self._refusals.get(what, -_AGAIN) >= _AGAIN:
                _log.warning("herenow: %s: %s", self.name, what)
            if len(self._refusals) >= _KINDS:
                self._refusals.clear()
            self._refusals[what] = now

    def probe_command(self, breaker: Breaker) -> tuple[Any, ...]:
        """What asks whether the store answers: in a cluster the node that did not."""
        return ("EXISTS", breaker.key) if self.cluster and breaker.key else ("PING",)

    def call_failed(
        self, error: BaseException, began: float, breaker: Breaker, key: object = None
    ) -> BaseException:
        """Do as `failed`, and have somebody try in the background where the breaker is open."""
        translated = self.failed(error, began, breaker, key)
        if not breaker.closed:
            self.seek(breaker)
        return translated

    def wait_failed(self, error: BaseException, began: float) -> BaseException:
        """Translate what ended a wait for the store, and inform its breaker; of a node it shows none."""
        return error if self.cluster else self.call_failed(error, began, self.breaker)

    def refuse(self) -> None:
        """Raise StoreUnavailable where the breaker is open, and nobody should try now."""
        if not self.breaker.admits(monotonic()):
            self.seek(self.breaker)
            raise refusal(self.breaker)

    def seek(self, breaker: Breaker) -> None:
        """Have somebody try in the background."""
        if breaker.seeker is None or not breaker.seeker.alive:
            try:
                breaker.seeker = self._prober(self, breaker)
            except RuntimeError:  # no more threads at the very end: a call tries instead
                breaker.seeker = None

    def rest(self) -> None:
        """Have nobody try any more."""
        for breaker in self.breakers:
            if breaker.seeker is not None:
                breaker.seeker.stop()

    translate = staticmethod(client_errors.translate)
    translating = staticmethod(client_errors.translating)


def refusal(breaker: Breaker) -> StoreUnavailable:
    """What is raised instead of a call while its breaker is open."""
    return StoreUnavailable(f"the breaker is open: {breaker.why}")


def answered(breaker: Breaker) -> None:
    """A call was answered."""
    if not breaker.ok:
        breaker.answered()


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
