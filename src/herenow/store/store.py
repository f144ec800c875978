"""The store as one process sees it: its client, and what goes wrong with it.

Opens the connection at the first use, never before: after a fork, not in front of it. Turns whatever the
client library raises into herenow's errors, and tells the breaker, which all that ask the same store
share, how calls began and ended. Knows nothing of operations.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from types import ModuleType
from typing import Any, Final, Protocol

from herenow.errors import (
    StoreError,
    StoreTimeout,
    StoreUnavailable,
    TooManySessions,
    WindowTooLong,
)
from herenow.store import finalizing, forking
from herenow.store.breaker import Breaker, shared_breaker

_log: Final = logging.getLogger("herenow")
_AGAIN: Final = 60.0
_KINDS: Final = 100
_OUR_RULE: Final = "HERENOW "
# redis-py makes a class of some of these words, and takes them out of what is said
_AWAY_CLASSES: Final = (
    "ConnectionError",
    "RedisClusterException",
    "ClusterDownError",
    "MasterDownError",
)
_AWAY: Final = ("LOADING", "CLUSTERDOWN", "MASTERDOWN")
_ELSEWHERE: Final = ("MovedError", "AskError", "TryAgainError")
_SHUT_CLASSES: Final = ("NoPermissionError", "AuthenticationError")
_SHUT: Final = ("NOAUTH", "WRONGPASS", "NOPERM")


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

    def drop(self, loop: Any) -> None:
        """Close a client that nobody uses any more, an async one in its loop."""


class Opener(Protocol):
    """What opens the connection."""

    @property
    def name(self) -> str:
        """What the log calls the store."""

    def __call__(self) -> Connected:
        """Open it. May block, and raise."""


class Store:
    """The store as this process sees it: its client, once open, and its breakers.

    ``breaker`` is the one of the store; of a cluster, it tells of the connecting alone, and each node has
    one of its own: a bad one is no reason to refuse the others' rooms. Who gives the same ``shared`` key,
    not None, means the same store, and shares its breakers.
    """

    def __init__(self, connect: Opener, shared: object = None) -> None:
        self._connect = connect
        self._shared = shared
        self.name = connect.name
        self.breaker = self._breaker(shared, self.name)
        self._nodes: dict[str, Breaker] = {}
        self.watched = False
        self._refusals: dict[str, float] = {}
        self._connected: Connected | None = None
        self._closing: Any = None
        self.loop: Any = None  # where an async client is used, and closed
        self._failed: tuple[float, Exception] | None = None
        self.start_anew()
        forking.register(self)
        self._errors: Any = None
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
        self._errors = opened.exceptions
        self.cluster = opened.cluster
        self.watched = opened.handed_in
        self.execute = opened.client.execute_command
        if not (opened.cluster or opened.handed_in):
            self.execute = _straight(opened.client)
        if not opened.handed_in:
            self._closing = finalizing.close_when_dropped(self, partial(opened.drop, self.loop))
        return opened

    def take(self) -> Connected | None:
        """Let go of the connection, to close it."""
        connected, self._connected = self._connected, None
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

    def hasten(self) -> None:
        """Let the next call try, whatever it asks: it may be the last chance to send what waits."""
        for one in self.breakers:
            one.hasten()

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
        """Translate what ended a call that asked for ``key``, and tell its breaker."""
        if not isinstance(error, Exception):  # cancelled, or the program ends
            breaker.interrupted(began)
            return error
        translated = self.translate(error)
        if self._forbidden(error):
            answered(breaker)
        elif isinstance(translated, StoreUnavailable | StoreTimeout):
            breaker.key = key or breaker.key
            breaker.failed(began, monotonic(), str(translated))
        elif translated is not error:
            self._refused(translated, monotonic())
            answered(breaker)
        else:
            breaker.interrupted(began)
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

    def probe(self, breaker: Breaker) -> None:
        """Try whether the store answers, and tell the breaker."""
        began = monotonic()
        try:
            self.open().execute_command(*self.probe_command(breaker))
        except BaseException as error:  # noqa: BLE001 - of a thread of ours
            self.failed(error, began, breaker)
        else:
            answered(breaker)

    # errors

    def lacks_script(self, error: Exception) -> bool:
        """Whether the store has not got the script."""
        return str(error).startswith("NOSCRIPT") or type(error).__name__ == "NoScriptError"

    def translate(self, error: Exception) -> Exception:
        """Turn what a client library raised into one of our errors; others stay as they are."""
        if isinstance(error, StoreError | ValueError) and not self._is(error, "RedisError"):
            return error
        said = str(error)
        if _OUR_RULE in said:
            rule = said.partition(_OUR_RULE)[2]
            return (TooManySessions if rule.endswith("sessions") else WindowTooLong)(rule)
        if self._is(error, "TimeoutError") or isinstance(error, TimeoutError):
            return StoreTimeout(f"the store did not answer in time: {said}")
        if self._shut_out(error) or self._shut_out(error.__cause__ or error.__context__):
            return StoreUnavailable(f"the store does not let us in: {said}")
        return self._unavailable(error) or (
            StoreError(f"the store refused: {said}") if self._is(error, "RedisError") else error
        )

    def _shut_out(self, error: BaseException | None) -> bool:
        if not isinstance(error, Exception):
            return False
        return str(error).startswith(_SHUT) or any(self._is(error, one) for one in _SHUT_CLASSES)

    def _unavailable(self, error: Exception) -> StoreUnavailable | None:
        said = str(error)
        away = isinstance(error, OSError) or said.startswith(_AWAY)
        if away or any(self._is(error, one) for one in _AWAY_CLASSES):
            return StoreUnavailable(f"the store is not available: {said}")
        return None

    def redirects(self, reply: Any) -> bool:
        """Whether a node of a cluster replied that another one is to be asked, or later."""
        return isinstance(reply, Exception) and any(self._is(reply, one) for one in _ELSEWHERE)

    def lost(self, error: BaseException) -> bool:
        """Whether it ended a call that was not answered."""
        if not isinstance(error, Exception) or self._forbidden(error):
            return False
        return isinstance(self.translate(error), StoreUnavailable | StoreTimeout)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Have what a client raises be one of our errors: for commands that are no operations."""
        try:
            yield
        except Exception as error:
            translated = self.translate(error)
            if translated is error:
                raise
            raise translated from error

    def _forbidden(self, error: Exception) -> bool:
        """Whether it answered that this user may not; others of its commands he may."""
        return str(error).startswith("NOPERM") or self._is(error, "NoPermissionError")

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
