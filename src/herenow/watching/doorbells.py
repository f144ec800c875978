# Generated from watching/aio_doorbells.py by `make generate`: change that one.
"""The doorbells' lines: a connection to each node of the store, on which the rooms there ring.

Written once, for asyncio, in ``aio_doorbells.py``; ``doorbells.py`` is generated from that, for threads
(`make generate`). Owns the lines, and what listens there. Which doorbells are to be connected, and when
again, the `Switchboard` says; what a ring means, the `Hub`.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any, Final

from herenow.operations import text
from herenow.operations.events import read_bell
from herenow.store import Node, node_of
from herenow.store.engine import Engine
from herenow.store.finalizing import weakly
from herenow.store.threads import Flag, Lock, start
from herenow.watching import Hub, Switchboard, threads

_log: Final = logging.getLogger("herenow")
PING_EVERY: Final = 5.0
"""Seconds of silence after which a line is tried; as long again, and it is given up."""


class Doorbells:
    """The lines to the nodes, for as long as anybody watches."""

    def __init__(self, hub: Hub, engine: Engine, wake: Flag) -> None:
        self._hub = hub
        self._engine = engine
        self._wake = wake
        self._lock = Lock()
        self._lines: dict[str, _Line] = {}
        self._board = Switchboard()
        self.closed = False
        hub.heard = weakly(self._heard_at, 0.0)
        hub.doubt = weakly(self._doubt, None)

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        with self._lock:
            lines, self._lines = self._lines, {}
        for line in lines.values():
            line.hang_up()
        for line in lines.values():
            threads.left(line.task)

    def seconds(self) -> float:
        """How long until some are to be connected."""
        return self._board.seconds()

    def connect(self) -> None:
        """Have every room's bell listened to, on the line to its node."""
        board = self._board
        for channel in board.unwanted(self._hub.channels):
            for line in list(self._lines.values()):
                line.drop(channel)
        for name in [name for name, line in list(self._lines.items()) if line.empty]:
            self._lines.pop(name).hang_up()
        wanted = board.take()
        if not wanted:
            return
        try:
            client = threads.client_of(self._engine, anew=board.stale)
            board.stale = False
            for channel in wanted:
                node = node_of(client, channel)
                with self._lock:
                    if node.name not in self._lines:
                        self._lines[node.name] = _Line(self, node)
                    line = self._lines[node.name]
                if not line.add(channel):  # it has just ended
                    board.lost([channel], stale=True)
        except Exception as error:  # noqa: BLE001 - whatever a client library raises for a store that is unavailable
            _log.debug("a doorbell waits for the store: %s", error)
            self._hub.missed(wanted)
            board.lost(wanted)

    def _heard_at(self, channel: bytes) -> float:
        lines = [line.heard for line in list(self._lines.values()) if line.has(channel)]
        return max(lines, default=0.0)

    def _doubt(self, channel: bytes) -> None:
        for line in list(self._lines.values()):
            if line.has(channel):
                line.ping()

    def heard(self, line: "_Line", message: Any) -> None:
        """Take what a line heard: whatever it is, the store is there."""
        silent = self._hub.back(line.has)
        if silent:
            self._engine.store.hasten(silent[0])  # a line is one node's
            self._hub.retry(silent)
        if isinstance(message, list) and len(message) == 3:  # noqa: PLR2004 - what, channel, payload
            what, channel, payload = text(message[0]), message[1], message[2]
            if what in ("smessage", "message"):
                self._hub.ring(channel, read_bell(payload))
            elif what in ("ssubscribe", "subscribe"):
                self._board.connected()
                self._hub.ring(channel)
            elif what == "sunsubscribe" and line.drop(channel, gone=True):
                self._board.lost([channel], stale=True)  # its slot moved away
                self._wake.set()

    def hung_up(self, line: "_Line", channels: Iterable[bytes], error: Exception) -> None:
        """Take the end of a line; its rooms want another."""
        with self._lock:
            if self._lines.get(line.node.name) is not line:
                return
            del self._lines[line.node.name]
            self._hub.missed(channels, line.heard)
            self._board.failed(channels, error, self._hub)
        self._wake.set()

    @property
    def verb(self) -> str:
        """How to subscribe."""
        return self._board.verb


class _Line:
    """A connection to one node, and what listens there. It lives as long as the connection."""

    def __init__(self, doorbells: Doorbells, node: Node) -> None:
        self.node = node
        self._doorbells = doorbells
        self._channels: dict[bytes, None] = {}
        self._lock = Lock()
        self._connection: Any = None
        self._closed = False
        self._ended = False
        self._pinging: object = None
        self.heard = 0.0
        """When anything was heard, by `time.monotonic`."""
        self.task = start("herenow-doorbell", self._listen)

    @property
    def empty(self) -> bool:
        """Whether no room is listened to."""
        return not self._channels

    def has(self, channel: bytes) -> bool:
        """Whether this room is listened to."""
        return channel in self._channels

    def ping(self) -> None:
        """Have the store say something as soon as it can."""
        self._pinging = threads.soon(self._ping)

    def _ping(self) -> None:
        with self._lock:
            self._send("PING")

    def add(self, channel: bytes) -> bool:
        """Listen to a room's bell; False where the line has ended, and listens to nothing."""
        with self._lock:
            if self._ended:
                return False
            self._channels[channel] = None
            self._send(self._doorbells.verb, channel)
            return True

    def drop(self, channel: bytes, *, gone: bool = False) -> bool:
        """Listen to it no more; whether it was listened to."""
        with self._lock:
            if channel not in self._channels:
                return False
            del self._channels[channel]
            if not gone:
                self._send(self._doorbells.verb.replace("SUB", "UNSUB"), channel)
            return True

    def _send(self, *command: Any) -> None:
        if self._connection is not None:
            try:
                self._connection.send_command(*command, check_health=False)
            except Exception as error:  # noqa: BLE001 - the listener gets it too
                _log.debug("a doorbell's line broke: %s", error)

    def hang_up(self) -> None:
        """End it."""
        with self._lock:
            self._closed = True
            threads.hang_up(self.task, self._connection)

    def _listen(self) -> None:
        line = None
        try:
            line = self.node.line()
            threads.connect(line)
            with self._lock:
                self._connection = line
                for channel in list(self._channels):
                    self._send(self._doorbells.verb, channel)
            silent = False
            while not self._closed:  # a cancellation that met the end of a time-out is lost
                message = threads.hear(line, PING_EVERY)
                if message is not None:
                    silent, self.heard = False, time.monotonic()
                    self._doorbells.heard(self, message)
                elif silent:
                    raise TimeoutError("no PONG")
                else:
                    silent = True
                    with self._lock:
                        line.send_command("PING", check_health=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, another line is made
            with self._lock:  # from here on nobody speaks on it: that would connect it again
                self._ended, self._connection = True, None
            if not self._closed:
                self._doorbells.hung_up(self, list(self._channels), error)
        finally:
            if line is not None:
                threads.disconnect(line)
