"""Opening: from the URL or client that a Presence was given to what connects, and its shared breaker."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from herenow.store.clients import Connection, connect, connect_async
from herenow.store.given import check_client, client_timeout, name_of
from herenow.store.urls import check_url, is_temporary, shown

_log: Final = logging.getLogger("herenow")


@dataclass(frozen=True)
class Opener:
    """What opens a store, and what the log calls that."""

    name: str
    connect: Callable[[], Any]

    def __call__(self) -> Any:
        """Open it."""
        return self.connect()


def opener(store: object, seconds: float, *, asynchronous: bool) -> Opener:
    """Check a URL or a client, and give what opens it."""
    if isinstance(store, str):
        check_url(store)
        make = connect_async if asynchronous else connect
        return Opener(shown(store), lambda: make(store, timeout=seconds))
    check_client(store, asynchronous=asynchronous)
    _warn_of_a_slow_client(client_timeout(store))
    return Opener(name_of(store), lambda: Connection(store, handed_in=True))


def same_store(store: object, *how: object) -> object:
    """What shows whether two Presences of this process ask the same store, the same way.

    None for a store that is nobody else's.
    """
    if isinstance(store, str):
        return None if is_temporary(store) else (store, *how)
    return (id(store), *how)  # whoever shares its breaker keeps the client


@cache  # once for each figure, not for each Presence
def _warn_of_a_slow_client(seconds: float | None) -> None:
    if seconds is None or seconds > 1:
        _log.warning(
            "with this client a hung store costs a call %s; give it a shorter socket_timeout, no retries",
            "for ever" if seconds is None else f"up to {seconds:g} s",
        )
