"""The summary of a replay as JSON, as a curve on a terminal, and as an HTML page.

The page is one file that loads nothing else, light or dark as its reader's system is.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

from herenow.accesslog import Summary
from herenow.accesslog.replaying import moment
from herenow.cli.plotting import curve, time_label
from herenow.models import Peak
from herenow.web.escapes import printable
from herenow.web.json_form import json_form

_WIDTH, _HEIGHT = 960, 260
_COLUMNS: Final = 72
_SILENCES: Final = 5
_FIGURES: Final = (
    *("lines", "malformed", "skipped", "first", "last", "peak", "exact_peak", "mean"),
    *("uniques", "uniques_estimated", "uniques_per_day", "bots", "online_at_end"),
)


def document(summary: Summary) -> dict[str, Any]:
    """Everything but the series, as JSON values."""
    silences = [[moment(one), moment(to)] for one, to in summary.series.silences]
    return {
        "window": int(summary.window) if summary.window.is_integer() else summary.window,
        **{name: json_form(getattr(summary, name)) for name in _FIGURES},
        "silences": json_form(silences),
    }


def minutes(summary: Summary) -> Iterator[tuple[datetime, int]]:
    """The series, with datetimes."""
    for at, count in summary.series:
        yield moment(at), count


def write_json(summary: Summary) -> None:
    """Print the document, its series piece by piece: a year has half a million minutes."""
    write = sys.stdout.write
    write(json.dumps(document(summary))[:-1] + ', "series": [')
    between = ""
    for at, count in minutes(summary):
        write(f'{between}["{at:%Y-%m-%dT%H:%M:%S}.000Z", {count}]')
        between = ", "
    write("]}\n")


def sentences(summary: Summary) -> Iterator[tuple[str, str]]:
    """The summary as rows of a name and a value."""
    lines = f"{summary.lines:,}"
    if summary.malformed:
        lines += f", {summary.malformed:,} of them malformed"
    if summary.skipped:
        lines += f", {summary.skipped:,} skipped"
    yield "lines", lines
    if summary.first is None or summary.last is None:
        return
    yield "from", f"{json_form(summary.first)} to {json_form(summary.last)}"
    yield "peak", _peak(summary.peak, "at a full minute")
    yield "exact peak", _peak(summary.exact_peak, "at any moment")
    yield "mean", f"{summary.mean:,.2f} over {len(summary.series):,} minutes"
    for one, to in summary.series.silences[:_SILENCES]:
        yield (
            "omitted",
            f"{json_form(moment(one))} to {json_form(moment(to))}: nobody, for longer than --silence",
        )
    yield "at the end", f"{summary.online_at_end:,}"
    estimated = summary.uniques_estimated
    estimate = "" if estimated is None else f" (HyperLogLog estimate: {estimated:,})"
    yield "visitors", f"{summary.uniques:,}{estimate}"
    if summary.bots:
        yield "bots", f"{summary.bots:,}, not counted as visitors"


def _peak(peak: Peak, where: str) -> str:
    return f"{peak.count:,} {where}" + (f", first at {json_form(peak.at)}" if peak.at else "")


def show(summary: Summary) -> None:
    """Print the curve and the summary."""
    if summary.begins is not None and len(summary.series) > 1:
        print(_curve(summary))
    rows = [*sentences(summary), *(("", "") for _ in range(bool(summary.uniques_per_day)))]
    rows += [(day.isoformat(), f"{n:,} visitors") for day, n in summary.uniques_per_day.items()]
    for name, value in rows:
        print(f"{name:<12}{value}".rstrip())


def _curve(summary: Summary) -> str:
    """The curve: the largest number online of each step."""
    series = summary.series
    drawn = series.buckets(2 * _COLUMNS)
    step = (len(series) - 1) / max(1, len(drawn) - 1)
    span = moment(series.until) - moment(series.begins)
    return curve(
        [(0, drawn)], len(drawn), lambda i: time_label(moment(series.moment(i * step)), span)
    )


# ------------------------------------------------------------ the page

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5c6b7a; --line: #d9e0e7; --back: #fff;
  --curve: #1f6feb; --peak: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #93a1b0; --line: #30363d;
  --back: #0d1117; --curve: #6cb0ff; --peak: #ff8a80 } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem; overflow-wrap: anywhere }
svg { display: block; width: 100%; height: auto }
svg text { fill: var(--soft); font-size: 13px } svg .peak { fill: var(--peak) }
svg .area { fill: var(--curve); opacity: .15 }
svg .curve { fill: none; stroke: var(--curve); stroke-width: 1.5 }
svg .grid { stroke: var(--line) }
table { border-collapse: collapse; margin: 1.5rem 0 }
th { text-align: left; font-weight: 500; color: var(--soft) }
th, td { padding: .2rem 1.5rem .2rem 0; border-bottom: 1px solid var(--line) }
td.number { text-align: right; font-variant-numeric: tabular-nums }
""".strip()


