"""From a URL to a client of the store, and what there is to know of a client handed in.

Owns how our own clients are made: fail fast (one ``timeout`` a wait, no retries), at most so many
connections, an embedded server brought up again when its socket is dead. Knows nothing of presence.
redis is imported where a client is made and nowhere else: ``check_url`` and ``check_client`` run
before that, in every process that merely imports a web site.
"""

from herenow.store.clients import Connection, connect, connect_async
from herenow.store.given import (
    check_client,
    client_timeout,
    exceptions_of,
    is_cluster,
    masters_of,
    name_of,
)
from herenow.store.lines import Node, node_of
from herenow.store.urls import check_url, is_temporary, shown

__all__ = [
    "Connection",
    "Node",
    "check_client",
    "check_url",
    "client_timeout",
    "connect",
    "connect_async",
    "exceptions_of",
    "is_cluster",
    "is_temporary",
    "masters_of",
    "name_of",
    "node_of",
    "shown",
]
