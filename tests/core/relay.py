"""A unix socket in front of a server's that counts the round trips made through it."""

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
        self.round_trips = 0

    @property
    def url(self) -> str:
        return f"unix://{self._path}?db=0"

    def _serve(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            peers: dict[socket.socket, tuple[socket.socket, bool]] = {}
            asking: dict[socket.socket, bool] = {}
            while True:
                for key, _ in ready.select():
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is self._listener:
                        try:
                            client = self._listener.accept()[0]
                        except OSError:
                            return
                        server = socket.socket(socket.AF_UNIX)
                        server.connect(self._target)
                        peers[client], peers[server] = (server, True), (client, False)
                        asking[server] = False
                        for end in (client, server):
                            ready.register(end, selectors.EVENT_READ)
                    elif one in peers:
                        other, from_client = peers[one]
                        if from_client and not asking[other]:
                            self.round_trips += 1
                        if not from_client and select.select([other], [], [], _PATIENCE)[0]:
                            continue  # she is not done asking: her words first
                        asking[other if from_client else one] = from_client
                        data = b""
                        with contextlib.suppress(OSError):
                            data = one.recv(1 << 20)
                        if data:
                            other.sendall(data)
                            continue
                        for end in (one, other):
                            ready.unregister(end)
                            peers.pop(end)
                            end.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()
        self._directory.cleanup()
