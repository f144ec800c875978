"""Lines: connections of their own, beside a client's pool, to hear the doorbells of rooms on.

A line goes to the server that a client would ask about a key, and is made as the client's own
connections are (TLS, credentials, sentinels), but for what listening asks of it: RESP2, bytes, no
PINGs of its own. It is one raw connection: a client's ``pubsub`` differs from version to version, has no
SSUBSCRIBE in some, and resubscribes where it should not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from herenow.store.given import is_cluster, node_client

_OURS: Final = {"protocol": 2, "decode_responses": False, "health_check_interval": 0}
_NOT_FOR_LINES: Final = (
    "maint_notifications",
    "oss_cluster_maint",
    "himport",
    "event_dispatcher",
    "orig_",
)


@dataclass(frozen=True)
class Node:
    """A server that lines go to: its name, and what makes an unconnected connection to it."""

    name: str
    line: Callable[[], Any] = field(compare=False)


def node_of(client: Any, key: bytes) -> Node:
    """Find the server that a client would ask about a key. May raise what the client library does."""
    if not is_cluster(client):
        pool = client.connection_pool
        return Node("", lambda: _line(pool.connection_class, pool.connection_kwargs))
    node = client.get_node_from_key(key)
    if node is None:
        raise ConnectionError("no node of the cluster serves this room")
    if hasattr(node, "connection_class"):  # asyncio's
        made = (
            node.connection_class,
            {"host": node.host, "port": node.port, **node.connection_kwargs},
        )
    else:
        pool = node_client(client, node).connection_pool
        made = (pool.connection_class, pool.connection_kwargs)
    return Node(f"{node.host}:{node.port}", lambda: _line(*made))


def _line(kind: Any, options: dict[str, Any]) -> Any:
    kept = {name: value for name, value in options.items() if not name.startswith(_NOT_FOR_LINES)}
    return kind(**kept | _OURS)
