"""Moments as logs write them: whole milliseconds since 1970, and the local date they were written on.

None for whatever is no moment: the 32nd of January, 25 o'clock, a leap second (no clock of a store can
say it), a time before 1970. Pure.
"""

import re
from calendar import timegm
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final, NamedTuple

_MONTHS: Final = b"jan feb mar apr may jun jul aug sep oct nov dec".split()
_CLF: Final = re.compile(
    rb"(\d\d?)/([A-Za-z]{3})/(\d{4}):(\d\d?):(\d\d?):(\d\d?)(?:\.(\d{1,9}))?"
    rb" (?:([+-])(\d\d):?([0-5]\d)|Z)"
)
_NUMBER: Final = re.compile(rb"\d{1,20}(?:\.\d{1,20})?")
_LATEST: Final = 253_402_214_400_000
"""The last day of the year 9999: a moment a day later must still be a date."""
_EPOCHS: Final = ((10**11, 1000.0), (10**14, 1.0), (10**17, 1e-3), (10**20, 1e-6))
"""Limits below which a number since 1970 counts seconds, milli-, micro- or nanoseconds; unit in ms."""


class Moment(NamedTuple):
    """Milliseconds since 1970, and the local date as a day's number (`date.toordinal`)."""

    ms: int
    day: int


@lru_cache(maxsize=4096)
def read_clf(stamp: bytes) -> Moment | None:
    """Read ``01/Aug/1995:00:00:01 -0400``, with or without a fraction of the second."""
    match = _CLF.fullmatch(stamp)
    if match is None:
        return None
    day, month, year, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    try:
        local = datetime(  # noqa: DTZ001 - the zone is reckoned with below
            int(year),
            _MONTHS.index(month.lower()) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
        )
    except ValueError:
        return None
    offset = 0 if sign is None else int(hours) * 3600 + int(minutes) * 60
    if offset >= 86_400:  # noqa: PLR2004 - a day
        return None
    seconds = timegm(local.timetuple()) - (-offset if sign == b"-" else offset)
    ms = seconds * 1000 + int((fraction or b"0").ljust(3, b"0")[:3])
    return _moment(ms, local.date())


@lru_cache(maxsize=4096)
def read_iso(stamp: bytes) -> Moment | None:
    """Read an ISO 8601 moment; one without a zone is in UTC."""
    try:
        local = datetime.fromisoformat(stamp.decode("ascii").strip())
    except ValueError:  # UnicodeDecodeError is one
        return None
    if local.tzinfo is None:
        local = local.replace(tzinfo=UTC)
    try:
        since = local - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        return None
    ms = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    return _moment(ms, local.date())


def read_epoch(stamp: bytes, unit: float | None = None) -> Moment | None:
    """Read a number since 1970, of ``unit`` milliseconds; None: guessed from its size."""
    if _NUMBER.fullmatch(stamp) is None:
        return None
    number = float(stamp)
    if unit is None:
        unit = next((one for most, one in _EPOCHS if number < most), 1000.0)
    whole, _, fraction = stamp.partition(b".")
    if unit == 1000.0:  # noqa: PLR2004 - seconds: exactly, a float would round
        ms = int(whole) * 1000 + int(fraction.ljust(3, b"0")[:3] or 0)
    else:
        ms = int(number * unit)
    if ms >= _LATEST:
        return None
    return _moment(ms, datetime.fromtimestamp(ms // 1000, UTC).date())


def read_any(stamp: bytes) -> Moment | None:
    """Read whichever of these it is."""
    return read_epoch(stamp) or read_iso(stamp) or read_clf(stamp.strip(b"[]"))


def _moment(ms: int, day: date) -> Moment | None:
    return Moment(ms, day.toordinal()) if 0 <= ms < _LATEST else None


ReadTime = Callable[[bytes], Moment | None]
