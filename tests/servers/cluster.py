"""A cluster on loopback, made by plain commands: no CLI, no fixed ports, up in about two seconds.

(Two, because a node that has just started waits as long before it calls itself ok.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import redis.cluster

from .single import HOST, Server, TLSFiles, launched, layout, poll

if TYPE_CHECKING:
    from pathlib import Path

_SLOTS = 16384


@dataclass(eq=False)
class Cluster:
    """Nodes of one cluster, masters first; ``nodes[masters + i]`` is a replica of ``nodes[i]``."""

    nodes: list[Server]
    masters: int

    @property
    def url(self) -> str:
        """redis+cluster://…, all nodes named."""
        first = self.nodes[0]
        hosts = ",".join(f"{HOST}:{node.port}" for node in self.nodes)
        return f"{first.scheme}+cluster://{first.userinfo}{hosts}{first.query}"

    def client(self, **kwargs: Any) -> redis.cluster.RedisCluster:
        """A cluster client over TCP; the caller closes it."""
        first = self.nodes[0]
        if first.tls:
            kwargs |= {"ssl": True, "ssl_ca_certs": str(first.tls.ca)}
        nodes = [redis.cluster.ClusterNode(HOST, node.port) for node in self.alive()]
        return redis.cluster.RedisCluster(startup_nodes=nodes, password=first.password, **kwargs)

    def alive(self) -> list[Server]:
        return [node for node in self.nodes if node.process.poll() is None]

    def node_of(self, key: str) -> Server:
        """The master that serves a key, as the first node alive has it."""
        asked = self.alive()[0]
        slot = _say(asked, "KEYSLOT", key)
        port = next(port for first, last, port in _view(asked) if first <= slot <= last)
        return next(node for node in self.nodes if node.port == port)

    def move_slot(self, key: str, to: Server) -> None:
        """Move the slot of a key, and what is in it, to another master: clients get MOVED."""
        source = self.node_of(key)
        slot = _say(source, "KEYSLOT", key)
        _say(to, "SETSLOT", slot, "IMPORTING", _id(source))
        _say(source, "SETSLOT", slot, "MIGRATING", _id(to))
        auth = ("AUTH", source.password) if source.password else ()
        while keys := _say(source, "GETKEYSINSLOT", slot, 100):
            words = ("MIGRATE", HOST, to.port, "", 0, 5000, *auth, "KEYS", *keys)
            source.control.execute_command(*words)
        masters = {port for _, _, port in _view(source)}
        for node in (to, source, *self.alive()):
            if node.port in masters:
                _say(node, "SETSLOT", slot, "NODE", _id(to))
        poll(self.settled, "agreement on the slot that moved")

    def settled(self) -> bool:
        """Whether every node alive calls the cluster ok and all have the same view of it."""
        alive = self.alive()
        ok = all(b"cluster_state:ok" in _say(node, "INFO") for node in alive)
        return ok and len({tuple(_view(node)) for node in alive}) == 1

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_cluster(
    binary: Path,
    *args: str,
    masters: int = 3,
    replicas: int = 0,
    tls: TLSFiles | None = None,
    password: str | None = None,
) -> Cluster:
    """Start a cluster, and wait until every node calls it ok and all agree.

    A master silent for a second is replaced by its replica, if it has one
    (``replicas`` a master, 0 or 1) and if most masters are alive.
    """
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
    options += ["--cluster-replica-validity-factor", "0", *args]
    count = masters * (1 + replicas)
    cluster = Cluster(launched(lambda: layout(binary, options, tls, password), count), masters)
    try:
        _join(cluster)
        poll(lambda: _complete(cluster) and cluster.settled(), "the cluster's agreement")
    except BaseException:
        cluster.close()
        raise
    return cluster


def _join(cluster: Cluster) -> None:
    bounds = [_SLOTS * i // cluster.masters for i in range(cluster.masters + 1)]
    for i, node in enumerate(cluster.nodes):
        _say(node, "SET-CONFIG-EPOCH", i + 1)
        if i < cluster.masters:  # not ADDSLOTSRANGE: 6.2 lacks it
            _say(node, "ADDSLOTS", *range(bounds[i], bounds[i + 1]))
        for other in cluster.nodes[:i]:  # all meet all: gossip alone takes seconds
            _say(node, "MEET", HOST, other.port)
    for i, replica in enumerate(cluster.nodes[cluster.masters :]):
        master = cluster.nodes[i].port

        def knows(replica: Server = replica, master: int = master) -> bool:
            return any(peer.port == master and peer.met for peer in _peers(replica))

        poll(knows, "a replica to know its master")
        _say(replica, "REPLICATE", _id(cluster.nodes[i]))


def _complete(cluster: Cluster) -> bool:
    """Whether all nodes know all, every slot is served, and every replica is known and in sync."""
    for node in cluster.nodes:
        peers = _peers(node)
        roles = [peer.master for peer in peers if peer.met]
        if len(peers) != len(cluster.nodes) or sorted(roles)[::-1] != [
            i < cluster.masters for i in range(len(cluster.nodes))
        ]:
            return False
        if node.control.info("replication").get("master_link_status", "up") != "up":
            return False
    return sum(last - first + 1 for first, last, _ in _view(cluster.nodes[0])) == _SLOTS


@dataclass(frozen=True)
class _Peer:
    port: int
    met: bool  # False while they shake hands
    master: bool
    slots: list[tuple[int, int]]


def _peers(node: Server) -> list[_Peer]:
    """CLUSTER NODES: every node that this one knows, itself included."""
    peers = []
    for line in _say(node, "NODES").decode().splitlines():
        _, address, flags, *rest = line.split(" ")
        ranges = (words.split("-") for words in rest[5:] if not words.startswith("["))
        peers.append(
            _Peer(
                port=int(address.split("@")[0].rpartition(":")[2]),
                met="handshake" not in flags,
                master="master" in flags,
                slots=[(int(words[0]), int(words[-1])) for words in ranges],
            )
        )
    return peers


def _view(node: Server) -> list[tuple[int, int, int]]:
    """First slot, last slot and port of every range, as this node has it."""
    return sorted((*slots, peer.port) for peer in _peers(node) for slots in peer.slots)


def _id(node: Server) -> str:
    return str(_say(node, "MYID").decode())


def _say(node: Server, *words: str | int) -> Any:
    """One CLUSTER command; its words apart, so that the client leaves the reply as it came."""
    return node.control.execute_command("CLUSTER", *words)
