"""The clients that herenow makes for itself, all by redis-py.

Decided, with redis-py 8 in view:

- **No retries.** redis-py's ten turn a hung server into a minute. None are needed for a server
  that restarted (a pool looks whether an idle socket was closed before it sends on it), nor in a
  cluster: MOVED, ASK and TRYAGAIN are followed within one attempt, and a node that fails makes the
  client read the topology anew; so after a failover one call fails, the next finds the new master.
- **RESP2**, unless the URL says ``protocol=3``: as quick, no HELLO and no maintenance-notification
  handshake on each new connection, and every proxy understands it.
- **No PING before commands**: without retries it could only meet the same failure a round trip
  earlier. TCP keepalive finds dead peers.
- **No client name** unless the URL gives one: naming needs a permission that a tight ACL withholds.
- **A pool that waits**, ``timeout`` at most, where redis-py has one, on a single server: a thousand
  greenlets share 50 connections, where its usual pool refuses the 101st. Its LIFO queue costs
  nothing measurable, is patched by gevent, and takes no lock that a fork could leave held. Behind
  sentinels and in a cluster the pools cannot wait; there the bound is 500 connections a node.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from herenow.store import forking
from herenow.store.given import is_async, is_cluster, node_client
from herenow.store.urls import Target, parse

if TYPE_CHECKING:
    from herenow.embedded import EmbeddedServer

_WAITING = 50
_REFUSING = 500


@dataclass(frozen=True)
class Connection:
    """A client, what kind it is, and our part in the embedded server if it talks to one.

    A client that was ``handed_in`` stays open: it is the caller's.
    """

    client: Any = field(repr=False)  # redis-py before 8 shows passwords
    server: "EmbeddedServer | None" = None
    handed_in: bool = False

    @property
    def cluster(self) -> bool:
        """Whether the client talks to a cluster."""
        return is_cluster(self.client)

    @property
    def asynchronous(self) -> bool:
        """Whether the client is one of asyncio's."""
        return is_async(self.client)

    def node(self, key: Any) -> str | None:
        """Name the node of a cluster that the client would ask for a key; None: it does not know yet."""
        try:
            return str(self.client.get_node_from_key(key).name)
        except Exception:  # noqa: BLE001 - each library, sync or async, has one of its own for that
            return None

    def client_of(self, key: Any) -> Any:
        """Get a client of that node alone; of a sync one. May raise what the client library does."""
        return node_client(self.client, self.client.get_node_from_key(key))

    def masters(self) -> list[Any]:
        """List the nodes of a cluster that the client writes to, as far as it knows."""
        return sorted(self.client.get_primaries(), key=lambda one: str(one.name))

    def close(self) -> None:
        """Close the client and let go of the embedded server, which ends with its last user."""
        if self.handed_in:
            return
        try:
            for client in _with_sentinels(self.client):
                client.close()
        finally:
            if self.server is not None:
                self.server.close()

    async def aclose(self) -> None:
        """Do what ``close`` does, for a client of redis.asyncio."""
        if self.handed_in:
            return
        try:
            for client in _with_sentinels(self.client):
                await client.aclose()
        finally:
            if self.server is not None:
                self.server.close()

    def drop(self, loop: Any) -> None:
        """Close a client that nobody uses any more; one of redis.asyncio in its loop, while that runs."""
        if not is_async(self.client):
            self.close()
        elif loop is None or not loop.is_running():
            self.abandon()
        else:
            loop.call_soon_threadsafe(_close_in, loop, self)

    def abandon(self) -> None:
        """Let go of what ``aclose`` would, when the loop that could have closed the client is over."""
        if self.server is not None:
            self.server.close()


_closing: set[Any] = set()


def _close_in(loop: Any, connection: Connection) -> None:
    task = loop.create_task(connection.aclose())
    _closing.add(task)  # a loop alone does not hold it
    task.add_done_callback(_closing.discard)


def _load() -> None:
    # a third of a second, once
    with forking.unforked:
        # and what redis-py and the resolver import at the first connection
        for name in ("redis", "email.parser", "encodings.idna"):
            import_module(name)


def connect(url: str, *, timeout: float = 0.25) -> Connection:
    """Make the client that a URL names, thread-safe; to be called at first use, after any fork.

    ``timeout`` in seconds bounds each wait: for a connection of the pool, to connect, for a reply.
    A server that hangs costs a call one of them; behind sentinels or in a cluster, one more for
    each other node that hangs as well and is asked where to turn (in a cluster by one thread after
    another, so that of a whole cluster out of reach the last of many threads learns late). Sends
    nothing, except that ``embedded`` starts its server (0.1 s, 10 s at most) and ``+cluster`` reads
    the topology.

    Raises ValueError as ``check_url`` does, StoreUnavailable when an embedded server does not
    start, and ``redis.exceptions.RedisClusterException``, which is no ``RedisError``, when no node
    of a cluster lets us in. From the other schemes what is wrong comes with the first command:
    ``AuthenticationError``, ``ConnectionError`` (sentinels' ``MasterNotFoundError`` is one) or
    ``TimeoutError`` of ``redis.exceptions``.
    """
    return _connect(parse(url), timeout, "redis")


