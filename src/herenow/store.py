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
from time import monotonic
from types import ModuleType
from typing import Any, Final, Protocol

from herenow import breaker, forking
from herenow.errors import (
    StoreError,
    StoreTimeout,
    StoreUnavailable,
    TooManySessions,
    WindowTooLong,
)

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


class Store:
    """The store as this process sees it: its client, once open, and its breaker.

    Who gives the same ``shared`` key, not None, means the same store, and shares its breaker.
    """

    def __init__(self, connect: Callable[[], Connected], shared: object = None) -> None:
        self._connect = connect
        self.breaker = breaker.Breaker() if shared is None else breaker.shared(shared)
        self.watched = False
        self._refusals: dict[str, float] = {}
        self._asked: Any = None
        self._connected: Connected | None = None
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

    # calls, and how they end

    def begin(self, call: object = None) -> float:
        """Begin a call, or raise StoreUnavailable at once where the breaker is open; the moment.

        A ``call`` that is named is watched where the client may let it wait for long: it should be a
        short one. `end` it then.
        """
        now = monotonic()
        if self.watched:
            self.breaker.notice(now)
        if not self.breaker.closed and not self.breaker.admit(now):
            raise self.refusal
        if self.watched and call is not None:
            self.breaker.watch(call, now)
        return now

    def end(self, call: object) -> None:
        """A call that was named ended."""
        self.breaker.unwatch(call)

    @property
    def refusal(self) -> StoreUnavailable:
        """What is raised instead of a call while the breaker is open."""
        return StoreUnavailable(f"the breaker is open: {self.breaker.why}")

    def failed(self, error: BaseException, began: float, key: object = None) -> BaseException:
        """Translate what ended a call that asked for ``key``, and tell the breaker."""
        if not isinstance(error, Exception):  # cancelled, or the program ends
            self.breaker.interrupted(began)
            return error
        translated = self.translate(error)
        if self._forbidden(error):
            self.answered()
        elif isinstance(translated, StoreUnavailable | StoreTimeout):
            self._asked = key or self._asked
            self.breaker.failed(began, monotonic(), str(translated))
        elif translated is not error:
            self._refused(translated, monotonic())
            self.answered()
        else:
            self.breaker.interrupted(began)
        return translated

    def _refused(self, refusal: Exception, now: float) -> None:
        """Log a refusal, once while there are such: buffered marks wait for its end in silence."""
        if isinstance(refusal, StoreError):
            what = str(refusal)
            if now - self._refusals.get(what, -_AGAIN) >= _AGAIN:
                _log.warning("%s", what)
            if len(self._refusals) >= _KINDS:
                self._refusals.clear()
            self._refusals[what] = now

    def answered(self) -> None:
        """A call was answered."""
        if not self.breaker.ok:
            self.breaker.answered()

    def probe_command(self) -> tuple[Any, ...]:
        """What asks whether the store answers: in a cluster the node that did not."""
        return ("EXISTS", self._asked) if self.cluster and self._asked else ("PING",)

    def probe(self) -> None:
        """Try whether the store answers, and tell the breaker."""
        began = monotonic()
        try:
            self.open().execute_command(*self.probe_command())
        except BaseException as error:  # noqa: BLE001 - of a thread of ours
            self.failed(error, began)
        else:
            self.answered()

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
        away = isinstance(error, OSError) or said.startswith(_AWAY)
        if away or any(self._is(error, one) for one in _AWAY_CLASSES):
            return StoreUnavailable(f"the store is not available: {said}")
        if self._is(error, "RedisError"):
            return StoreError(f"the store refused: {said}")
        return error

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
