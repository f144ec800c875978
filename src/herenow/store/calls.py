"""One round trip: its breaker is asked before, and informed after; and how a store does, all in all.

The same for threads and for asyncio: it does no I/O. What is a failure, `store` knows; what follows from
one, `breaker`.
"""

from collections.abc import Sequence
from time import monotonic
from types import TracebackType
from typing import Any, Self

from herenow.errors import StoreError, StoreTimeout, StoreUnavailable
from herenow.models import Health
from herenow.operations import Operation, Outcome
from herenow.store import client_errors
from herenow.store.store import Store, answered


class Call:
    """One round trip: it asks the breaker, informs it, and raises our errors instead of the client's."""

    __slots__ = ("_breaker", "_key", "_store", "_watched", "began", "proves")

    def __init__(
        self,
        store: Store,
        key: object = None,
        *,
        watched: bool = False,
        node: str | None = None,
    ) -> None:
        self._store = store
        self._key = key
        self._watched = watched
        self.proves = True
        """Whether its end, without an error, proves that the store answers."""
        if node is not None:
            self._breaker = store.node_breaker(node)
        else:
            self._breaker = store.breaker_of(key) if store.cluster and key else store.breaker

    def __enter__(self) -> Self:
        store, breaker = self._store, self._breaker
        if breaker.closed and not store.watched:  # as nearly always: no more than that
            self.began = monotonic()
            return self
        try:
            self.began = store.begin(breaker, self if self._watched else None)
        except StoreError:
            store.seek(breaker)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        breaker = self._breaker
        if self._watched and self._store.watched:
            breaker.unwatch(self)
        if error is not None:
            translated = self._store.call_failed(error, self.began, breaker, self._key)
            if translated is not error:
                raise translated from error
        elif not breaker.ok:
            if self.proves:
                answered(breaker)
            else:
                breaker.interrupted(self.began)  # it was no answer, and is no try any more

    def moves(self, error: BaseException) -> bool:
        """Whether a call that was not answered belongs to another node by now, as after a failover.

        It is that one's from here on, and may be sent again: what the old one did, if anything, is lost.
        """
        store = self._store
        if not (store.cluster and client_errors.lost(error)):
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
        translated = self._store.call_failed(reply, self.began, self._breaker, key)
        self.proves = self.proves and not isinstance(translated, StoreUnavailable | StoreTimeout)
        return translated


def health_of(store: Store, nodes: Sequence[Any], taken: Sequence[float], dropped: int) -> Health:
    """Say how a store does: of its nodes (None: itself) some answered a PING, in so many seconds."""
    ok = 0 < len(taken) == len(nodes)
    breakers = [store.breaker, *(store.node_breaker(one.name) for one in nodes if one is not None)]
    bad = [one for one in breakers if not one.ok]
    worst = min(bad, key=lambda one: (one.closed, one.since), default=None)
    since = max(one.since for one in breakers) if worst is None else worst.since
    state = "closed" if worst is None else worst.state
    return Health(ok, since, max(taken) if ok else None, dropped, state)
