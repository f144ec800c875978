"""Reading the recipe's keys of a live site: in small steps, each a millisecond of the store's at most.

SSCAN and SCAN instead of SUNION and KEYS, single GETs in pipelines: nothing is transferred whole, on a
cluster nothing crosses slots, and no command is sent that writes. Raises StoreError.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from time import monotonic
from typing import Any, Final, NamedTuple

from herenow.connection import is_cluster, masters_of
from herenow.execution import Engine
from herenow.recipe.layout import Layout

AT_ONCE: Final = 400
_SAMPLE_AT_ONCE: Final = 100


class Activity(NamedTuple):
    """What the string of a user says: Unix seconds; None where it is no number."""

    user: bytes
    seen: float | None


class Reader:
    """The recipe's keys in one store."""

    def __init__(self, engine: Engine, layout: Layout) -> None:
        self.layout = layout
        self._engine, self._client = engine, engine.client
        self._cluster = is_cluster(self._client)
        self._telling = engine.store.telling

    def clock(self) -> "Clock":
        """Read the store's clock once, to be told on by this machine's."""
        return read_clock(self._engine)

    def users_of(self, minute: int) -> Iterator[list[bytes]]:
        """Scan who was active in one minute, by batches; users may come twice."""
        key, cursor = self.layout.set_key(minute), 0
        while True:
            with self._telling():
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
                with self._telling():
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
        said = self._ask("GET", keys, node)
        return [
            Activity(self.layout.user_of(key), _seconds(one))
            for key, one in zip(keys, said, strict=True)
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

    def product(self) -> str:
        """Tell Valkey from Redis, and Redis 6 from later ones: they take different room."""
        with self._telling():
            info = self._nodes()[0].info("server")
        if "valkey_version" in info:
            return "Valkey"
        return "Redis 6" if str(info.get("redis_version", "")).startswith("6.") else "Redis"

    def _ask(self, command: str, keys: Sequence[bytes], node: Any = None) -> list[Any]:
        """Ask the same of some keys, of ``node`` where all are there: one round trip (a node)."""
        asked = self._client if node is None else node
        spread = self._cluster and node is None
        with (
            self._telling(),
            asked.pipeline() if spread else asked.pipeline(transaction=False) as pipeline,
        ):
            for key in keys:
                where = {"target_nodes": asked.get_node_from_key(key)} if spread else {}
                pipeline.execute_command(command, key, **where)
            said = pipeline.execute(raise_on_error=False)
            for one in said:
                if isinstance(one, Exception) and "WRONGTYPE" not in str(one):
                    raise one
        return list(said)

    def _nodes(self) -> list[Any]:
        with self._telling():
            return [node for _, node in masters_of(self._client)]


class Clock(NamedTuple):
    """A store's clock as this machine tells it on; ``ahead`` of its own monotonic one."""

    ahead: float

    def now(self) -> float:
        """The moment now, in Unix seconds of the store."""
        return self.ahead + monotonic()


def read_clock(engine: Engine) -> Clock:
    """Ask a store for its time: what it answers was so halfway between question and answer."""
    with engine.store.telling():
        _, node = masters_of(engine.client)[0]
        before = monotonic()
        seconds, micro = node.time()
    return Clock(seconds + micro / 1e6 - (before + monotonic()) / 2)


def _seconds(raw: Any) -> float | None:
    """Read what a string says; an error, where it is no string, says nothing."""
    try:
        seen = float(raw)
    except (TypeError, ValueError):
        return None
    return seen if 0 <= seen < 1e11 else None  # noqa: PLR2004 - the year 5138: no NaN, no milliseconds


def _bytes(raw: Any) -> bytes:
    return raw if isinstance(raw, bytes) else str(raw).encode()
