"""What a replayed log came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from herenow.models import Peak


@dataclass(frozen=True, slots=True)
class Figures:
    """What a log came to. Times are aware UTC datetimes, the window is in seconds.

    ``series`` holds the number online at every full minute from ``begins`` on. ``uniques_estimated`` is
    what the store's HyperLogLogs say of the same visitors, bots aside, over the days (UTC) from the first
    sighting to the last; None where they can't tell: over more than 400 days, or of guests over several.
    """

    window: float
    lines: int
    malformed: int
    skipped: int
    first: datetime | None
    last: datetime | None
    begins: datetime | None
    series: Sequence[int]
    exact_peak: Peak
    uniques: int
    uniques_per_day: dict[date, int]
    bots: int
    uniques_estimated: int | None = None

    @property
    def peak(self) -> Peak:
        """The most online at a full minute, and the first one with so many."""
        if not self.series or self.begins is None or not max(self.series):
            return Peak(0, None)
        most = max(self.series)
        at = self.begins.timestamp() + 60 * self.series.index(most)
        return Peak(most, datetime.fromtimestamp(at, UTC))

    @property
    def mean(self) -> float:
        """The mean number online over the full minutes."""
        return sum(self.series) / len(self.series) if self.series else 0.0

    @property
    def online_at_end(self) -> int:
        """The number online at the last full minute."""
        return self.series[-1] if self.series else 0
