"""The facts about a store, as plain data, and how they are read from INFO."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Topology = Literal["single", "replicated", "replica", "sentinel", "cluster", "embedded"]
_FLOOR: Final = {"Redis": (6, 2), "Valkey": (7, 2)}


@dataclass(frozen=True)
class Replica:
    """A replica, as its master sees it: its link is up where ``state`` is online.

    ``silent`` is the number of seconds since its last acknowledgement, ``behind`` the bytes that
    it has not acknowledged.
    """

    name: str
    state: str
    silent: float | None
    behind: int | None


@dataclass(frozen=True)
class Node:
    """One server. None is unknown; times in seconds, sizes in bytes.

    ``ahead`` is by how much its clock is ahead of this machine's, plus or minus ``uncertain``; ``copies``
    are those of its ``replicas`` of which INFO has details; ``unavailable`` is why it does not answer.
    """

    name: str
    product: str | None = None
    version: str | None = None
    role: str | None = None
    mode: str | None = None
    replicas: int | None = None
    copies: tuple[Replica, ...] = ()
    replica_in_sync: bool | None = None
    latency: float | None = None
    worst: float | None = None
    ahead: float | None = None
    uncertain: float | None = None
    used: int | None = None
    limit: int | None = None
    policy: str | None = None
    evicted: int | None = None
    clients: int | None = None
    most_clients: int | None = None
    saves: bool | None = None
    appends: bool | None = None
    write_errors: tuple[str, ...] = ()
    unavailable: str | None = None

    @property
    def release(self) -> tuple[int, ...]:
        """The version's numbers."""
        return tuple(int(one) for one in (self.version or "").split(".") if one.isdecimal())

    @property
    def new_enough(self) -> bool:
        """Whether herenow runs on it; an unknown version counts as new enough."""
        floor = _FLOOR.get(self.product or "")
        return floor is None or not self.release or self.release[:2] >= floor

    @property
    def redis_6(self) -> bool:
        """Whether it has no shard channels."""
        return self.product == "Redis" and bool(self.release) and self.release < (7,)


@dataclass(frozen=True)
class Online:
    """How many users of a kind are online in a room, and the bytes of their sorted set."""

    room: str
    kind: str
    users: int
    bytes: int


@dataclass(frozen=True)
class Facts:
    """The facts about a store.

    ``timeout`` is the longest wait of the site's client, in seconds. ``lacking`` names the commands that
    this user may not call, None if unknown; ``scripts`` and ``notifications`` are why scripts and those
    fail, None if they work. ``sentinels`` are how many answered, of how many.
    """

    topology: Topology
    nodes: tuple[Node, ...]
    timeout: float
    online: tuple[Online, ...] = ()
    user: str | None = None
    lacking: tuple[str, ...] | None = None
    scripts: str | None = None
    notifications: str | None = None
    sentinels: tuple[int, int] | None = None
    slots_served: int | None = None


def misnamed(node: Node, topology: Topology) -> bool:
    """Whether the URL names one server of something larger: a sentinel, or a node of a cluster."""
    return node.mode == "sentinel" or (node.mode == "cluster" and topology != "cluster")


def read_node(name: str, info: Mapping[str, Any], **found: Any) -> Node:
    """Read INFO. Valkey calls itself Redis 7.2.4 in ``redis_version``; its own version stands beside."""
    product, version = _product(info)
    errors = [
        what
        for what, key in (
            ("the append-only file", "aof_last_write_status"),
            ("the snapshot", "rdb_last_bgsave_status"),
        )
        if info.get(key, "ok") != "ok"
    ]
    link = info.get("master_link_status")
    return Node(
        name,
        product=product,
        version=version,
        role=_text(info, "role"),
        mode=_text(info, "server_mode") or _text(info, "redis_mode"),
        replicas=_number(info, "connected_slaves"),
        copies=tuple(_replicas(info)),
        replica_in_sync=None if link is None else link == "up",
        used=_number(info, "used_memory"),
        limit=_number(info, "maxmemory"),
        policy=_text(info, "maxmemory_policy"),
        evicted=_number(info, "evicted_keys"),
        clients=_number(info, "connected_clients"),
        most_clients=_number(info, "maxclients"),
        appends=None if "aof_enabled" not in info else info["aof_enabled"] in (1, "1"),
        write_errors=tuple(errors),
        **found,
    )


def _replicas(info: Mapping[str, Any]) -> Iterator[Replica]:
    written = _number(info, "master_repl_offset")
    for number in range(_number(info, "connected_slaves") or 0):
        one = info.get(f"slave{number}")
        if isinstance(one, Mapping):
            silent, confirmed = _number(one, "lag"), _number(one, "offset")
            yield Replica(
                f"{one.get('ip')}:{one.get('port')}",
                str(one.get("state")),
                silent=None if silent is None or silent < 0 else float(silent),
                behind=(
                    None if written is None or confirmed is None else max(0, written - confirmed)
                ),
            )


def _product(info: Mapping[str, Any]) -> tuple[str | None, str | None]:
    for name in ("valkey", "dragonfly", "redis"):  # the others have a redis_version too
        if version := _text(info, f"{name}_version"):
            return name.capitalize(), version
    return None, None


def _text(info: Mapping[str, Any], key: str) -> str | None:
    value = info.get(key)
    return None if value is None else str(value)


def _number(info: Mapping[str, Any], key: str) -> int | None:
    value = info.get(key)
    return int(value) if isinstance(value, int | float) else None
