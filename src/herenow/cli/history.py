"""``herenow history``: the most online in each minute, hour or day, as a curve, CSV or JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from herenow import names
from herenow.cli.options import checked, duration_option, json_option, with_presence
from herenow.cli.output import on_terminal, show_json, show_lines
from herenow.cli.program import NO, YES

if TYPE_CHECKING:
    from herenow.models import Sample
    from herenow.presence import Presence

_STEPS: Final = tuple(names.STEPS)
_DAY: Final = 86_400.0
_COLUMNS: Final = 80
_COLUMNS_OF_CSV: Final = ("at", "people", *names.KINDS, "gap")


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command()
@duration_option(
    "--last", "a time", show_default="1d", help="How far back to start, such as 12h or 30d."
)
@click.option(
    "--from",
    "first",
    metavar="TIME",
    callback=checked(_moment),
    help="Start then, such as 2026-01-03T16:00 (UTC), instead of --last.",
)
@click.option(
    "--to", metavar="TIME", callback=checked(_moment), show_default="now", help="End then."
)
@click.option(
    "--step",
    type=click.Choice(_STEPS),
    show_default="minute up to 6 hours, hour up to 14 days, else day",
    help="The length of a step.",
)
@click.option("--csv", "in_csv", is_flag=True, help="Print CSV, a line a step, with a header.")
@with_presence()
@json_option
def history(
    presence: "Presence",
    *,
    last: float | None,
    first: datetime | None,
    to: datetime | None,
    step: names.Step | None,
    in_csv: bool,
    in_json: bool,
) -> int:
    """Show the most people online in each minute, hour or day.

    Draws a curve of people (everybody but bots) on a terminal, else prints a time and a count a line.
    --csv and --json have each kind and the unknown minutes. Exit code 1 if there is no history.
    """
    if in_csv and in_json:
        raise click.UsageError("--csv or --json, not both")
    if last is not None and first is not None:
        raise click.UsageError("--last or --from, not both")
    end = to or datetime.now(UTC) + timedelta(minutes=1)  # the store's clock may be ahead
    start = first or end - timedelta(seconds=last or _DAY)
    step = step or _fitting(end - start)
    samples = presence.history(start, end, step, include_hidden=True)
    if in_json:
        show_json({"room": presence.name, "step": step, "samples": samples}, hidden=True)
    elif in_csv:
        _show_csv(samples)
    elif samples and on_terminal():
        _show(presence, samples, step)
    else:
        show_lines(f"{one.at:%Y-%m-%dT%H:%MZ}\t{one.people}" for one in samples)
    return YES if samples else NO


def _fitting(span: timedelta) -> names.Step:
    if span <= timedelta(hours=6, minutes=1):
        return "minute"
    return "hour" if span <= timedelta(days=14, minutes=1) else "day"


def _show_csv(samples: Sequence["Sample"]) -> None:
    import csv
    import sys

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS_OF_CSV)
    for one in samples:
        counts = [getattr(one.counts, kind) for kind in names.KINDS]
        writer.writerow([f"{one.at:%Y-%m-%dT%H:%M:%SZ}", one.people, *counts, one.gap])


def _show(presence: "Presence", samples: Sequence["Sample"], step: names.Step) -> None:
    peak = presence.peak(include_hidden=True)
    print(_curve(samples, step))
    most = max(samples, key=lambda one: one.people)
    print(f"most here   {most.people:,} at {most.at:%Y-%m-%d %H:%M} UTC")
    if peak.at is not None:
        print(f"most ever   {peak.count:,} at {peak.at:%Y-%m-%d %H:%M:%S} UTC")
    gaps = sum(one.gap for one in samples)
    if gaps:
        print(f"unknown     {gaps:,} minutes: the store was unavailable, or a log was read late")


def _curve(samples: Sequence["Sample"], step: names.Step) -> str:
    """The curve, in braille; what is a gap from end to end is left open."""
    import plotille

    figure = plotille.Figure()
    figure.width, figure.height = _COLUMNS, 14
    figure.with_colors = False
    figure.x_label, figure.y_label = "UTC", "people"
    figure.set_x_limits(0, max(1, len(samples) - 1))
    figure.set_y_limits(0, max(1, *(one.people for one in samples), 0))
    each = timedelta(minutes=names.STEPS[step])
    form = "%d %b" if step == "day" else "%d %H:%M"
    figure.x_ticks_fkt = lambda low, _high: f"{samples[0].at + low * each:{form}}"
    figure.y_ticks_fkt = lambda low, _high: f"{low:.0f}"
    for first, part in _known(samples, names.STEPS[step]):
        figure.plot([float(first + i) for i in range(len(part))], [float(n) for n in part])
    return str(figure.show())


def _known(samples: Sequence["Sample"], minutes: int) -> list[tuple[int, list[int]]]:
    """Split samples at gaps: where each part begins, and its counts."""
    parts: list[tuple[int, list[int]]] = []
    broken = True
    for i, one in enumerate(samples):
        if one.gap >= minutes:
            broken = True
            continue
        if broken:
            parts.append((i, []))
            broken = False
        parts[-1][1].append(one.people)
    return parts
