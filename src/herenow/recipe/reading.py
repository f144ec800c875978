"""Reading the recipe's keys of a live site: in small steps, each a millisecond of the store's at most.

SSCAN and SCAN instead of SUNION and KEYS, single GETs in pipelines: nothing is transferred whole, on a
cluster nothing crosses slots, and no command is sent that writes. Raises StoreError.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from time import monotonic
from typing import Any, Final, NamedTuple

from herenow.recipe.layout import Layout
from herenow.store import is_cluster, masters_of
from herenow.store.engine import Engine

AT_ONCE: Final = 400
_SAMPLE_AT_ONCE: Final = 100


class Activity(NamedTuple):
    """A user and the Unix seconds in their string; None if it is no number."""

    user: bytes
    seen: float | None


class Reader:
    """The recipe's keys in one store."""

    def __init__(self, engine: Engine, layout: Layout) -> None:
        self.layout = layout
        self._engine, self._client = engine, engine.client
        self._cluster = is_cluster(self._client)
        self._translating = engine.store.translating

    def clock(self) -> "Clock":
        """Read the store's clock once; this machine's carries it on."""
        return read_clock(self._engine)

    def users_of(self, minute: int) -> Iterator[list[bytes]]:
        """Scan who was active in one minute, by batches; users may come twice."""
        key, cursor = self.layout.set_key(minute), 0
        while True:
            with self._translating():
                cursor, users = self._client.sscan(key, cursor, count=AT_ONCE)
            if users:
                yield list(map(_bytes, users))
            if not cursor:
                return

    def activities(self) -> Iterator[list[Activity]]:
        """Scan the strings of all users, by batches; users may come twice."""
        pattern = self.layout.activity_pattern
        for node in self._nodes():
            cursor = 0
            while True:
                with self._translating():
                    cursor, keys = node.scan(cursor, match=pattern, count=AT_ONCE)
                if keys:
                    yield self._read(node, list(map(_bytes, keys)))
                if not cursor:
                    break

    def activities_of(self, users: Iterable[bytes]) -> Iterator[list[Activity]]:
        """Read the strings of some users, by batches; who has none any more is left out."""
        every = iter(users)
        while part := list(islice(every, AT_ONCE)):
            yield self._read(None, [self.layout.activity_key(user) for user in part])

    def _read(self, node: Any, keys: Sequence[bytes]) -> list[Activity]:
        values = self._ask("GET", keys, node)
        return [
            Activity(self.layout.user_of(key), _seconds(one))
            for key, one in zip(keys, values, strict=True)
            if one is not None
        ]

    # what it takes

    def set_sizes(self, minutes: Iterable[int]) -> list[tuple[int, int, int]]:
        """Measure the sets that are there: the minute, its users, its bytes."""
        found = []
        for minute in minutes:
            key = self.layout.set_key(minute)
            [users] = self._ask("SCARD", [key])
            if isinstance(users, int) and users:
                found.append((minute, users, self._ask("MEMORY USAGE", [key])[0] or 0))
        return found

    def activity_bytes(self, users: Iterable[bytes]) -> list[int]:
        """Measure the strings of some users, without what is gone already."""
        keys = [self.layout.activity_key(user) for user in users]
        sizes: list[int] = []
        for i in range(0, len(keys), _SAMPLE_AT_ONCE):
            sizes += filter(None, self._ask("MEMORY USAGE", keys[i : i + _SAMPLE_AT_ONCE]))
        return sizes

    def table_bytes(self) -> float | None:
        """Measure what the store's tables of keys and of their ends take a key, beside MEMORY USAGE.

        Of the whole database, so it is a mean; None if unknown.
        """
        database = f"db{self._client.get_connection_kwargs().get('db') or 0}"
        taken = keys = 0.0
        for node in self._nodes():
            with self._translating(), node.pipeline(transaction=False) as pipeline:
                pipeline.info("keyspace").info("server").execute_command("MEMORY", "STATS")
                keyspace, server, stats = pipeline.execute(raise_on_error=False)
            if any(isinstance(one, Exception) for one in (keyspace, server, stats)):
                return None  # this user may not ask
            held, sizes = keyspace.get(database), _named(stats).get(f"db.{database[2:]}")
            if not held or not sizes:
                continue
            sizes = _named(sizes)
            counted, in_ends = _counted(server)
            main = sizes["overhead.hashtable.main"] - counted * held["keys"]
            ends = sizes["overhead.hashtable.expires"] - in_ends * held["expires"]
            taken += main + ends * held["keys"] / max(1, held["expires"])
            keys += held["keys"]
        return max(0.0, taken) / keys if keys else 0.0

    def product(self) -> str:
        """Tell Valkey from Redis, and Redis 6 from later ones: they take different room."""
        with self._translating():
            info = self._nodes()[0].info("server")
        if "valkey_version" in info:
            return "Valkey"
        return "Redis 6" if str(info.get("redis_version", "")).startswith("6.") else "Redis"

    def _ask(self, command: str, keys: Sequence[bytes], node: Any = None) -> list[Any]:
        """Ask the same of some keys, of ``node`` where all are there: one round trip (a node)."""
        asked = self._client if node is None else node
        spread = self._cluster and node is None
        with (
            self._translating(),
            asked.pipeline() if spread else asked.pipeline(transaction=False) as pipeline,
        ):
            for key in keys:
                where = {"target_nodes": asked.get_node_from_key(key)} if spread else {}
                pipeline.execute_command(command, key, **where)
            replies = pipeline.execute(raise_on_error=False)
            for one in replies:
                if isinstance(one, Exception) and "WRONGTYPE" not in str(one):
                    raise one
        return list(replies)

    def _nodes(self) -> list[Any]:
        with self._translating():
            return [node for _, node in masters_of(self._client)]


