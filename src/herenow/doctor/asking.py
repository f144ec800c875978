"""Collect facts about a store by commands that write nothing, one server of a cluster after another.

What the store's user may not read stays unknown; only a store that does not answer at all is an error.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any, Final, TypeVar

from herenow.doctor.facts import Facts, Node, Online, Topology, misnamed, read_node
from herenow.errors import StoreError
from herenow.operations import keys
from herenow.operations import online as operations
from herenow.operations.scope import Scope
from herenow.outbox.outbox import Outbox
from herenow.store import masters_of, node_of, rights
from herenow.store.engine import Engine
from herenow.store.urls import parse

T = TypeVar("T")
PINGS: Final = 50
_CLOCKS: Final = 5
_ROOMS: Final = 10
_CHECK: Final = """
if not redis.acl_check_cmd then return false end
local lacking = {}
for i, name in ipairs(ARGV) do
  local keyless = string.find(' TIME INFO ', ' ' .. name .. ' ', 1, true)
  local args = keyless and {} or {KEYS[1], KEYS[1], KEYS[1]}
  local known, may = pcall(redis.acl_check_cmd, name, unpack(args))
  if known and not may then lacking[#lacking + 1] = name end
end
return lacking
"""


def examine(engine: Engine, core: Outbox, url: str, timeout: float) -> Facts:
    """Collect the facts about the store that a URL names; raises StoreError if it is unavailable.

    ``timeout`` in seconds is the site's, unless the URL has one. Some 60 round trips a server. Writes
    nothing.
    """
    target = parse(url)
    client = engine.client
    cluster = target.kind == "cluster"
    with engine.store.translating():
        masters = masters_of(client)
    nodes = tuple(_node(engine, name, one) for name, one in masters)
    answering = [one for one in nodes if one.unavailable is None]
    if not answering:
        why = next((one.unavailable for one in nodes), None)
        raise StoreError(why or "no server of the cluster is known")
    scope = core.scopes.site
    facts: dict[str, Any] = {}
    topology = _topology(target.kind, answering[0])
    if not misnamed(answering[0], topology):
        redis_6 = answering[0].redis_6
        facts = {
            "online": tuple(_online(engine, core)),
            "user": _user(engine),
            "scripts": _try(engine, lambda: engine.call(operations.counts(scope)))[1],
            "lacking": _lacking(engine, scope, redis_6=redis_6),
            "notifications": _try(engine, lambda: _hear(client, scope))[1],
        }
    return Facts(
        topology=topology,
        nodes=nodes,
        timeout=float(target.options.get("socket_timeout", timeout)),
        sentinels=_sentinels(engine, target.path) if target.kind == "sentinel" else None,
        slots_served=_slots(engine) if cluster else None,
        **facts,
    )


def _topology(kind: str, node: Node) -> Topology:
    if kind in ("sentinel", "cluster", "embedded"):
        return kind  # type: ignore[return-value]
    if node.role == "slave":
        return "replica"
    return "replicated" if node.replicas else "single"


def _node(engine: Engine, name: str, client: Any) -> Node:
    def timed() -> list[float]:
        client.ping()  # it connects
        return sorted(_timed(client.ping)[1] for _ in range(PINGS))

    took, why = _try(engine, timed)
    if took is None:
        return Node(name, unavailable=why)
    ahead, uncertain = _clock(engine, client)
    config = _value(engine, lambda: client.config_get("save"))
    return read_node(
        name,
        _value(engine, client.info) or {},
        latency=median(took),
        worst=took[-1],
        ahead=ahead,
        uncertain=uncertain,
        saves=bool(_text(config.get("save", config.get(b"save")))) if config else None,
    )


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    answer = call()
    return answer, time.perf_counter() - began


def _clock(engine: Engine, client: Any) -> tuple[float | None, float | None]:
    """By how much a server's clock is ahead, by the quickest of a few replies; and the uncertainty."""
    found: list[tuple[float, float]] = []
    for _ in range(_CLOCKS):
        before = time.time()
        reply = _value(engine, lambda: _timed(client.time))
        if reply is None:
            return None, None
        (seconds, micro), took = reply
        found.append((took / 2, seconds + micro / 1e6 - (before + took / 2)))
    uncertain, ahead = min(found)
    return ahead, uncertain


def _online(engine: Engine, core: Outbox) -> Iterator[Online]:
    """Measure the sorted sets of the site and of the busiest rooms."""
    client, prefix = engine.client, core.scopes.site.prefix
    listed = _value(engine, lambda: client.zrevrange(keys.rooms_key(prefix), 0, _ROOMS - 1)) or []
    for room in dict.fromkeys([core.scopes.site.room, *map(_text, listed)]):
        for kind, place in keys.ONLINE.items():
            key = core.scopes.room(room).keys[place]
            users = _value(engine, partial(client.zcount, key, "-inf", 4e15))  # not the window
            size = _value(engine, partial(client.memory_usage, key)) if users else None
            if users and size:
                yield Online(room, kind, users, size)


def _lacking(engine: Engine, scope: Scope, *, redis_6: bool) -> tuple[str, ...] | None:
    """Find the commands that this user may not call: a script can, since Redis 7."""
    tried = (*rights.SCRIPTS, *rights.HEARING)  # by what else is asked here
    asked = [one for one in rights.commands(redis_6=redis_6) if one not in tried]
    check = partial(engine.client.execute_command, "EVAL", _CHECK, 1, scope.keys[keys.EVENTS])
    names = _value(engine, lambda: check(*asked))
    return None if names is None else tuple(map(_text, names))


def _hear(client: Any, scope: Scope, verb: str = "SSUBSCRIBE") -> None:
    """Subscribe to a room's notifications, and disconnect."""
    channel = scope.keys[keys.EVENTS]
    line = node_of(client, channel).line()
    try:
        line.connect()
        line.send_command(verb, channel, check_health=False)
        line.read_response()
    except Exception as error:
        if verb == "SUBSCRIBE" or "unknown command" not in str(error).lower():
            raise
        _hear(client, scope, "SUBSCRIBE")  # Redis 6.2
    finally:
        line.disconnect()


def _sentinels(engine: Engine, service: str) -> tuple[int, int]:
    """Count the sentinels that know the master, of those that the URL names."""
    every = engine.client.connection_pool.sentinel_manager.sentinels
    asked = [partial(one.sentinel_get_master_addr_by_name, service) for one in every]
    return sum(_value(engine, one) is not None for one in asked), len(every)


def _slots(engine: Engine) -> int | None:
    served = _value(engine, engine.client.cluster_slots)
    if not isinstance(served, dict):
        return None
    return sum(int(last) - int(first) + 1 for first, last in served)


def _user(engine: Engine) -> str | None:
    name = _value(engine, lambda: engine.client.execute_command("ACL", "WHOAMI"))
    return None if name is None else _text(name)


def _try(engine: Engine, call: Callable[[], T]) -> tuple[T | None, str | None]:
    """Call; the answer, and None, or the reason why the store refused or did not answer."""
    try:
        return call(), None
    except Exception as error:
        translated = engine.store.translate(error)
        if not isinstance(translated, StoreError):
            raise
        return None, str(translated)


def _value(engine: Engine, call: Callable[[], Any]) -> Any:
    """Call; None if this user may not, or the server does not know the command."""
    return _try(engine, call)[0]


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
