"""What a benchmark case is, and how two pieces of work are compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A ratio with a bound.

    Attributes
    ----------
    name : str
        What is divided by what.
    bound : float
    measure : callable
        Does the work and returns the ratio; raises ``AssertionError`` where results disagree.
    at_least : bool
        Whether the ratio must be at least the bound, instead of at most.
    """

    name: str
    bound: float
    measure: Callable[[], float]
    at_least: bool = False

    def holds(self, ratio: float) -> bool:
        """Whether a measured ratio keeps the bound."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound


def interleaved(first: Work, second: Work, *, rounds: int = 5, warm_up: bool = True) -> float:
    """Return the median time of one piece of work over that of another, run in turns.

    Process time of all threads counts, so that waiting for other programs does not. Turns keep
    a change of clock speed from favouring one side.
    """
    if warm_up:
        first()
        second()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, kept in zip((first, second), times, strict=True):
            start = time.process_time()
            work()
            kept.append(time.process_time() - start)
    return statistics.median(times[0]) / statistics.median(times[1])