class Clock(NamedTuple):
    """A store's clock, carried on by this machine's monotonic one, which it is ``ahead`` of."""

    ahead: float

    def now(self) -> float:
        """The moment now, in Unix seconds of the store."""
        return self.ahead + monotonic()


def read_clock(engine: Engine) -> Clock:
    """Read a store's clock: its reply is from halfway between the request and the reply."""
    with engine.store.translating():
        _, node = masters_of(engine.client)[0]
        before = monotonic()
        seconds, micro = node.time()
    return Clock(seconds + micro / 1e6 - (before + monotonic()) / 2)


def _counted(server: Mapping[str, Any]) -> tuple[int, int]:
    """How many of a key's bytes the store counts twice, or not at all: in its keys, in their ends.

    In its keys the head of a value, and its entry in the table where that is one: MEMORY USAGE has both.
    Redis 8.2 keeps most keys in the slots of its tables, and counts an entry for each.
    """
    if "valkey_version" in server:
        return (16 if _release(server["valkey_version"]) >= (8, 1) else 40), 0
    return (32, 16) if _release(server.get("redis_version", "")) >= (8, 2) else (40, 0)


def _release(version: object) -> tuple[int, ...]:
    return tuple(int(one) for one in str(version).split(".")[:2] if one.isdecimal())


def _named(raw: Any) -> dict[str, Any]:
    """Read names and what they stand for, however the client gives them."""
    pairs = raw.items() if isinstance(raw, Mapping) else zip(raw[::2], raw[1::2], strict=True)
    return {_bytes(name).decode(): value for name, value in pairs}


def _seconds(raw: Any) -> float | None:
    """Parse a string's Unix seconds; None for anything else."""
    try:
        seen = float(raw)
    except (TypeError, ValueError):
        return None
    return seen if 0 <= seen < 1e11 else None  # noqa: PLR2004 - the year 5138: no NaN, no milliseconds


def _bytes(raw: Any) -> bytes:
    return raw if isinstance(raw, bytes) else str(raw).encode()
