"""Watches of either facade, read alike; and what must hold of what they told.

Owns no server: whoever asks gives the store.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import herenow
from tests.core.sides import Side, opened


class Reader:
    """A watch of a Presence or an AsyncPresence, read with a patience in seconds."""

    def __init__(self, events: Any, runner: asyncio.Runner | None) -> None:
        self.events, self._runner = events, runner
        if runner is not None:
            runner.run(events.__aenter__())
        self.last: herenow.Event | None = None

    def batch(self, seconds: float = 60) -> list[herenow.Event]:
        """What comes within so many seconds, as soon as anything does."""
        made = self.events.batch(seconds)
        batch: list[herenow.Event] = made if self._runner is None else self._runner.run(made)
        self.last = batch[-1] if batch else self.last
        return batch

    def take(self, count: int, seconds: float = 60) -> list[herenow.Event]:
        """So many events; fewer when they do not come."""
        events: list[herenow.Event] = []
        until = time.monotonic() + seconds
        while len(events) < count and (left := until - time.monotonic()) > 0:
            events += self.batch(left)
        return events

    def brief(self, count: int, seconds: float = 60) -> list[tuple[str, str | None]]:
        """The same, as type and user."""
        return [(one.type, one.user) for one in self.take(count, seconds)]

    def close(self) -> None:
        if self._runner is None:
            self.events.close()
        else:
            self._runner.run(self.events.aclose())


class Watching:
    """A facade that watches."""

    def __init__(self, side: Side) -> None:
        self.side = side

    def watch(self, *args: Any, room: str | None = None, **kwargs: Any) -> Reader:
        presence = self.side.presence if room is None else self.side.presence.room(room)
        return Reader(presence.watch(*args, **kwargs), self.side.runner)


@contextmanager
def watching(side: str, store: Any, **kwargs: Any) -> Iterator[Watching]:
    """A facade of one side that watches a store; closed in the end."""
    with opened(side, store, **kwargs) as made:
        yield Watching(made)


def apply(online: set[str], events: list[herenow.Event], presence: Any) -> None:
    """Follow events as a client would; joins and leaves of each user alternate."""
    for event in events:
        if event.type == "reset":
            assert event.snapshot is not None
            online.clear()
            online.update(one.user for one in event.snapshot.users)
            cursor = event.snapshot.next_page
            assert cursor is None, "more online than a reset brings"
        elif event.type == "join":
            assert event.user not in online, event
            online.add(str(event.user))
        elif event.type == "leave":
            assert event.user in online, event
            online.remove(str(event.user))
