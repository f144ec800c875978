"""Both facades called alike, and what a store holds, to be compared.

Owns no server: whoever asks gives the store.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import herenow
from herenow.names import KINDS
from herenow.outbox.deferred import Deferred
from herenow.outbox.port import AsyncPort, Port

SIDES = ("sync", "async")


class Side:
    """A Presence, or an AsyncPresence and the loop to run it in: both are called as the former."""

    def __init__(self, presence: Any, runner: asyncio.Runner | None = None) -> None:
        self.presence, self.runner = presence, runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.presence, name)
        if self.runner is None or not inspect.ismethod(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return self.wait(found(*args, **kwargs))

        return call

    def wait(self, result: Any) -> Any:
        """What a method gives, or would once awaited."""
        if self.runner is None or not inspect.isawaitable(result):
            return result
        return self.runner.run(_awaited(result))

    def room(self, name: Any, window: Any = None) -> "Side":
        return Side(self.presence.room(name, window), self.runner)

    @property
    def port(self) -> "Side":
        """What adapters call, called alike."""
        make = Port if self.runner is None else AsyncPort
        return Side(make(self.presence), self.runner)

    def link(self, user: Any, room: Any, replaces: Any = None) -> None:
        """Mark a user in another room, as what they are in this one."""
        self.port.defer(Deferred(user, None, replaces, self.name), room)

    @contextmanager
    def session(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        held = self.presence.session(*args, **kwargs)
        if self.runner is None:
            with held as session:
                yield session
            return
        session = self.wait(held.__aenter__())
        try:
            yield Side(session, self.runner)
        finally:
            self.wait(held.__aexit__(None, None, None))


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


@contextmanager
def opened(side: str, store: Any, **kwargs: Any) -> Iterator[Side]:
    """A facade on a store, a URL or a client, or what makes one; closed in the end."""
    if side == "sync":
        with herenow.Presence(store, **kwargs) as presence:
            yield Side(presence)
        return
    with asyncio.Runner() as runner:
        awaiting = herenow.AsyncPresence(store, **kwargs)
        try:
            yield Side(awaiting, runner)
        finally:
            runner.run(awaiting.aclose())


def enter(make: Callable[[], Any]) -> Any:
    """Enter a session, and leave it at once: its name."""
    with make() as held:
        return held.name


def contents(*clients: Any) -> dict[bytes, bytes]:
    """All that is stored, byte for byte; times to live aside."""
    stored: dict[bytes, bytes] = {}
    for client in clients:
        keys = sorted(client.scan_iter(count=1000))
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.dump(key)
            stored |= dict(zip(keys, pipeline.execute(), strict=True))
    return stored


def assert_whole(client: Any) -> None:
    """Whoever is online has joined and not left, and nobody else."""
    online = {
        user
        for kind in KINDS
        for user in client.zrangebyscore(f"herenow:{{site}}:online:{kind}", 0, 4e15)
    }
    told: dict[bytes, bool] = {}
    for _, fields in client.xrange("herenow:{site}:events"):
        for record in fields[b"events"].split(b"\n"):
            what, user = record.split(b"\t")[:2]
            if what[:1] in b"jlt":
                assert told.get(user, False) is (what[:1] != b"j"), record
                told[user] = what[:1] == b"j"
    assert {user for user, there in told.items() if there} == online
