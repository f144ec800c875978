"""Curves of counts on a terminal, in braille, at most 80 columns wide; plotille draws them."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Final

_COLUMNS: Final = 80
_MARGINS: Final = 22
"""Columns of the counts on the left and of the unit on the right."""


def curve(
    parts: Iterable[tuple[int, Sequence[int]]],
    steps: int,
    label: Callable[[float], str],
    *,
    unit: str = "UTC",
    columns: int = _COLUMNS,
    lines: int = 14,
) -> str:
    """Draw counts over so many steps, by parts: the first step of each, and its counts.

    What is between parts is left open. ``label`` writes a step below the curve, in nine characters.
    """
    import plotille

    parts = list(parts)
    figure = plotille.Figure()
    figure.width, figure.height = max(20, min(columns, _COLUMNS) - _MARGINS), lines
    figure.with_colors = False
    figure.x_label, figure.y_label = unit, "people"
    figure.set_x_limits(0, max(1, steps - 1))
    figure.set_y_limits(0, max(1, *(count for _, counts in parts for count in counts), 0))
    written: list[str] = []

    def x_tick(step: float, _: float) -> str:
        written.append(label(step))
        return written[-1] if written[-1] not in written[:-1] else ""

    def y_tick(low: float, high: float) -> str:
        whole = ceil(low - 1e-9)  # each number once, in the line that it begins in
        return f"{whole:,}" if whole < high - 1e-9 else ""

    figure.x_ticks_fkt, figure.y_ticks_fkt = x_tick, y_tick
    for first, counts in parts:
        figure.plot([float(first + i) for i in range(len(counts))], [float(n) for n in counts])
    return str(figure.show())


def time_label(at: datetime, span: timedelta) -> str:
    """Write a moment as short as a span lets it."""
    return f"{at:%d %H:%M}" if span <= timedelta(days=4) else f"{at:%d %b %y}"
