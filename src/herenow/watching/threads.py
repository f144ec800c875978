"""Watching by threads: one that keeps the rooms' watches told, one a node that listens to doorbells.

Both run only while anybody watches, and are daemons. The rules are `watching`'s; for asyncio's, see
`aio_watchers`. In a forked child the threads are started anew, and a watch goes on from its place.
"""

import logging
import threading
import time
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

from herenow import store
from herenow.errors import StoreError
from herenow.models import Event
from herenow.operations import text
from herenow.operations.events import read_bell
from herenow.operations.scope import Scope
from herenow.outbox.outbox import Outbox
from herenow.store import forking
from herenow.store.engine import Engine
from herenow.store.finalizing import Flag, weakly
from herenow.watching import Hub, Switchboard, Watch

_log: Final = logging.getLogger("herenow")
PING_EVERY: Final = 5.0
"""Seconds of silence after which a line is tried; as long again, and it is given up."""
_BEGIN_WITHIN: Final = 1.0


class Events:
    """The events of a room, one after the other, until `close`: an iterator, and a context manager.

    It begins when it is made. The store being away makes it wait, never raise.
    """

    def __init__(self, watchers: "Watchers", watch: Watch) -> None:
        self._watchers = watchers
        self._watch = watch
        self._batch: list[Event] = []
        self._at = 0
        self.start_anew()

    def start_anew(self) -> None:
        """Have a bell of its own."""
        self._told = threading.Event()
        self._watch.tell = self._told.set

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
        """All that came together, oldest first; none: nothing did in ``seconds``, or it has ended."""
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            self._told.clear()
            batch = self._watch.take()
            left = None if until is None else until - time.monotonic()
            if batch or self._watch.closed or (left is not None and left <= 0):
                return batch
            self._watchers.hub.ask(self._watch)
            self._watchers.run()
            self._told.wait(left)

    def begin(self) -> None:
        """Wait for the beginning, but not long for a store that is away."""
        until = time.monotonic() + _BEGIN_WITHIN
        while not self._watch.started and (left := until - time.monotonic()) > 0:
            self._told.wait(left)
            self._told.clear()

    def close(self) -> None:
        """End it: whoever waits for an event is let go."""
        self._watch.closed = True
        self._watchers.hub.detach(self._watch)
        self._told.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # by a thread that may hold any of our locks, or while the program ends: it takes none
        if hasattr(self, "_told") and not self._watch.closed:
            self._watch.closed = True
            hub = self._watchers.hub
            hub.dropped.append(self._watch)
            hub.wake()


class Watchers:
    """All watches of one Presence, and the threads that serve them."""

    def __init__(self, core: Outbox, engine: Engine) -> None:
        self._engine = engine
        self.hub = Hub(core.rooms, own_clock=core.scopes.clock is not None, clock=core.now)
        self._all: weakref.WeakSet[Events] = weakref.WeakSet()
        self.start_anew()
        forking.register(self)

    def start_anew(self) -> None:
        """Have no threads and no lines: in a forked child they are the parent's."""
        self._lock = threading.Lock()
        self._wake = Flag()
        self._keeper: threading.Thread | None = None
        self._lines: dict[str, _Line] = {}
        self._board = Switchboard()
        self.hub.start_anew()
        self.hub.wake = self._wake.set
        self.hub.heard = weakly(self._heard, 0.0)
        self.hub.doubt = weakly(self._doubt, None)
        for events in list(self._all):
            events.start_anew()

    def watch(
        self, scope: Scope, after: object, users: Iterable[object] | None, *, include_hidden: bool
    ) -> Events:
        """Begin to watch a room."""
        watch = Watch(scope, after, users, include_hidden=include_hidden)
        events = Events(self, watch)
        self._all.add(events)
        self.hub.attach(watch)
        self.run()
        events.begin()
        return events

    def close(self) -> None:
        """End every watch."""
        for events in list(self._all):
            events.close()
        keeper = self._keeper
        if keeper is not None and keeper is not threading.current_thread():
            keeper.join()

    def run(self) -> None:
        """Have the keeper run."""
        with self._lock:
            if self._keeper is None and not self.hub.idle:
                self._keeper = threading.Thread(
                    target=self._keep, name="herenow-watch", daemon=True
                )
                self._keeper.start()

    def _keep(self) -> None:
        hub = self.hub
        lines: dict[str, _Line] = {}
        while True:
            with self._lock:
                if hub.idle:
                    self._keeper = None
                    lines, self._lines = self._lines, {}
                    self._board = Switchboard()
                    break
            self._connect()
            feeds = hub.due()
            if not feeds:
                self._wake.wait(min(hub.seconds(), self._board.seconds()))
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
        for line in lines.values():
            line.close()

    def _connect(self) -> None:
        """Have every room's bell listened to, on the line to its node."""
        board = self._board
        for channel in board.unwanted(self.hub.channels):
            for line in self._lines.values():
                line.drop(channel)
        for name in [name for name, line in self._lines.items() if line.empty]:
            self._lines.pop(name).close()
        wanted = board.take()
        if not wanted:
            return
        try:
            client = self._engine.client
            if board.stale and (nodes := getattr(client, "nodes_manager", None)) is not None:
                nodes.initialize()
            board.stale = False
            for channel in wanted:
                node = store.node_of(client, channel)
                with self._lock:
                    if node.name not in self._lines:
                        self._lines[node.name] = _Line(self, node)
                    line = self._lines[node.name]
                if not line.add(channel):  # it has just ended
                    board.lost([channel], stale=True)
        except Exception as error:  # noqa: BLE001 - whatever a client library raises for a store that is away
            _log.debug("a doorbell waits for the store: %s", error)
            self.hub.missed(wanted)
            board.lost(wanted)

    def _heard(self, channel: bytes) -> float:
        lines = [line.heard for line in list(self._lines.values()) if line.has(channel)]
        return max(lines, default=0.0)

    def _doubt(self, channel: bytes) -> None:
        for line in list(self._lines.values()):
            if line.has(channel):
                line.ping()

    def heard(self, line: "_Line", message: Any) -> None:
        """Take what a line heard: whatever it is, the store is there."""
        silent = self.hub.back(line.has)
        if silent:
            self._engine.store.hasten(silent[0])  # a line is one node's
            self.hub.retry(silent)
        if isinstance(message, list) and len(message) == 3:  # noqa: PLR2004 - what, channel, payload
            what, channel, payload = text(message[0]), message[1], message[2]
            if what in ("smessage", "message"):
                self.hub.ring(channel, read_bell(payload))
            elif what in ("ssubscribe", "subscribe"):
                self._board.connected()
                self.hub.ring(channel)
            elif what == "sunsubscribe" and line.drop(channel, gone=True):
                self._board.lost([channel], stale=True)  # its slot moved away
                self._wake.set()

    def hung_up(self, line: "_Line", channels: Iterable[bytes], error: Exception) -> None:
        """Take the end of a line; its rooms want another."""
        with self._lock:
            if self._lines.get(line.node.name) is not line:
                return
            del self._lines[line.node.name]
            self.hub.missed(channels, line.heard)
            self._board.failed(channels, error, self.hub)
        self._wake.set()

    @property
    def verb(self) -> str:
        """How to subscribe."""
        return self._board.verb


