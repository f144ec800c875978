# Generated from watching/aio_watchers.py by `make generate`: change that one.
"""Who reads a room's events, and what serves them: one that looks at rooms while anybody watches.

Written once, for asyncio, in ``aio_watchers.py``; ``watchers.py`` is generated from that, for threads
(`make generate`). What is different there is in `tasks` and `threads`. What is read and to whom it
goes is the `Hub`'s; connections are the `doorbells`'.
"""

import logging
import time
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from herenow.errors import StoreError
from herenow.models import Event
from herenow.operations.events import Place
from herenow.operations.scope import Scope
from herenow.outbox.outbox import Outbox
from herenow.store.engine import Engine
from herenow.store.threads import Flag, Lock, Task, ended, runs, start
from herenow.watching import Hub, Watch, threads
from herenow.watching.doorbells import Doorbells

_log: Final = logging.getLogger("herenow")


class Events:
    """The events of a room, one after the other, until `aclose`: an iterator, and a context manager.

    Nothing is lost by a cancellation. The store being unavailable makes it wait, never raise.
    """

    def __init__(self, watchers: "Watchers", watch: Watch) -> None:
        self._watchers = watchers
        self._watch = watch
        self._batch: list[Event] = []
        self._at = 0
        self._here: object = None
        self.start_anew()

    def start_anew(self) -> None:
        """Have a flag of its own: what a forked child needs."""
        self._ready = Flag()
        self._watch.notify = self._ready.set

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while self._at >= len(self._batch):
            if self._watch.closed:
                raise StopIteration
            self._batch, self._at = self.batch(), 0
        event = self._batch[self._at]
        self._at += 1
        return event

    def batch(self, seconds: float | None = None) -> list[Event]:
        """All that came together, oldest first; none: nothing did in ``seconds``, or it has ended.

        The list may be another watch's too: do not change it.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            self._ready.clear()
            batch = self._watch.take()
            if batch or self._watch.closed:
                return batch
            self.attach()
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return []
            self._watchers.hub.ask(self._watch)
            self._ready.wait(left)

    def take(self) -> list[Event]:
        """The oldest batch that waits, at once; empty for none."""
        return self._watch.take()

    @property
    def place(self) -> Place | None:
        """Where it is once all that waits is taken; None before it has begun, or while it starts over."""
        watch = self._watch
        return watch.place if watch.started and not watch.lost else None

    def attach(self) -> None:
        """Have it served here, from the first time on; elsewhere (another loop) it ends."""
        here = threads.here()
        if self._here is None:
            self._here = here
            self._watchers.attach(self, self._watch)
        elif here is not self._here:
            self._watch.closed = True
            self._ready.set()
        self._watchers.run()

    def begin(self, seconds: float | None = None) -> None:
        """Wait until nothing that happens from now on is missed, or so long."""
        until = None if seconds is None else time.monotonic() + seconds
        while not (self._watch.started or self._watch.closed):
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            self._ready.wait(left)
            self._ready.clear()

    def close(self) -> None:
        """End it: whoever waits for an event is let go."""
        self.end()
        if self._watchers.hub.idle:
            threads.left(self._watchers.keeper)

    def end(self) -> None:
        """End it, and wait for nothing."""
        self._watch.closed = True
        self._watchers.hub.detach(self._watch)
        self._ready.set()

    def __enter__(self) -> Self:
        self.attach()
        threads.entered(self.begin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # by any thread, which may hold any of our locks, or while the program ends: it takes none
        if hasattr(self, "_ready") and not self._watch.closed:
            self._watch.closed = True
            hub = self._watchers.hub
            hub.dropped.append(self._watch)
            threads.from_anywhere(self._here, hub.wake)


class Watchers:
    """All watches of one presence, and what serves them."""

    def __init__(self, core: Outbox, engine: Engine) -> None:
        self._engine = engine
        self.hub = Hub(core.rooms, own_clock=core.scopes.clock is not None, clock=core.now)
        self._all: weakref.WeakSet[Events] = weakref.WeakSet()
        self._here = threads.here()
        self.start_anew()
        threads.survive_forks(self)

    def start_anew(self) -> None:
        """Have nothing run and no lines: in a forked child they are the parent's, or a loop is over."""
        self._lock = Lock()
        self._wake = Flag()
        self.keeper: Task | None = None
        self._doorbells: Doorbells | None = None
        self.hub.start_anew()
        self.hub.wake = self._wake.set
        for events in list(self._all):
            events.start_anew()

    def watch(
        self, scope: Scope, after: object, users: Iterable[object] | None, *, include_hidden: bool
    ) -> Events:
        """Begin to watch a room; where no loop runs yet, when it is read."""
        events = Events(self, Watch(scope, after, users, include_hidden=include_hidden))
        if threads.here() is not None:
            events.attach()
            threads.made(events.begin)
        return events

    def attach(self, events: Events, watch: Watch) -> None:
        """Take a watch in; what a loop that is over left behind is let go."""
        here = threads.here()
        if here is not self._here:
            self._here = here
            for other in list(self._all):
                other.end()
            self._all.clear()
            self.start_anew()
        self._all.add(events)
        self.hub.attach(watch)

    def close(self) -> None:
        """End every watch."""
        for events in list(self._all):
            events.end()
        if self.hub.idle:
            ended(self.keeper)

    def run(self) -> None:
        """Have somebody look at the rooms, while anybody watches."""
        with self._lock:
            doorbells = self._doorbells
            served = doorbells is not None and not doorbells.closed and runs(self.keeper)
            if not served and not self.hub.idle:
                doorbells = Doorbells(self.hub, self._engine, self._wake)
                self.keeper = start("herenow-watch", self._keep, doorbells)
                self._doorbells = doorbells

    def _over(self, doorbells: Doorbells) -> bool:
        """Whether nobody watches any more: who comes from here on is served by another."""
        with self._lock:
            doorbells.closed = self.hub.idle
            return doorbells.closed

    def _keep(self, doorbells: Doorbells) -> None:
        hub = self.hub
        try:
            while not self._over(doorbells):
                doorbells.connect()
                feeds = hub.due()
                if not feeds:
                    self._wake.wait(min(hub.seconds(), doorbells.seconds()))
                    self._wake.clear()
                    continue
                try:
                    self._engine.run(hub.look(feeds))
                except StoreError as error:
                    _log.debug("watching waits for the store: %s", error)
                    hub.failed(feeds)
                except Exception:  # noqa: BLE001 - one failure must not end all watches
                    _log.exception("watching failed, and goes on")
                    hub.failed(feeds)
        finally:
            doorbells.close()
