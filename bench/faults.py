"""python -m bench.faults: what streams show when the store fails, and how long until it is true again.

A store of its own, `herenow serve`, 50 clients that follow a room by its streams (and come back where one
ends, as a browser does), and 4 writers that mark people, have them leave, and let them time out. Every
tenth of a second each client's list is held against the store's own. A user counts as shown wrongly where
the store has said otherwise of them for longer than `SETTLED`, which is what an event may take on a
busy machine. What is told is how long after a fault's end the last one was wrong. The clock is moved by
libfaketime, where that is installed.
"""

import argparse
import contextlib
import json
import os
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import redis

import herenow
from tests.servers import Server, binary, start_server
from tests.service.following import Knowledge

STREAMS: Final = 50
WRITERS: Final = 4
USERS: Final = 40
"""So few that a snapshot has all of them."""
MARKS: Final = 0.7
WINDOW: Final = 6.0
SETTLED: Final = 2.0
STEADY: Final = 8.0
"""Seconds without anything wrong after which a fault is over."""
LONGEST: Final = 90.0
SECRET: Final = "only-for-the-bench-0123456789"
FAKETIME: Final = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@dataclass(frozen=True)
class Fault:
    """``begin`` it, have it last ``seconds``, ``end`` it."""

    what: str
    begin: Callable[["Scene"], object]
    seconds: float = 0.0
    end: Callable[["Scene"], object] = lambda _: None


class Client:
    """One that follows the room, through all its streams."""

    def __init__(self) -> None:
        self.room = Knowledge()
        self.last = ""
        self.rest = b""
        self.streams = 0
        self.wrong: list[str] = []

    def see(self, data: bytes) -> None:
        """Take what came of its stream."""
        *events, self.rest = (self.rest + data).split(b"\n\n")
        for one in events:
            told = dict(line.split(": ", 1) for line in one.decode().splitlines() if ": " in line)
            if "data" in told:
                self.last = told.get("id", self.last)
                try:
                    self.room.see(told["event"], json.loads(told["data"]))
                except AssertionError as error:  # it believes what it is told last
                    self.wrong.append(str(error))
                    read = json.loads(told["data"])
                    self.room.users[read["user"]] = told["event"] != "leave"


class Clients(threading.Thread):
    """All of them, read by one thread."""

    def __init__(self, service: str, token: str) -> None:
        super().__init__()
        where = urlsplit(service)
        self._where = where.hostname, where.port
        self._token = token
        self._ready = selectors.DefaultSelector()
        self._ended = False
        self.all = [Client() for _ in range(STREAMS)]

    def run(self) -> None:
        for one in self.all:
            self._open(one)
        while not self._ended:
            for key, _ in self._ready.select(0.1):
                data = b""
                with contextlib.suppress(OSError):
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                if data:
                    key.data.see(data)
                else:
                    self._ready.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
                    self._open(key.data)
        for key in list(self._ready.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]

    def _open(self, one: Client) -> None:
        asking = socket.create_connection(self._where)
        last = f"Last-Event-ID: {one.last}\r\n" if one.last else ""
        asking.sendall(
            f"GET /v1/rooms/site/events HTTP/1.0\r\nHost: localhost\r\n{last}"
            f"Authorization: Bearer {self._token}\r\n\r\n".encode()
        )
        one.streams, one.rest = one.streams + 1, b""
        self._ready.register(asking, selectors.EVENT_READ, one)

    def stop(self) -> None:
        self._ended = True
        self.join()


@dataclass
class Scene:
    """The store, the service, who follows and who writes."""

    server: Server
    clock: Path
    control: redis.Redis
    presence: herenow.Presence
    clients: list[Client]
    ended: threading.Event = field(default_factory=threading.Event)

    def write(self, number: int) -> None:
        """Mark people and have them leave, five a second."""
        dice = random.Random(number)
        with herenow.Presence(self.server.url, window=WINDOW, resolution=0) as presence:
            while not self.ended.wait(0.2):
                user = f"user-{dice.randrange(USERS)}"
                with contextlib.suppress(herenow.StoreError):
                    if dice.random() < MARKS:
                        presence.mark_online(user)
                    else:
                        presence.mark_offline(user)

    def watch(self, done: Callable[[float], bool]) -> float:
        """Compare until done, which is told since when all has been right; that moment."""
        truth: set[str] = set()
        changed: dict[str, float] = {}
        right = began = time.monotonic()
        while not done(right):
            time.sleep(0.1)
            shown = [one.room.online for one in self.clients]
            now = time.monotonic()
            try:
                found = set(self.presence.get_online_users())
            except herenow.StoreError:
                right = now
                continue
            for user in found ^ truth:
                changed[user] = now
            truth = found
            lately = {user for user, at in changed.items() if now - at < SETTLED}
            bad = [(one ^ truth) - lately for one in shown]
            if any(bad):
                right = now
            if now - began > LONGEST:
                print(f"  {sum(map(bool, bad))} streams are wrong still", file=sys.stderr)
                break
        return right


