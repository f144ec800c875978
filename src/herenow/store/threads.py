"""Where threads differ from asyncio, for what is written once; see `tasks`, which has the same names.

A sync client serves all threads, and a cluster's knows its nodes from the first moment on.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from herenow.store import client_errors
from herenow.store.breaker import Breaker
from herenow.store.finalizing import Flag
from herenow.store.store import Store

__all__ = [
    "Flag",
    "Lock",
    "Probe",
    "Prober",
    "Task",
    "abandon_elsewhere",
    "ended",
    "learn",
    "learn_anew",
    "opened",
    "pipelined",
    "runs",
    "start",
    "together",
    "unready",
]


def opened(store: Store) -> Any:
    """The client, opened if it was not."""
    return store.open()


def unready(store: Store) -> bool:
    """Whether it is to be opened."""
    return store.opened is None


def learn(_client: Any) -> None:
    """Do nothing: a cluster's client that is made knows which node is to be asked for what."""


def learn_anew(_store: Store) -> None:
    """Do nothing: a cluster's client asked who serves what when a call failed."""


together = list
"""Makes calls one after the other."""


def pipelined(store: Store, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Send commands, of one node, in one round trip; errors are among the replies."""
    client = store.open()
    if not store.cluster:
        return _piped(client, commands)
    # of one node: the library's own asks again for each command that a hung one leaves unanswered
    try:
        replies = _piped(store.client_of(commands[0][3]), commands)
    except Exception as error:
        if client_errors.lost(error):
            client.nodes_manager.initialize()
        raise
    return [
        _redirected(store, command) if client_errors.redirects(reply) else reply
        for command, reply in zip(commands, replies, strict=True)
    ]


def _piped(client: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute(raise_on_error=False))


def _redirected(store: Store, command: tuple[Any, ...]) -> Any:
    try:
        return store.execute(*command)
    except Exception as error:  # noqa: BLE001 - one of several replies
        return error


def abandon_elsewhere(_store: Store) -> None:
    """Do nothing: any thread may close a client."""


Lock = threading.Lock
Task: TypeAlias = threading.Thread


def start(name: str, method: Callable[..., None], *arguments: Any) -> Task:
    """Have a method run by a daemon thread, until it ends or the program does."""
    thread = threading.Thread(target=method, args=arguments, name=name, daemon=True)
    thread.start()
    return thread


def runs(thread: Task | None) -> bool:
    """Whether it has not ended yet."""
    return thread is not None and thread.is_alive()


def ended(thread: Task | None) -> None:
    """Wait for the end of a thread, but for one's own."""
    if thread is not None and thread is not threading.current_thread():
        thread.join()


Probe: TypeAlias = Callable[["weakref.ref[Store]", Breaker, Flag], None]


class Prober:
    """A daemon thread that tries while a breaker is open; it does not keep alive the store it tries."""

    def __init__(self, probe: Probe, store: Store, breaker: Breaker) -> None:
        self._ended = ended = Flag()
        self._thread = threading.Thread(
            target=probe,
            args=(weakref.ref(store, lambda _: ended.set()), breaker, ended),
            name="herenow-probe",
            daemon=True,
        )
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still tries."""
        return self._thread.is_alive() and not self._ended.is_set()

    def stop(self) -> None:
        """Have it end; a try under way is not waited for."""
        self._ended.set()
