"""``herenow history``: the most online in each minute, hour or day, as a curve, CSV or JSON."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from herenow import names
from herenow.cli.options import (
    checked,
    duration_option,
    hidden_option,
    json_option,
    with_presence,
)
from herenow.cli.output import on_terminal, say, show_json, show_lines
from herenow.cli.program import NO, YES
from herenow.web.json_form import moment

if TYPE_CHECKING:
    from herenow.models import Peak, Sample
    from herenow.presence import Presence

_STEPS: Final = tuple(names.STEPS)
_SHOWN: Final = tuple(kind for kind in names.KINDS if kind != "hidden")
_DAY: Final = 86_400.0


def _moment(value: object) -> datetime:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"a time is such as 2026-01-03T16:00 (UTC); got {value!r}") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


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
@hidden_option
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
    include_hidden: bool,
    in_json: bool,
) -> int:
    """Show the most people online in each minute, hour or day.

    Draws a curve of people (everybody but bots) on a terminal, else prints a time and a count a line.
    --csv and --json have each kind and the unknown minutes. Exit code 1 if the room has no history.
    """
    if in_csv and in_json:
        raise click.UsageError("--csv or --json, not both")
    if last is not None and first is not None:
        raise click.UsageError("--last or --from, not both")
    end = to or datetime.now(UTC) + timedelta(minutes=1)  # the store's clock may be ahead
    start = first or end - timedelta(seconds=last or _DAY)
    step = step or _fitting(end - start)
    samples = presence.history(start, end, step, include_hidden=include_hidden)
    if not include_hidden:
        samples = list(map(_without_hidden, samples))
    if in_json:
        show_json({"room": presence.name, "step": step, "samples": samples}, hidden=include_hidden)
    elif in_csv:
        _show_csv(samples, names.KINDS if include_hidden else _SHOWN)
    elif samples and on_terminal():
        _show(samples, step, presence.peak(include_hidden=include_hidden))
    else:
        show_lines(f"{moment(one.at)}\t{one.people}" for one in samples)
    if not samples:
        say(
            f"no history of room {presence.name!r} in this time: rooms other than site keep one only if "
            "opened with history=True"
        )
    return YES if samples else NO


def _without_hidden(one: "Sample") -> "Sample":
    """Take the hidden out of a sample: exact where nobody was hidden, else at most too many."""
    return replace(one, people=min(one.people, one.counts.member + one.counts.guest))


def _fitting(span: timedelta) -> names.Step:
    if span <= timedelta(hours=6, minutes=1):
        return "minute"
    return "hour" if span <= timedelta(days=14, minutes=1) else "day"


def _show_csv(samples: Sequence["Sample"], kinds: Sequence[str]) -> None:
    import csv
    import sys

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("at", "people", *kinds, "gap"))
    for one in samples:
        counts = [getattr(one.counts, kind) for kind in kinds]
        writer.writerow([moment(one.at), one.people, *counts, one.gap])


def _show(samples: Sequence["Sample"], step: names.Step, peak: "Peak") -> None:
    print(_curve(samples, step))
    most = max(samples, key=lambda one: one.people)
    print(f"most here   {most.people:,} at {moment(most.at)}")
    if peak.at is not None:
        print(f"most ever   {peak.count:,} at {moment(peak.at)}")
    gaps = sum(one.gap for one in samples)
    if gaps:
        print(f"unknown     {gaps:,} minutes: the store was unavailable, or a log was read late")


def _curve(samples: Sequence["Sample"], step: names.Step) -> str:
    """The curve; what is a gap from end to end is left open."""
    from herenow.cli.plotting import curve, time_label

    each = timedelta(minutes=names.STEPS[step])
    span = each * len(samples)
    return curve(
        _known(samples, names.STEPS[step]),
        len(samples),
        lambda i: time_label(samples[0].at + i * each, span),
    )


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
