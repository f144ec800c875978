"""Metrics, as Prometheus reads them: what this process did, and how many are online.

By Prometheus's conventions (base units, ``_total``), made by its own client library. No label ever holds
a user's id; rooms are labels, so only the busiest are shown.
"""

from collections.abc import Sequence
from functools import partial
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
_STATES: Final = ("closed", "half-open", "open")
_METRICS: Final[dict[str, tuple[Any, ...]]] = {
    "online": (Gauge, f"Online now, in the {MOST_ROOMS} busiest rooms, by kind.", "room", "kind"),
    "rooms": (Gauge, "Rooms shown by herenow_online."),
    "sightings": (Counter, "Sightings sent to the store."),
    "joins": (Counter, "Users who came online by these."),
    "leaves": (Counter, "Users who left, by a call from here or found by a sweep.", "reason"),
    "sweeps": (Counter, "Sweeps of rooms for whose window is over."),
    "store_errors": (Counter, "Calls that the store failed.", "error"),
    "store_latency_seconds": (partial(Histogram, buckets=_BUCKETS), "Round trips to the store."),
    "store_up": (Gauge, "Whether the store answered just now."),
    "breaker": (partial(Enum, states=_STATES), "Whether calls go through to the store."),
    "dropped": (Counter, "Sightings that were lost."),
    "streams": (Gauge, "Streams of events that are open."),
    "streams_opened": (Counter, "Streams that were opened."),
    "streams_cut": (Counter, "Streams cut off, for they were read too slowly."),
}
"""The type, the help and the labels of each."""


class Metrics:
    """What one process counts, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._all: dict[str, Any] = {
            name: metric(name, what, labels, registry=self._registry, namespace="herenow")
            for name, (metric, what, *labels) in _METRICS.items()
        }
        self._dropped_before = 0
        for reason in ("left", "timeout"):
            self._all["leaves"].labels(reason)
        for error in ("timeout", "unavailable", "refused"):
            self._all["store_errors"].labels(error)

    def observe(
        self, operations: Sequence[Operation[Any]], outcomes: Sequence[Outcome], seconds: float
    ) -> None:
        """Count one round trip; for `herenow.aio.observe`."""
        self._all["store_latency_seconds"].observe(seconds)
        for operation, outcome in zip(operations, outcomes, strict=False):
            if isinstance(outcome, StoreError):
                self._all["store_errors"].labels(_error(outcome)).inc()
                continue
            if not isinstance(outcome, Written):
                continue
            name = operation.script.name
            if name in _MARKING:
                self._all["sightings"].inc(marking.sightings_in(operation))
                self._all["joins"].inc(outcome.result)
            elif name == "leave":
                self._all["leaves"].labels("left").inc(outcome.result)
            elif name == "sweep":
                self._all["sweeps"].inc()
                self._all["leaves"].labels("timeout").inc(outcome.result)

    def streams_of(self, streams: Streams) -> None:
        """Show how many of these are open."""
        self._all["streams"].set_function(lambda: streams.count)

    def stream(self, what: str) -> None:
        """Count what happens to a stream; for `Streams`."""
        if what != "ended":
            self._all[f"streams_{what}"].inc()

    async def expose(self, presence: AsyncPresence, accept: str) -> tuple[bytes, str]:
        """Write all down, in the format that ``accept`` asks for, and its content type.

        Three round trips. An unavailable store leaves out who is online; `store_up` is 0 then.
        """
        health = await presence.health()
        try:
            rooms = await presence.rooms(MOST_ROOMS, include_hidden=True) if health.ok else []
        except StoreError:
            rooms = []
        self._fill(health, rooms)
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _fill(self, health: Health, rooms: Sequence[Room]) -> None:
        self._all["store_up"].set(health.ok)
        self._all["breaker"].state(health.breaker or "closed")
        self._all["dropped"].inc(max(0, health.dropped - self._dropped_before))
        self._dropped_before = max(health.dropped, self._dropped_before)
        self._all["rooms"].set(len(rooms))
        self._all["online"].clear()
        for room in rooms:
            counts = room.counts
            for kind in ("member", "hidden", "guest", "bot"):
                label = self._all["online"].labels(printable(room.name), kind)
                label.inc(getattr(counts, kind))  # two names may be shown alike


def _error(error: StoreError) -> str:
    if isinstance(error, StoreTimeout):
        return "timeout"
    return "unavailable" if isinstance(error, StoreUnavailable) else "refused"
