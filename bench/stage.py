"""The stage: a real server, rooms with people in them, the opponents; and the rows of the table.

A row is a function of the stage, registered with what it must reach and what it aims at. Every row
that writes has rooms of its own.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis

import herenow
from bench.opponents import BareSet, Recipe, parts
from bench.timing import Figures, Side, fight
from tests.servers import Server, binary, start_server

WINDOW: Final = 3600
"""Longer than the bench runs: whoever is put in stays online."""


@dataclass(frozen=True)
class Measured:
    """What a row came to: the figure, and what stands behind it."""

    figure: float
    note: str
    best_of: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row: its figure must and aims to be at least (``more``) or at most so much."""

    what: str
    measure: "Callable[[Stage], Measured]"
    unit: str
    must: float | None
    aim: float | None
    more: bool
    full_size_only: bool

    def verdict(self, figure: float) -> str:
        def reached(goal: float | None) -> bool:
            return goal is None or (figure >= goal if self.more else figure <= goal)

        return "MISS" if not reached(self.must) else "aim" if reached(self.aim) else "ok"


ROWS: Final[list[Row]] = []


def row(
    what: str,
    unit: str,
    *,
    must: float | None,
    aim: float | None,
    more: bool = False,
    full_size_only: bool = False,
) -> Callable[["Callable[[Stage], Measured]"], "Callable[[Stage], Measured]"]:
    """Register a row; ``full_size_only`` when its goals say nothing of a --quick run."""

    def register(measure: "Callable[[Stage], Measured]") -> "Callable[[Stage], Measured]":
        ROWS.append(Row(what, measure, unit, must, aim, more, full_size_only))
        return measure

    return register


def times_cheaper(bouts: list[Figures]) -> Measured:
    """Tell how many times the opponent's time is ours."""
    return Measured(1 / bouts[0].ratio, _note(bouts[0]), tuple(1 / one.ratio for one in bouts))


def times_as_long(bouts: list[Figures]) -> Measured:
    """Tell how many times the opponent's our time is."""
    return Measured(bouts[0].ratio, _note(bouts[0]), tuple(one.ratio for one in bouts))


def _note(figures: Figures) -> str:
    return f"{_microseconds(figures.ours)} : {_microseconds(figures.theirs)}"


def _microseconds(seconds: float) -> str:
    value = seconds * 1e6
    return f"{value:,.0f} µs" if value >= 100 else f"{value:.3g} µs"  # noqa: PLR2004


class Stage:
    """One server and what is on it."""

    def __init__(self, server: Server, *, quick: bool, unix: bool) -> None:
        self.server = server
        self.quick = quick
        self.many = 100_000 if quick else 1_000_000
        self.url = server.unix_url if unix else server.url
        self._fresh = itertools.count()
        self._rooms: dict[str, herenow.Presence] = {}
        # a slow sweep or a huge reply is to be measured, not to time out
        self.presence = self.open(resolution=0)
        self.client = redis.Redis.from_url(self.url)  # the opponents'
        self.recipe = Recipe(self.client)

    def open(self, **options: Any) -> herenow.Presence:
        return herenow.Presence(self.url, **{"window": WINDOW, "timeout": 60} | options)

    def room(self, name: str, online: int, *, history: bool = False) -> herenow.Presence:
        """Get a room that so many members are in, without `resolution`; filled the first time."""
        if name not in self._rooms:
            self._rooms[name] = room = self.presence.room(name, history=history)
            for part in parts(self.users(online), 10_000):
                room.mark_online_many(part)
        return self._rooms[name]

    def bare_set(self, name: str, online: int) -> BareSet:
        """Get a bare sorted set with as many users in it, the same ones."""
        bare = BareSet(self.client, f"bare:{name}")
        self.client.delete(bare.key)
        bare.fill(self.users(online))
        return bare

    def small(self) -> herenow.Presence:
        """A room with 1,000 members online."""
        return self.room("small", 1000)

    def big(self) -> herenow.Presence:
        """A room with 1,000,000 members online."""
        return self.room("big", self.many)

    @staticmethod
    def users(count: int) -> list[str]:
        """Name those who are online: as long as many an id is."""
        return [f"user:{i:07}" for i in range(count)]

    def fresh(self, count: int) -> list[str]:
        """Name users never seen before."""
        return [f"new:{i:08}" for i in itertools.islice(self._fresh, count)]

    def ping(self) -> Side:
        """PING through herenow's own client."""
        client = self.presence.client
        return Side(lambda _: client.ping())

    def fight(
        self, ours: Side, theirs: Side, calls: tuple[int, int] | None = None
    ) -> list[Figures]:
        return fight(ours, theirs, seconds=0.6 if self.quick else 1.8, calls=calls)

    def used_memory(self) -> int:
        return int(self.client.info("memory")["used_memory"])


@contextmanager
def on_stage(*, quick: bool, unix: bool) -> Iterator[Stage]:
    """Start a server and set the stage."""
    with start_server(binary("valkey-9.1")) as server:
        stage = Stage(server, quick=quick, unix=unix)
        try:
            yield stage
        finally:
            stage.client.close()
            stage.presence.close()
