"""What is wrong with a store, and what to do, derived from the facts. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from herenow.doctor.facts import Facts, Node

SLOW_TIMEOUT: Final = 1.0
FAR: Final = 0.02
CLOCK_OFF: Final = 2.0
SILENT: Final = 10.0
"""Seconds: a replica acknowledges what it has every second."""
NEARLY_FULL: Final = 0.9
_SLOTS: Final = 16_384


@dataclass(frozen=True)
class Finding:
    """One problem: its ``name`` for scripts, what is wrong, and what to do."""

    name: str
    what: str
    do: str


def findings(facts: Facts) -> list[Finding]:
    """List what is wrong, the worst first."""
    found = [*_of_topology(facts)]
    for node in facts.nodes:
        found += _of_node(node, _named(node, facts))
    return [*found, *_of_rights(facts), *_of_waits(facts), *_of_clocks(facts)]


def _named(node: Node, facts: Facts) -> str:
    return f"{node.name}: " if len(facts.nodes) > 1 else ""


def _of_topology(facts: Facts) -> Iterator[Finding]:
    first = facts.nodes[0]
    if first.mode == "sentinel":
        yield Finding(
            "sentinel",
            "this is a sentinel, which holds no data",
            "name it as redis+sentinel://host:26379/service",
        )
    if first.mode == "cluster" and facts.topology != "cluster":
        yield Finding(
            "cluster",
            "this server is part of a cluster, but the URL names it as a single server",
            "name the cluster as redis+cluster://host:6379",
        )
    if facts.topology == "replica":
        yield Finding(
            "replica",
            "this server is a replica: it answers reads and refuses marks",
            "name the master, or the sentinels as redis+sentinel://host:26379/service",
        )
    if facts.sentinels and facts.sentinels[0] < facts.sentinels[1]:
        answered, named = facts.sentinels
        yield Finding(
            "sentinels",
            f"{answered} of {named} sentinels know the master",
            "start the others, or take them out of the URL: too few sentinels can't fail over",
        )
    if facts.slots_served is not None and facts.slots_served < _SLOTS:
        yield Finding(
            "slots",
            f"{_SLOTS - facts.slots_served:,} of {_SLOTS:,} slots have no server, and rooms there none",
            "assign them: valkey-cli --cluster fix, or redis-cli --cluster fix",
        )


def _of_node(node: Node, named: str) -> Iterator[Finding]:
    if node.unavailable is not None:
        yield Finding(
            "unavailable", f"{named}{node.unavailable}", "start it, or see why it does not answer"
        )
        return
    if not node.new_enough:
        yield Finding(
            "version",
            f"{named}{node.product} {node.version} is too old",
            "herenow needs Redis 6.2 or newer, or Valkey 7.2 or newer",
        )
    if node.replica_in_sync is False:
        yield Finding("sync", f"{named}the link to its master is down", "see its log")
    for one in node.copies:
        if one.state != "online":
            yield Finding(
                "replica-sync",
                f"{named}its replica {one.name} is not in sync: {one.state}",
                "wait, or see the logs of both: until then a failover would lose who is online",
            )
        elif one.silent is not None and one.silent > SILENT:
            behind = "" if one.behind is None else f", and is {one.behind:,} bytes behind"
            yield Finding(
                "replica-lag",
                f"{named}its replica {one.name} has acknowledged nothing for {one.silent:.0f} s{behind}",
                "see whether it hangs: a failover would lose what it has not received",
            )
    yield from _of_memory(node, named)
    for what in node.write_errors:
        yield Finding(
            "persistence",
            f"{named}{what} can't be written: the server may refuse every mark until it can",
            "see its log; mostly the disk is full",
        )
    if node.clients and node.most_clients and node.clients > node.most_clients * NEARLY_FULL:
        yield Finding(
            "clients",
            f"{named}{node.clients:,} of {node.most_clients:,} clients are connected",
            "raise maxclients, or find who opens so many",
        )


def _of_memory(node: Node, named: str) -> Iterator[Finding]:
    if not node.limit:
        return
    full = (node.used or 0) / node.limit
    if node.policy == "noeviction":
        if full > NEARLY_FULL:
            yield Finding(
                "memory",
                f"{named}{full:.0%} of maxmemory is used, and at 100% marks are refused",
                "raise maxmemory",
            )
        return
    ours = (
        "every key of herenow has a TTL, so they are what it evicts"
        if (node.policy or "").startswith("volatile-")
        else "it may evict keys of herenow"
    )
    lost = f"; it has evicted {node.evicted:,} keys" if node.evicted else ""
    yield Finding(
        "eviction",
        f"{named}maxmemory-policy is {node.policy}, at {full:.0%} of maxmemory: {ours}, and with one "
        f"key a whole room is forgotten{lost}",
        "set maxmemory-policy noeviction, or give herenow a server of its own",
    )


def _of_rights(facts: Facts) -> Iterator[Finding]:
    who = f"user {facts.user}" if facts.user else "this user"
    rule = "give it the rights that `herenow acl` prints"
    if facts.scripts:
        yield Finding("scripts", f"scripts do not run for {who}: {facts.scripts}", rule)
    if facts.lacking:
        yield Finding("rights", f"{who} may not {', '.join(facts.lacking)}", rule)
    if facts.notifications:
        yield Finding(
            "notifications",
            f"{who} gets no notifications, so watches have to poll: {facts.notifications}",
            rule,
        )


def _of_waits(facts: Facts) -> Iterator[Finding]:
    if facts.timeout > SLOW_TIMEOUT:
        yield Finding(
            "timeout",
            f"a client that waits up to {facts.timeout:g} s holds a page as long when the store hangs",
            "take HERENOW_TIMEOUT, or socket_timeout in the URL, to 1 s or less: 0.25 is the default",
        )
    for node in facts.nodes:
        named = _named(node, facts)
        if node.latency is not None and node.latency > FAR:
            yield Finding(
                "latency",
                f"{named}a PING takes {node.latency * 1000:.0f} ms, and so does every answer to a page",
                "have the store near the site, and marks buffered (HERENOW_BUFFERED)",
            )
        if node.worst is not None and node.worst > facts.timeout:
            yield Finding(
                "worst",
                f"{named}a PING took {node.worst * 1000:.0f} ms, longer than the timeout of "
                f"{facts.timeout * 1000:.0f} ms",
                "see SLOWLOG GET and LATENCY DOCTOR there, or raise HERENOW_TIMEOUT",
            )


def _of_clocks(facts: Facts) -> Iterator[Finding]:
    for node in facts.nodes:
        if node.ahead is not None and abs(node.ahead) - (node.uncertain or 0) > CLOCK_OFF:
            way = "ahead of" if node.ahead > 0 else "behind"
            yield Finding(
                "clock",
                f"{_named(node, facts)}its clock is {abs(node.ahead):.1f} s {way} this machine's; "
                "who is online is right, but times follow the store's clock",
                "have both follow NTP",
            )
