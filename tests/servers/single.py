"""One server: a process, a unix socket in a directory of its own, a TCP port of 127.0.0.1.

Readiness is asked over the unix socket: whoever else may have won a race for the
port cannot answer there, and the server that lost it has exited, which means
another port and another try.
"""

from __future__ import annotations

import functools
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import redis

from .watchdog import unwatch, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOST = "127.0.0.1"
# Below the ephemeral ports, so that no outgoing connection sits on a port that a
# restarted server wants again; and port + 10000, the cluster bus, is below too.
_PORTS = range(10_000, 22_000)
_BUS = 10_000


@dataclass(frozen=True)
class TLSFiles:
    """Paths of a certificate authority and of a server certificate for 127.0.0.1."""

    ca: Path
    cert: Path
    key: Path


def make_tls(directory: Path) -> TLSFiles:
    """Write a new authority and a certificate for localhost and 127.0.0.1 into ``directory``."""
    import trustme

    files = TLSFiles(*(directory / f"{name}.pem" for name in ("ca", "cert", "key")))
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", HOST)
    authority.cert_pem.write_to_path(str(files.ca))
    issued.private_key_pem.write_to_path(str(files.key))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(files.cert), append=True)
    return files


@dataclass(eq=False)
class Server:
    """One running server; ``with`` stops it, killed and reaped, its directory removed."""

    binary: Path
    args: list[str]
    directory: Path
    port: int
    password: str | None = None
    tls: TLSFiles | None = None
    ours: bool = True  # whether the directory is
    process: subprocess.Popen[bytes] = field(init=False)
    _clients: list[redis.Redis] = field(default_factory=list)

    @property
    def socket(self) -> str:
        return str(self.directory / "s")

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.userinfo}{HOST}:{self.port}/0{self.query}"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.userinfo}{quote(self.socket)}?db=0"

    @property
    def scheme(self) -> str:
        return "rediss" if self.tls else "redis"

    @property
    def userinfo(self) -> str:
        return f":{quote(self.password, safe='')}@" if self.password else ""

    @property
    def query(self) -> str:
        return f"?ssl_ca_certs={quote(str(self.tls.ca))}" if self.tls else ""

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def client(self, **kwargs: Any) -> redis.Redis:
        """A client over the unix socket, closed with the server at the latest."""
        kwargs.setdefault("protocol", 2)  # redis-py 8.0 cannot speak 3 over a unix socket
        client = redis.Redis(unix_socket_path=self.socket, password=self.password, **kwargs)
        self._clients.append(client)
        return client

    @functools.cached_property
    def control(self) -> redis.Redis:
        """The one that the tests' own plumbing uses."""
        return self.client()

    def launch(self) -> None:
        """Start the process, and do not wait."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, *self.args],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C is for pytest, which stops us in its order
            )
        watch(self.process.pid, str(self.directory) if self.ours else "")

    def ready(self) -> bool:
        """Wait for the answer to PING; False when the server exited instead."""
        poll(lambda: self.process.poll() is not None or _answers(self.socket), "a server's start")
        return self.process.poll() is None

    def pause(self) -> None:
        """Hang the server (SIGSTOP): connections are accepted by the kernel, nothing answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and reap it; the directory stays for ``restart``."""
        if self.process.returncode is None:
            self.process.kill()
            unwatch(self.process.pid)
            self.process.wait()

    def restart(self) -> None:
        """Start again after ``kill``: same port, same directory; what was in memory is gone."""
        self.launch()
        if not self.ready():
            raise RuntimeError(self.log)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.kill()
        if self.ours:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_server(
    binary: Path,
    *args: str,
    tls: TLSFiles | None = None,
    password: str | None = None,
    directory: Path | None = None,
) -> Server:
    """Start one server that persists nothing, and wait until it answers.

    ``args`` are appended to its command line, ``"--maxmemory", "10mb"``. A
    ``directory`` given stays when the server closes. Raises RuntimeError with
    the server's log when it does not start.
    """
    return started(lambda: layout(binary, args, tls, password, directory))


def start_replica(of: Server, *args: str) -> Server:
    """Start a replica of a server, and wait until it is in sync."""
    replica = start_server(
        of.binary, "--replicaof", HOST, str(of.port), *args, tls=of.tls, password=of.password
    )
    try:
        info = replica.control.info
        poll(lambda: info("replication")["master_link_status"] == "up", "the replica's sync")
    except BaseException:
        replica.close()
        raise
    return replica


def layout(
    binary: Path,
    args: Sequence[str],
    tls: TLSFiles | None,
    password: str | None,
    directory: Path | None = None,
) -> Server:
    home = directory or Path(tempfile.mkdtemp(prefix="herenow-"))
    port = _free_port()
    server = Server(binary, [], home, port, password, tls, ours=directory is None)
    options = {
        "port": 0 if tls else port,
        "bind": HOST,
        "unixsocket": server.socket,
        "dir": home,
        "save": "",
        "appendonly": "no",
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": 0,  # Redis 7 waits five seconds for more replicas
    }
    if tls:
        options |= {"tls-port": port, "tls-cert-file": tls.cert, "tls-key-file": tls.key}
        options |= {"tls-ca-cert-file": tls.ca, "tls-auth-clients": "no"}
        options |= {"tls-replication": "yes", "tls-cluster": "yes"}
    if password:
        options |= {"requirepass": password, "masterauth": password}
    server.args = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    server.args += args
    return server


def started(make: Callable[[], Server]) -> Server:
    """Launch what ``make`` lays out; lay it out anew when somebody was quicker at the port."""
    return launched(make, 1)[0]


def launched(make: Callable[[], Server], count: int) -> list[Server]:
    """The same for several at once, side by side."""
    servers: list[Server] = []
    try:
        servers.extend(_launch(make) for _ in range(count))
        tries = 5
        for i in range(count):
            while not servers[i].ready():
                log = servers[i].log
                servers[i].close()
                tries -= 1
                if not tries or not re.search("in use|Failed listening", log):
                    msg = f"{servers[i].binary} did not start:\n{log}"
                    raise RuntimeError(msg)
                servers[i] = _launch(make)
    except BaseException:
        for server in servers:
            server.close()
        raise
    return servers


def _launch(make: Callable[[], Server]) -> Server:
    server = make()
    server.launch()
    return server


def poll(
    done: Callable[[], Any],
    what: str,
    seconds: float = 60.0,
    not_yet: type[Exception] | tuple[type[Exception], ...] = (),
) -> None:
    """Ask until it is so; TimeoutError naming ``what`` when it is not within ``seconds``.

    What asking raises is raised, but for ``not_yet``.
    """
    deadline = time.monotonic() + seconds
    trouble: Exception | None = None
    while True:
        try:
            if done():
                return
        except not_yet as error:
            trouble = error
        if time.monotonic() > deadline:
            msg = f"waited {seconds:.0f} s in vain for {what}"
            raise TimeoutError(msg) from trouble
        time.sleep(0.003)


def _answers(path: str) -> bool:
    """Whether a server that is done loading answers there (that it wants a password is one)."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1)
        try:
            asking.connect(path)
            asking.sendall(b"PING\r\n")
            return asking.recv(16).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


def _free_port() -> int:
    """A port where nobody listens just now, nor on its cluster bus port."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as first, socket.socket() as bus:
            try:
                first.bind((HOST, port))
                bus.bind((HOST, port + _BUS))
            except OSError:
                continue
        return port
