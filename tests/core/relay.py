"""A unix socket in front of a server's that counts round trips, and bytes to the server."""

import contextlib
import select
import selectors
import socket
import tempfile
import threading
from pathlib import Path
from typing import Self

_PATIENCE = 0.003


class Relay:
    """Passes bytes both ways; a round trip is what a client sent until the server answered."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._directory = tempfile.TemporaryDirectory(prefix="hn-")
        self._path = str(Path(self._directory.name) / "s")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._servers: dict[socket.socket, socket.socket] = {}
        self._clients: dict[socket.socket, socket.socket] = {}
        self._asked: set[socket.socket] = set()
        self.round_trips = self.sent = 0

    @property
    def url(self) -> str:
        return f"unix://{self._path}?db=0"

    def _serve(self) -> None:
        with selectors.DefaultSelector() as self._ready:
            self._ready.register(self._listener, selectors.EVENT_READ)
            while True:
                for key, _ in self._ready.select():
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is not self._listener:
                        self._pass_on(one)
                    elif not self._accept():
                        return

    def _accept(self) -> bool:
        try:
            client = self._listener.accept()[0]
        except OSError:  # we are closed
            return False
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target)
        self._servers[client], self._clients[server] = server, client
        for end in (client, server):
            self._ready.register(end, selectors.EVENT_READ)
        return True

    def _pass_on(self, one: socket.socket) -> None:
        asks = one in self._servers
        if asks:
            other = self._servers[one]
            if other not in self._asked:
                self.round_trips += 1
                self._asked.add(other)
        elif one in self._clients:
            other = self._clients[one]
            waiting = select.poll()  # select() knows no file descriptor over 1,023
            waiting.register(other, select.POLLIN)
            if waiting.poll(_PATIENCE * 1000):
                return  # the client is not done asking: that first
            self._asked.discard(one)
        else:
            return  # closed a moment ago
        data = b""
        with contextlib.suppress(OSError):
            data = one.recv(1 << 20)
        if data:
            self.sent += len(data) if asks else 0
            other.sendall(data)
            return
        for end in (one, other):
            self._ready.unregister(end)
            self._servers.pop(end, None)
            self._clients.pop(end, None)
            end.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._listener.close()
        self._directory.cleanup()
