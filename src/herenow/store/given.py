"""What there is to know of a client handed in, from its classes: redis-py's or valkey-py's.

Imports neither library to tell: whoever hands a client in has imported its own, and only that.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

_LIBRARIES = {"redis": "Redis", "valkey": "Valkey"}
_CLIENTS = {
    (f"{library}{flavour}.{module}", f"{name}{suffix}")
    for library, name in _LIBRARIES.items()
    for flavour in ("", ".asyncio")
    for module, suffix in (("client", ""), ("cluster", "Cluster"))
}


def check_client(client: Any, *, asynchronous: bool) -> None:
    """Raise a ValueError that names the rule, unless it is a client for this side.

    That is a ``redis.Redis`` or ``redis.cluster.RedisCluster``, valkey's of the same names, or a
    subclass; from redis.asyncio or valkey.asyncio when ``asynchronous``. A pipeline is none.
    """
    wanted = "redis.asyncio" if asynchronous else "redis"
    rule = (
        f"a client is a {wanted}.Redis or {wanted}.cluster.RedisCluster "
        f"(or valkey's), not a {_name(type(client))}"
    )
    origin = _origin(client)
    if origin is None or any("Pipeline" in kind.__name__ for kind in type(client).__mro__):
        raise ValueError(rule)
    if (".asyncio" in origin[0]) is not asynchronous:
        side = "an AsyncPresence" if asynchronous else "a Presence"
        raise ValueError(f"{rule}: {side} takes no {'a' * (not asynchronous)}synchronous client")


def is_cluster(client: Any) -> bool:
    """Whether a client that ``check_client`` passed talks to a cluster."""
    origin = _origin(client)
    return origin is not None and origin[0].endswith(".cluster")


def is_async(client: Any) -> bool:
    """Whether a client that ``check_client`` passed is one of asyncio's."""
    return ".asyncio" in _module(client)


def exceptions_of(client: Any) -> ModuleType:
    """``redis.exceptions`` or ``valkey.exceptions``, whichever the client raises."""
    return import_module(f"{_library(client)}.exceptions")


def masters_of(client: Any) -> list[tuple[str, Any]]:
    """Name each server that a client writes to, with a client of it alone; a cluster's by address.

    Behind sentinels it is the master that they name, which is asked of them. May raise what the client
    library does.
    """
    if is_cluster(client):
        nodes = sorted(client.get_primaries(), key=lambda one: (one.host, one.port))
        return [(f"{node.host}:{node.port}", node_client(client, node)) for node in nodes]
    pool = client.connection_pool
    if hasattr(pool, "get_master_address"):
        return [(":".join(map(str, pool.get_master_address())), client)]
    options = pool.connection_kwargs
    return [(options.get("path") or f"{options.get('host')}:{options.get('port')}", client)]


def name_of(client: Any) -> str:
    """What a log calls the store that a client talks to; asks nobody."""
    if is_cluster(client):
        return "cluster " + ",".join(sorted(map(str, client.nodes_manager.startup_nodes)))
    pool = client.connection_pool
    service = getattr(pool, "service_name", None)
    if service:
        return f"sentinels' {service}"
    options = pool.connection_kwargs
    place = options.get("path") or f"{options.get('host')}:{options.get('port')}"
    return f"{place}/{options.get('db') or 0}"


def node_client(client: Any, node: Any) -> Any:
    """Get a client of one node of a cluster, from a sync client of that."""
    return getattr(client, f"get_{_library(client)}_connection")(node)


def client_timeout(client: Any) -> float | None:
    """Seconds that one call may cost when the server hangs; None when there is no end to it.

    The socket timeout times the attempts: without the pauses between, and in a cluster without what
    other nodes that hang cost when the topology is read anew.
    """
    if is_cluster(client):
        flavour = ".asyncio" if ".asyncio" in _module(client) else ""
        settings = getattr(client, "connection_kwargs", None) or (
            client.nodes_manager.connection_kwargs
        )
        # The library's default for what it does not say, by a connection that is never connected.
        default = import_module(f"{_library(client)}{flavour}.connection").Connection()
        timeout = settings.get("socket_timeout", default.socket_timeout)
        retries = getattr(client, "cluster_error_retry_attempts", None)  # valkey-py's
        if retries is None:
            retries = client.retry.get_retries()
    else:
        pool = client.connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        timeout = connection.socket_timeout
        retries = connection.retry._retries  # noqa: SLF001  valkey-py has no get_retries
    if timeout is None or retries < 0:
        return None
    return float(timeout * (1 + retries))


def _origin(client: Any) -> tuple[str, str] | None:
    """Find the class among its ancestors that makes it a client: module and name."""
    for kind in type(client).__mro__:
        if (kind.__module__, kind.__name__) in _CLIENTS:
            return kind.__module__, kind.__name__
    return None


def _module(client: Any) -> str:
    origin = _origin(client)
    if origin is None:
        raise ValueError(f"not a client: a {_name(type(client))}")
    return origin[0]


def _library(client: Any) -> str:
    return _module(client).partition(".")[0]


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