@contextlib.contextmanager
def scene(folder: Path, *, faked: bool) -> Iterator[Scene]:
    clock = folder / "clock"
    clock.write_text("+0")
    with contextlib.ExitStack() as stack:
        if faked:
            preload = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock)}
            preload |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            os.environ.update(preload)
            try:
                server = stack.enter_context(start_server(binary("valkey-9.1")))
            finally:
                for name in preload:
                    del os.environ[name]
        else:
            server = stack.enter_context(start_server(binary("valkey-9.1")))
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(
            [sys.executable, "-m", "herenow", "serve", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "HERENOW_URL": server.url, "HERENOW_SECRET": SECRET},
        )
        stack.callback(process.wait, 20)
        stack.callback(process.send_signal, signal.SIGTERM)
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None  # noqa: S101
        presence = herenow.Presence(server.unix_url, window=WINDOW, resolution=0, timeout=2)
        stack.callback(presence.close)
        clients = Clients(found[0], herenow.sign_token(secret=SECRET, expires=3600))
        made = Scene(server, clock, server.control, presence, clients.all)
        presence.mark_online("user-0")  # which stores the window
        writers = [threading.Thread(target=made.write, args=(n,)) for n in range(WRITERS)]
        for one in writers:
            one.start()
            stack.callback(one.join)
        stack.callback(made.ended.set)
        clients.start()
        stack.callback(clients.stop)
        yield made


# ------------------------------------------------------------ the faults


def _evict(at: Scene) -> None:
    """Fill it until it has thrown away what is ours."""
    control = at.control
    control.config_set("maxmemory-policy", "allkeys-random")
    control.config_set("maxmemory", control.info("memory")["used_memory"] + 2**20)
    ours = control.keys("herenow:*")
    for number in range(20_000):
        control.set(f"other:{number}", "x" * 1000)
        if number % 100 == 0 and control.exists(*ours) < len(ours) / 2:
            break
    control.config_set("maxmemory", 0)
    control.delete(*control.keys("other:*"))


def _spoil(at: Scene) -> None:
    for key in at.control.keys("herenow:*"):
        at.control.set(key, "of another type")


def _move(at: Scene, seconds: str) -> None:
    at.clock.write_text(seconds)


FAULTS: Final = (
    Fault("none", lambda _: None, 5),
    Fault("killed for 5 s, comes back empty",
          lambda at: at.server.kill(), 5, lambda at: at.server.restart()),
    Fault("hung for 30 s", lambda at: at.server.pause(), 30, lambda at: at.server.resume()),
    Fault("full for 10 s (`maxmemory`, `noeviction`)",
          lambda at: at.control.config_set("maxmemory", 1), 10,
          lambda at: at.control.config_set("maxmemory", 0)),
    Fault("a read-only replica for 10 s", lambda at: at.control.replicaof("127.0.0.1", "1"), 10,
          lambda at: at.control.replicaof("no", "one")),
    Fault("half of the keys evicted", _evict),
    Fault("flushed", lambda at: at.control.flushall()),
    Fault("all keys of another type for 10 s", _spoil, 10,
          lambda at: at.control.delete(*at.control.keys("herenow:*"))),
    Fault("`online:member` of another type for 10 s",
          lambda at: at.control.set("herenow:{site}:online:member", "x"), 10,
          lambda at: at.control.delete("herenow:{site}:online:member")),
    Fault("`meta` lost", lambda at: at.control.delete("herenow:{site}:meta")),
    Fault("`events` lost", lambda at: at.control.delete("herenow:{site}:events")),
    Fault("clock an hour ahead", lambda at: _move(at, "+3600")),
    Fault("clock an hour back", lambda at: _move(at, "-3600")),
)  # fmt: skip


def measure(fault: Fault, folder: Path) -> str:
    """Play one; its row of the table."""
    folder.mkdir(parents=True)
    with scene(folder, faked="clock" in fault.what) as at:
        at.watch(lambda right: time.monotonic() - right > STEADY / 2)
        before = [(one.streams, len(one.wrong)) for one in at.clients]
        began = time.monotonic()
        fault.begin(at)
        at.watch(lambda _: time.monotonic() - began > fault.seconds)
        fault.end(at)
        ended = time.monotonic()
        right = at.watch(lambda right: time.monotonic() - right > STEADY)
        took = right - ended
        again = sum(one.streams - was for one, (was, _) in zip(at.clients, before, strict=True))
        wrong = sum(len(one.wrong) - was for one, (_, was) in zip(at.clients, before, strict=True))
        told = {said for one in at.clients for said in one.wrong}
    for one in list(told)[:3]:
        print(f"  {one}", file=sys.stderr)
    shown = "at once" if took < 0.5 else f"{took:.1f} s"  # noqa: PLR2004
    return f"| {fault.what} | {shown} | {again} | {wrong} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="faults with all these words")
    words = parser.parse_args().only or ()
    print("| the store | until all streams are right | streams that ended | contradictions |")
    print("| --- | --- | --- | --- |")
    import tempfile

    with tempfile.TemporaryDirectory(prefix="hn-") as folder:
        for number, fault in enumerate(FAULTS):
            if all(word in fault.what for word in words):
                print(measure(fault, Path(folder) / str(number)), flush=True)


if __name__ == "__main__":
    main()
