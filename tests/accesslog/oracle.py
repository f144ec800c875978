"""A log's figures as anybody would reckon them, slowly: by strptime, sets and lists.

It shares nothing with herenow. `figures` takes the bytes of the logs, the window in seconds.
"""

import re
from datetime import UTC, datetime
from typing import Any

MINUTE = 60


def read(data: bytes) -> tuple[int, list[tuple[int, str, bytes]]]:
    """Count the lines; each that counts as its second, its local date and its host."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    found = []
    for line in lines:
        words = line.lstrip(b"\0 \t\r\v\f").split(None, 1)
        if len(words) < 2:
            continue
        stamp = stamp_of(words[1])
        try:
            local = datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z")
        except ValueError:
            continue
        found.append((int(local.timestamp()), local.date().isoformat(), words[0]))
    return len(lines), found


def stamp_of(rest: bytes) -> str:
    """What stands in the last brackets before the request: a user name may have some too."""
    before = re.split(rb'(?<!\\)"', rest.replace(b'""', b"-", 1))[
        0
    ]  # how Apache writes an empty user
    found = re.findall(rb"\[(\d\d?/[A-Za-z]{3}/[^\]\[]*)\]", before)
    return found[-1].decode("latin-1") if found else ""


def said(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def online(events: list[tuple[int, str, bytes]], at: float, window: float) -> int:
    return len({host for second, _, host in events if at - window < second <= at})


def figures(data: bytes, window: float) -> dict[str, Any]:
    """What `herenow replay --json` is to print, but for what it says beside."""
    lines, events = read(data)
    events.sort(key=lambda one: one[0])
    nothing = {"count": 0, "at": None}
    whole: dict[str, Any] = {
        "window": window,
        "lines": lines,
        "malformed": lines - len(events),
        "first": None,
        "last": None,
        "peak": nothing,
        "exact_peak": nothing,
        "mean": 0.0,
        "uniques": len({host for _, _, host in events}),
        "uniques_per_day": {},
        "online_at_end": 0,
        "series": [],
    }
    if not events:
        return whole
    first, last = events[0][0], events[-1][0]
    minutes = range(-(-first // MINUTE) * MINUTE, -(-last // MINUTE) * MINUTE + 1, MINUTE)
    series = [(at, online(events, at, window)) for at in minutes]
    days: dict[str, set[bytes]] = {}
    for _, day, host in events:
        days.setdefault(day, set()).add(host)
    moments = sorted({second for second, _, _ in events})
    at_moments = [(second, online(events, second, window)) for second in moments]
    return whole | {
        "first": said(first),
        "last": said(last),
        "peak": _peak(series),
        "exact_peak": _peak(at_moments),
        "mean": sum(count for _, count in series) / len(series),
        "uniques_per_day": {day: len(hosts) for day, hosts in sorted(days.items())},
        "online_at_end": series[-1][1],
        "series": [[said(at), count] for at, count in series],
    }


def _peak(series: list[tuple[int, int]]) -> dict[str, Any]:
    most = max(count for _, count in series)
    if not most:
        return {"count": 0, "at": None}
    return {"count": most, "at": said(next(at for at, count in series if count == most))}


def most_of_minutes(data: bytes, window: float) -> dict[str, int]:
    """The largest number online within each minute, where anybody was, up to the last event's."""
    _, events = read(data)
    most: dict[int, int] = {}
    moments = {second for second, _, _ in events}
    last = max(moments)
    first = min(moments) // MINUTE * MINUTE
    for at in sorted({*moments, *range(first, last + 1, MINUTE)}):
        minute = at // MINUTE * MINUTE
        most[minute] = max(most.get(minute, 0), online(events, at, window))
    return {said(minute): count for minute, count in most.items() if count}
