"""The summary of a replayed log: counts, peaks, and the series of who was online. Plain data."""

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from herenow.models import Peak

_MINUTE: Final = 60_000
DEFAULT_SILENCE: Final = 31 * 86_400.0
"""Seconds: one stray line may be decades off, and a series with all these minutes would not end."""


@dataclass(frozen=True, slots=True)
class Series:
    """The number online at each full minute, from ``begins`` up to ``until``, in milliseconds.

    ``parts`` are the minutes with somebody there, or nearly so; between them nobody was. A gap longer
    than ``silence`` milliseconds is left out, and none of its minutes counts; others are zeros, made as
    they are asked for: what it takes goes by the sightings, not by the years between them.
    """

    begins: int = -1
    until: int = -1
    parts: Sequence[tuple[int, Sequence[int]]] = field(default=(), repr=False)
    silence: int = round(DEFAULT_SILENCE * 1000)

    def _gaps(self) -> Iterator[tuple[int, int, Sequence[int]]]:
        """Each gap, from where to where, and the part that follows it."""
        at = self.begins
        for begins, counts in self.parts:
            yield at, begins, counts
            at = begins + _MINUTE * len(counts)
        yield at, self.until, ()

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Everything in order: from which moment on, how many were online, for how many minutes."""
        for begins, ends, counts in self._gaps():
            if begins < ends <= begins + self.silence:
                yield begins, 0, (ends - begins) // _MINUTE
            for i, count in enumerate(counts):
                yield ends + _MINUTE * i, count, 1

    @property
    def silences(self) -> list[tuple[int, int]]:
        """What is left out: from the first moment without anybody to the first with somebody."""
        return [(one, other) for one, other, _ in self._gaps() if other - one > self.silence]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Each full minute, and how many were online."""
        for at, count, minutes in self.runs():
            for i in range(minutes):
                yield at + _MINUTE * i, count

    def __len__(self) -> int:
        return sum(minutes for _, _, minutes in self.runs())

    def moment(self, index: float) -> int:
        """When the minute of an index is."""
        left, last = int(index), self.begins
        for at, _, minutes in self.runs():
            if left < minutes:
                return at + _MINUTE * left
            left, last = left - minutes, at + _MINUTE * (minutes - 1)
        return last

    @property
    def peak(self) -> tuple[int, int, int]:
        """The most, at which index and moment it was first reached."""
        most, index, when, passed = 0, 0, self.begins, 0
        for at, count, minutes in self.runs():
            if count > most:
                most, index, when = count, passed, at
            passed += minutes
        return most, index, when

    def buckets(self, most: int) -> list[int]:
        """Draw it in at most so many steps: the largest number of each."""
        whole = len(self)
        step = max(1, -(-whole // most))
        found, passed = array("I", bytes(4 * -(-whole // step))), 0
        for _, count, minutes in self.runs():
            found[passed // step] = max(found[passed // step], count)
            passed += minutes
        return found.tolist()


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of a log. Times are aware UTC datetimes, the window is in seconds.

    ``series`` holds the number online at every full minute from ``begins`` on, but for silences.
    ``uniques_estimated`` is the store's HyperLogLog count of the same visitors, without bots, over the
    days (UTC) from the first sighting to the last; None for more than 400 days, or guests over several.
    """

    window: float
    lines: int
    malformed: int
    skipped: int
    first: datetime | None
    last: datetime | None
    begins: datetime | None
    series: Series
    exact_peak: Peak
    uniques: int
    uniques_per_day: dict[date, int]
    bots: int
    uniques_estimated: int | None = None

    @property
    def peak(self) -> Peak:
        """The most online at a full minute, and the first one with so many."""
        most, _, at = self.series.peak
        return Peak(most, datetime.fromtimestamp(at / 1000, UTC)) if most else Peak(0, None)

    @property
    def mean(self) -> float:
        """The mean number online over the full minutes."""
        minutes = len(self.series)
        return sum(count * n for _, count, n in self.series.runs()) / minutes if minutes else 0.0

    @property
    def online_at_end(self) -> int:
        """The number online at the last full minute."""
        end = deque(self.series.runs(), maxlen=1)
        return end[0][1] if end else 0