def page(summary: Summary, logs: Sequence[str]) -> str:
    """Write the report as one HTML page."""
    title = "Who was online: " + ", ".join(map(printable, logs))
    heading = "Who was online: " + ", ".join(f"<bdi>{escape(printable(one))}</bdi>" for one in logs)
    rows = "\n".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in sentences(summary)
    )
    days = "\n".join(
        f"<tr><th scope=row>{day.isoformat()}</th><td class=number>{n:,}</td></tr>"
        for day, n in summary.uniques_per_day.items()
    )
    return f"""<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<meta http-equiv=Content-Security-Policy content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>
{_STYLE}
</style>
<h1>{heading}</h1>
{_svg(summary)}
<table>
{rows}
</table>
<table>
<tr><th>day</th><th>visitors</th></tr>
{days}
</table>
<p>Online: seen within {summary.window:g} seconds. Times are in UTC, days the log's own.</p>
</html>
"""


def _svg(summary: Summary) -> str:
    begins, peak = summary.begins, summary.peak
    if begins is None or peak.at is None:
        return "<p>Nobody was online at a full minute.</p>"
    drawn = summary.series.buckets(_WIDTH)
    step = -(-len(summary.series) // len(drawn))
    left, top = 44, 34

    def x(minute: float) -> float:
        return round(left + minute / max(len(summary.series) - 1, 1) * (_WIDTH - left - 8), 1)

    def y(count: float) -> float:
        return round(top + (1 - count / peak.count) * _HEIGHT, 1)

    points = " ".join(f"{x(i * step)},{y(count)}" for i, count in enumerate(drawn))
    at = summary.series.peak[1]
    grid = "".join(
        f"<line class=grid x1={left} x2={_WIDTH - 8} y1={y(n)} y2={y(n)} />"
        f"<text x={left - 6} y={y(n) + 4} text-anchor=end>{n:,}</text>"
        for n in sorted({0, peak.count // 2, peak.count})
    )
    last = moment(summary.series.moment(len(summary.series) - 1))
    best = f"{peak.count:,} at {peak.at:%d %b %Y %H:%M}"
    place = "start" if at * 2 < len(summary.series) else "end"
    height, of = _HEIGHT + top + 26, "The number online over time"
    return f"""<svg viewBox="0 0 {_WIDTH} {height}" role=img aria-label="{of}">
{grid}
<polygon class=area points="{left},{y(0)} {points} {x(len(summary.series) - 1)},{y(0)}" />
<polyline class=curve points="{points}" />
<circle class=peak cx={x(at)} cy={y(peak.count)} r=4 />
<text class=peak x={x(at)} y={top - 12} text-anchor={place}>{best}</text>
<text x={left} y={_HEIGHT + top + 20}>{begins:%d %b %Y %H:%M}</text>
<text x={_WIDTH - 8} y={_HEIGHT + top + 20} text-anchor=end>{last:%d %b %Y %H:%M}</text>
</svg>"""