class _Line:
    """A connection to one node, and the thread that listens there. It lives as long as the connection."""

    def __init__(self, watchers: Watchers, node: store.Node) -> None:
        self.node = node
        self._watchers = watchers
        self._channels: dict[bytes, None] = {}
        self._lock = threading.Lock()
        self._connection: Any = None
        self._closed = False
        self._ended = False
        self.heard = 0.0
        """When anything was heard, by `time.monotonic`."""
        self._thread = threading.Thread(target=self._listen, name="herenow-doorbell", daemon=True)
        self._thread.start()

    @property
    def empty(self) -> bool:
        """Whether no room is listened to."""
        return not self._channels

    def has(self, channel: bytes) -> bool:
        """Whether this room is listened to."""
        return channel in self._channels

    def ping(self) -> None:
        """Have the store say something as soon as it can."""
        with self._lock:
            self._say("PING")

    def add(self, channel: bytes) -> bool:
        """Listen to a room's bell; False where the line has ended, and listens to nothing."""
        with self._lock:
            if self._ended:
                return False
            self._channels[channel] = None
            self._say(self._watchers.verb, channel)
            return True

    def drop(self, channel: bytes, *, gone: bool = False) -> bool:
        """Listen to it no more; whether it was listened to."""
        with self._lock:
            if channel not in self._channels:
                return False
            del self._channels[channel]
            if not gone:
                self._say(self._watchers.verb.replace("SUB", "UNSUB"), channel)
            return True

    def _say(self, *command: Any) -> None:
        if self._connection is not None:
            try:
                self._connection.send_command(*command, check_health=False)
            except Exception as error:  # noqa: BLE001 - the listener sees it too
                _log.debug("a doorbell's line broke: %s", error)

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.disconnect()

    def _listen(self) -> None:
        line = None
        try:
            line = self.node.line()
            line.connect()
            with self._lock:
                self._connection = line
                for channel in self._channels:
                    self._say(self._watchers.verb, channel)
            silent = False
            while not self._closed:
                if line.can_read(timeout=PING_EVERY):
                    silent, self.heard = False, time.monotonic()
                    self._watchers.heard(self, line.read_response())
                elif silent:
                    raise TimeoutError("no PONG")
                else:
                    silent = True
                    with self._lock:
                        line.send_command("PING", check_health=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the keeper makes another line
            with self._lock:  # from here on nobody speaks on it: that would connect it again
                self._ended, self._connection = True, None
            if not self._closed:
                self._watchers.hung_up(self, list(self._channels), error)
        finally:
            if line is not None:
                line.disconnect()
