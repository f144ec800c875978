"""Metrics, as Prometheus reads them: what this process did, and how many are online.

By Prometheus's conventions (base units, ``_total``), made by its own client library. No label ever holds
a user's id; rooms are labels, so only the busiest are told.
"""

from collections.abc import Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from herenow.aio import AsyncPresence
from herenow.errors import StoreError, StoreTimeout, StoreUnavailable
from herenow.models import Health, Room
from herenow.operations import Operation, Outcome, marking
from herenow.operations.marking import Written
from herenow.service.streaming import Streams
from herenow.web.escapes import printable

MOST_ROOMS: Final = 50
"""How many rooms have a label of their own: the busiest."""
_MARKING: Final = {"mark", "touch"}
_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """What one process counts, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        here: Any = {"registry": self._registry, "namespace": "herenow"}
        self._online = Gauge(
            "online",
            f"Online now, in the {MOST_ROOMS} busiest rooms, by kind.",
            ["room", "kind"],
            **here,
        )
        self._rooms = Gauge("rooms", "Rooms told by herenow_online.", **here)
        self._sightings = Counter("sightings", "Sightings sent to the store.", **here)
        self._joins = Counter("joins", "Users who came online by these.", **here)
        self._leaves = Counter(
            "leaves", "Users who left, as said here or found by a sweep.", ["reason"], **here
        )
        self._sweeps = Counter("sweeps", "Sweeps of rooms for whose window is over.", **here)
        self._errors = Counter("store_errors", "Calls that the store failed.", ["error"], **here)
        self._latency = Histogram(
            "store_latency_seconds", "Round trips to the store.", buckets=_BUCKETS, **here
        )
        self._up = Gauge("store_up", "Whether the store answered just now.", **here)
        self._breaker = Enum(
            "breaker",
            "Whether calls go through to the store.",
            states=["closed", "half-open", "open"],
            **here,
        )
        self._dropped = Counter("dropped", "Sightings that were lost.", **here)
        self._dropped_before = 0
        self._streams = Gauge("streams", "Streams of events that are open.", **here)
        self._opened = Counter("streams_opened", "Streams that were opened.", **here)
        self._cut = Counter(
            "streams_cut", "Streams cut off, for they were read too slowly.", **here
        )
        for reason in ("left", "timeout"):
            self._leaves.labels(reason)
        for error in ("timeout", "unavailable", "refused"):
            self._errors.labels(error)

    def observe(
        self, operations: Sequence[Operation[Any]], outcomes: Sequence[Outcome], seconds: float
    ) -> None:
        """Count one round trip; for `herenow.aio.observe`."""
        self._latency.observe(seconds)
        for operation, outcome in zip(operations, outcomes, strict=False):
            if isinstance(outcome, StoreError):
                self._errors.labels(_error(outcome)).inc()
                continue
            if not isinstance(outcome, Written):
                continue
            name = operation.script.name
            if name in _MARKING:
                self._sightings.inc(marking.sightings_in(operation))
                self._joins.inc(outcome.result)
            elif name == "leave":
                self._leaves.labels("left").inc(outcome.result)
            elif name == "sweep":
                self._sweeps.inc()
                self._leaves.labels("timeout").inc(outcome.result)

    def streams_of(self, streams: Streams) -> None:
        """Tell how many of these are open."""
        self._streams.set_function(lambda: streams.count)

    def stream(self, what: str) -> None:
        """Count what happens to a stream; for `Streams`."""
        if what == "opened":
            self._opened.inc()
        elif what == "cut":
            self._cut.inc()

    async def expose(self, presence: AsyncPresence, accept: str) -> tuple[bytes, str]:
        """Write all down, in the format that ``accept`` asks for, and its content type.

        Three round trips. An unavailable store leaves out who is online; `store_up` is 0 then.
        """
        health = await presence.health()
        try:
            rooms = await presence.rooms(MOST_ROOMS, include_hidden=True) if health.ok else []
        except StoreError:
            rooms = []
        self._tell(health, rooms)
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _tell(self, health: Health, rooms: Sequence[Room]) -> None:
        self._up.set(health.ok)
        self._breaker.state(health.breaker or "closed")
        self._dropped.inc(max(0, health.dropped - self._dropped_before))
        self._dropped_before = max(health.dropped, self._dropped_before)
        self._rooms.set(len(rooms))
        self._online.clear()
        for room in rooms:
            counts = room.counts
            for kind in ("member", "hidden", "guest", "bot"):
                label = self._online.labels(printable(room.name), kind)
                label.inc(getattr(counts, kind))  # two names may be shown alike


def _error(error: StoreError) -> str:
    if isinstance(error, StoreTimeout):
        return "timeout"
    return "unavailable" if isinstance(error, StoreUnavailable) else "refused"
