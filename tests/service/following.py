"""A client of streams: what it is told, and what it knows of each room from that alone.

Owns no server. `Knowledge` follows the rules that a client is to follow, and fails where what it is told
can't be: a join of somebody who is there, a leave of somebody who is not.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import httpx
import httpx_sse


class Knowledge:
    """What a client knows of a room: who is there (True), who is gone (False), and how many there are.

    ``listed``: it has a watch-list, so that it is not told all that the counts count.
    """

    def __init__(self, *, listed: bool = False) -> None:
        self.listed = listed
        self.users: dict[str, bool] = {}
        self.kinds: dict[str, str] = {}
        self.counts: dict[str, int] | None = None
        self.complete = False
        self.resets = 0

    @property
    def online(self) -> set[str]:
        return {user for user, there in self.users.items() if there}

    def see(self, event: str, data: dict[str, Any]) -> None:
        if event == "reset":
            snapshot = data["snapshot"]
            self.users = {one["user"]: True for one in snapshot["users"]}
            self.kinds = {one["user"]: one["kind"] for one in snapshot["users"]}
            self.counts = dict(snapshot["counts"])
            self.complete = snapshot["cursor"] is None
            self.resets += 1
        elif event == "counts":
            self.counts = dict(data["counts"])
            if data["only"]:
                self.users, self.complete = {}, False
        elif event == "diff":
            for what in ("leave", "join", "update"):
                for one in data[what]:
                    self._change(what, one)
            assert not {one["user"] for one in data["leave"]} & {
                one["user"] for one in data["join"]
            }
            self.counts = dict(data["counts"])
        else:
            self._change(event, data)
            if self.listed:
                pass
            elif self.counts is not None and event != "update":
                self.counts[data["kind"]] += 1 if event == "join" else -1
            elif self.counts is not None and data.get("was"):
                self.counts[data["was"]] -= 1
                self.counts[data["kind"]] += 1

    def _change(self, what: str, one: dict[str, Any]) -> None:
        unknown = what != "join"
        was = one.get("was", one["kind"])
        if "type" in one and self.complete and (self.listed or was in {"member", "hidden"}):
            unknown = False  # the list had all of these: who was not on it was not there
        there = self.users.get(one["user"], unknown)
        assert there is (what != "join"), (what, one)
        self.users[one["user"]] = what != "leave"
        self.kinds[one["user"]] = one["kind"]


class Following:
    """A stream that is read by a thread, from ``last`` on; `close` cuts it, wherever it is."""

    def __init__(
        self, url: str, params: Any = None, last: str | None = None, rooms: Any = None
    ) -> None:
        self.rooms: dict[str, Knowledge] = {} if rooms is None else rooms
        self._listed = params is not None and "user" in params
        self.last = last
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.ids: list[str] = []
        self.bytes = 0
        self.error: BaseException | None = None
        self.status = 0
        self.headers: Any = {}
        self.ended = threading.Event()
        self._client = httpx.Client(timeout=30)
        self._response: Any = None
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(url, params), daemon=True)
        self._thread.start()
        assert self._opened.wait(60)

    def _read(self, url: str, params: Any) -> None:
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        try:
            with httpx_sse.connect_sse(
                self._client, "GET", f"{url}/events", params=params, headers=headers
            ) as source:
                self._response = source.response
                self.status, self.headers = source.response.status_code, source.response.headers
                self._opened.set()
                if self.status == 200:
                    for one in source.iter_sse():
                        self.bytes += len(one.data) + len(one.id) + len(one.event) + 20
                        self._see(one.event, one.data, one.id)
        except httpx.TransportError:
            pass
        except BaseException as error:  # noqa: BLE001 - told by whoever looks
            self.error = error
        finally:
            self._client.close()
            self._opened.set()
            self.ended.set()

    def _see(self, event: str, data: str, event_id: str) -> None:
        read = json.loads(data)
        self.room(read["room"]).see(event, read)
        self.told.append((event, read))
        self.ids.append(event_id)
        self.last = event_id

    def until(self, done: Callable[[], Any], seconds: float = 10) -> None:
        """Wait for something to hold."""
        end = time.monotonic() + seconds
        while not done():
            if self.error is not None:
                raise self.error
            assert time.monotonic() < end, self.told[-5:]
            time.sleep(0.005)

    def until_told(self, event: str, user: str | None = None) -> None:
        """Wait for an event of a user."""
        self.until(lambda: (event, user) in self.brief())

    def brief(self) -> list[tuple[str, str | None]]:
        """What it was told, as type and user."""
        return [(event, data.get("user")) for event, data in self.told]

    def room(self, name: str = "site") -> Knowledge:
        return self.rooms.setdefault(name, Knowledge(listed=self._listed))

    def close(self) -> None:
        """Cut it."""
        if self._response is not None:
            stream = self._response.extensions["network_stream"]
            sock = stream.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.shutdown(2)
        self._thread.join(60)
        if self.error is not None:
            raise self.error


@contextlib.contextmanager
def raw(port: int, path: str = "/events", *, size: int = 0) -> Iterator[tuple[socket.socket, Any]]:
    """A stream as its lines come from the socket, without the sizes of chunks."""
    with socket.socket() as sock:
        if size:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        sock.connect(("127.0.0.1", port))
        sock.settimeout(20)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

        def lines() -> Generator[bytes, None, None]:
            with sock.makefile("rb") as file:
                while file.readline() != b"\r\n":
                    pass
                while length := int(file.readline(), 16):
                    yield from file.read(length).split(b"\n")
                    file.readline()

        with contextlib.closing(lines()) as made:
            yield sock, made