def connect_async(url: str, *, timeout: float = 0.25) -> Connection:
    """Make the client that a URL names, of redis.asyncio; needs no running loop.

    Blocks, for ``embedded`` alone. Raises as ``connect`` does, but a cluster is read, and can
    refuse to be, with the first command.
    """
    return _connect(parse(url), timeout, "redis.asyncio")


def _connect(target: Target, timeout: float, library: str) -> Connection:
    _load()
    """Make it by ``library``, redis or redis.asyncio, which use the same names."""
    from redis.backoff import NoBackoff

    once = import_module(f"{library}.retry").Retry(NoBackoff(), 0)
    quick = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2}
    options = quick | target.options | {"retry": once}
    match target.kind:
        case "single":
            module = import_module(f"{library}.connection")
            kind = module.SSLConnection if target.tls else module.Connection
            host, port = target.hosts[0]
            keep = {"socket_keepalive": True}
            options = keep | options | {"connection_class": kind, "host": host, "port": port}
            return Connection(_on_single(options, library))
        case "unix":
            kind = import_module(f"{library}.connection").UnixDomainSocketConnection
            options |= {"connection_class": kind, "path": target.path}
            return Connection(_on_single(options, library))
        case "sentinel":
            return Connection(_behind_sentinels(target, options, library))
        case "cluster":
            return Connection(_in_cluster(target, options, library))
        case "embedded":
            return _embedded(target, quick | {"retry": once}, library)


def _on_single(options: dict[str, Any], library: str) -> Any:
    pool = import_module(f"{library}.connection").BlockingConnectionPool
    options = {"max_connections": _WAITING, "timeout": options["socket_timeout"]} | options
    return import_module(f"{library}.client").Redis.from_pool(pool(**options))


def _in_cluster(target: Target, options: dict[str, Any], library: str) -> Any:
    module = import_module(f"{library}.cluster")
    return module.RedisCluster(
        startup_nodes=[module.ClusterNode(host, port) for host, port in target.hosts],
        require_full_coverage=False,  # a shard without a master is no reason to refuse the others'
        ssl=target.tls,
        **{"max_connections": _REFUSING, "socket_keepalive": True} | options,
    )


def _behind_sentinels(target: Target, options: dict[str, Any], library: str) -> Any:
    """Give the sentinels the timeouts and the TLS of the servers, and credentials of their own."""
    options = {"ssl": target.tls, "socket_keepalive": True} | options
    theirs = ("ssl", "socket_", "protocol", "retry")
    sentinel_options = {name: value for name, value in options.items() if name.startswith(theirs)}
    for name in ("username", "password"):
        sentinel_options[name] = options.pop(f"sentinel_{name}", None)
    sentinels = import_module(f"{library}.sentinel").Sentinel(
        target.hosts, sentinel_kwargs=sentinel_options
    )
    return sentinels.master_for(target.path, **{"max_connections": _REFUSING} | options)


def _with_sentinels(client: Any) -> Iterator[Any]:
    """Name the client, and those it asks for its master, which it does not close itself."""
    yield client
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    yield from getattr(manager, "sentinels", ())


def _embedded(target: Target, options: dict[str, Any], library: str) -> Connection:
    from herenow.embedded import open_server

    server = open_server(
        target.path.rstrip("/") or None, temporary=target.options.get("temporary", False)
    )
    link = _reviving_async if library == "redis.asyncio" else _reviving
    return Connection(_on_single(options | link(server), library), server)


def _reviving(server: "EmbeddedServer") -> dict[str, Any]:
    """Make a pool's connections bring the server up when they find its socket dead.

    Who connects while it loads waits for that, here and nowhere else: a server is never loading
    under an open connection.
    """
    from redis.connection import UnixDomainSocketConnection
    from redis.exceptions import BusyLoadingError

    class Reviving(UnixDomainSocketConnection):
        def _connect(self) -> Any:
            try:
                return super()._connect()  # type: ignore[no-untyped-call]
            except (FileNotFoundError, ConnectionRefusedError):
                server.ensure()
                self.path = server.socket
                return super()._connect()  # type: ignore[no-untyped-call]

    def loaded(connection: Any) -> None:
        connection.on_connect()
        connection.send_command("PING", check_health=False)
        try:
            connection.read_response(disconnect_on_error=False)
        except BusyLoadingError:
            server.ensure()

    return {"connection_class": Reviving, "path": server.socket, "redis_connect_func": loaded}


def _reviving_async(server: "EmbeddedServer") -> dict[str, Any]:
    """Do the same for redis.asyncio; the waiting is done in a thread."""
    import asyncio

    from redis.asyncio.connection import UnixDomainSocketConnection
    from redis.exceptions import BusyLoadingError

    class Reviving(UnixDomainSocketConnection):
        async def _connect(self) -> None:
            try:
                await super()._connect()  # type: ignore[no-untyped-call]
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.to_thread(server.ensure)
                self.path = server.socket
                await super()._connect()  # type: ignore[no-untyped-call]

    async def loaded(connection: Any) -> None:
        await connection.on_connect()
        await connection.send_command("PING", check_health=False)
        try:
            await connection.read_response(disconnect_on_error=False)
        except BusyLoadingError:
            await asyncio.to_thread(server.ensure)

    return {"connection_class": Reviving, "path": server.socket, "redis_connect_func": loaded}
