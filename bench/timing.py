"""Timing: two sides taking turns, so that whatever else the machine does falls on both alike.

Owns the clock and the statistics, knows nothing of herenow. A *side* is what is called, with inputs
made before the clock starts. A *bout* is many rounds of both, each round a few calls in a row; its
figures are the median time of a call on each side, and the ratio is that of the medians. Three
bouts are fought, and the best ratio counts.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, NamedTuple

BOUTS: Final = 3


def _each(count: int) -> Iterable[Any]:
    return range(count)


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Side:
    """What is called, once with each of ``inputs(calls)``; ``after`` tidies up, off the clock.

    ``holds`` is how many things one call does: times are told of one of them.
    """

    call: Callable[[Any], object]
    inputs: Callable[[int], Iterable[Any]] = _each
    after: Callable[[], object] = _nothing
    holds: int = 1

    def seconds(self, calls: int) -> float:
        """Time one call, or one of the things it holds, as the mean of a few in a row."""
        call, inputs = self.call, list(self.inputs(calls))
        started = perf_counter()
        for one in inputs:
            call(one)
        took = perf_counter() - started
        self.after()
        return took / len(inputs) / self.holds


def simple(call: Callable[[], object]) -> Side:
    """Make a side of a call that takes no input."""
    return Side(lambda _: call())


class Figures(NamedTuple):
    """Medians in seconds: ours, and the opponent's."""

    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """How many times the opponent's time ours is."""
        return self.ours / self.theirs


def fight(
    ours: Side,
    theirs: Side,
    *,
    seconds: float,
    calls: tuple[int, int] | None = None,
) -> list[Figures]:
    """Fight all bouts, about ``seconds`` in all; the figures of each, the best first.

    ``calls`` is how many calls a round each side makes; by itself, as many as take a millisecond.
    """
    ours.seconds(1), theirs.seconds(1)  # connections, scripts, caches
    our_calls, their_calls = calls or (_calls(ours), _calls(theirs))
    started = perf_counter()
    ours.seconds(our_calls), theirs.seconds(their_calls)
    rounds = max(3, round(seconds / BOUTS / (perf_counter() - started)))
    bouts = [_bout(ours, theirs, our_calls, their_calls, rounds) for _ in range(BOUTS)]
    return sorted(bouts, key=lambda one: one.ratio)


def _calls(side: Side, seconds: float = 0.001) -> int:
    return max(1, min(2000, round(seconds / side.seconds(2))))


def _bout(ours: Side, theirs: Side, our_calls: int, their_calls: int, rounds: int) -> Figures:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        times[0].append(ours.seconds(our_calls))
        times[1].append(theirs.seconds(their_calls))
    return Figures(statistics.median(times[0]), statistics.median(times[1]))


def percentile(values: Sequence[float], percent: int) -> float:
    """Read off a percentile: the smallest value that so many are at or below."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
