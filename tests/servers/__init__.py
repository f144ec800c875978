"""Real servers for the tests: single, replicated, with sentinels, clustered, with TLS.

Owns the processes it starts, their directories and their ports, and nothing of
herenow: it imports no part of it, so that it can test any of it.
"""

from .binaries import binaries, binary, debian
from .cluster import Cluster, start_cluster
from .sentinels import SERVICE, Sentinels, start_sentinels
from .single import HOST, Server, TLSFiles, make_tls, poll, start_replica, start_server
from .watchdog import unwatch, watch

__all__ = [
    "HOST",
    "SERVICE",
    "Cluster",
    "Sentinels",
    "Server",
    "TLSFiles",
    "binaries",
    "binary",
    "debian",
    "make_tls",
    "poll",
    "start_cluster",
    "start_replica",
    "start_sentinels",
    "start_server",
    "unwatch",
    "watch",
]
