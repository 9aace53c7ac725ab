"""Intervals by bootstrap over groups (patients or lesions), many draws at a time.

A statistic takes weights ``(b, n)``, how often each of n cases occurs in each of b draws, and
returns ``(b,)``; weights of one give the point estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]

DRAWS_AT_ONCE = 100
# Counts of two bytes: no more than 40 MB.
MOST_KEPT = 20_000_000
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A figure with its uncertainty.

    Attributes
    ----------
    value : float
        NaN where it is not defined.
    interval : tuple of float or None
        95 % percentile interval; None where no draw defines the figure.
    standard_error : float
        Standard deviation over the draws; NaN where undefined.
    """

    value: float
    interval: tuple[float, float] | None
    standard_error: float

    def as_json(self) -> dict[str, float | list[float] | None]:
        """Return ``value`` and ``interval``, None for what is not defined."""
        value = float(self.value) if np.isfinite(self.value) else None
        return {"value": value, "interval": None if self.interval is None else list(self.interval)}


class GroupBootstrap:
    """Draws whole groups with replacement; the same draws for every statistic.

    Parameters
    ----------
    groups : array_like (n,)
        Group of each case.
    n_draws : int
    seed : int
    """

    def __init__(self, groups: ArrayLike, n_draws: int = 1000, seed: int = 0) -> None:
        names, self._group = np.unique(np.asarray(groups), return_inverse=True)
        self.n_groups = len(names)
        self.n_draws = n_draws
        self._seed = seed
        self._kept: list[NDArray[np.uint16]] = []

    def weights(self) -> Iterator[FloatArray]:
        """Yield weights ``(b, n)``, ``n_draws`` rows in all."""
        for counts in self._kept or self._drawn():
            yield counts[:, self._group].astype(np.float64)

    def _drawn(self) -> Iterator[NDArray[np.uint16]]:
        """Draw how often each group occurs; small tables are kept for the next statistic."""
        generator = np.random.default_rng(self._seed)
        even = np.full(self.n_groups, 1 / max(self.n_groups, 1))
        drawn = []
        for start in range(0, self.n_draws, DRAWS_AT_ONCE):
            size = min(DRAWS_AT_ONCE, self.n_draws - start)
            counts = generator.multinomial(self.n_groups, even, size=size).astype(np.uint16)
            if self.n_groups * self.n_draws <= MOST_KEPT:
                drawn.append(counts)
            yield counts
        self._kept = drawn

    def estimate(self, statistics: dict[str, Statistic]) -> dict[str, Estimate]:
        """Return every statistic with its interval."""
        once = np.ones((1, len(self._group)))
        values = {name: float(statistic(once)[0]) for name, statistic in statistics.items()}
        draws: dict[str, list[FloatArray]] = {name: [] for name in statistics}
        for weights in self.weights():
            for name, statistic in statistics.items():
                draws[name].append(statistic(weights))
        return {name: estimate_from(values[name], np.concatenate(draws[name])) for name in statistics}


def estimate_from(value: float, draws: FloatArray) -> Estimate:
    """Return a figure with the interval that its draws ``(d,)`` give."""
    defined = draws[np.isfinite(draws)]
    if not np.isfinite(value) or not len(defined):
        return Estimate(value, None, float("nan"))
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(value, (float(low), float(high)), float(defined.std(ddof=1)) if len(defined) > 1 else float("nan"))


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of n independent cases.

    References
    ----------
    Wilson 1927, doi:10.1080/01621459.1927.10502953
    """
    centre = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 / (1 + Z_95**2 / n) * np.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def share_interval(estimate: Estimate, n_groups: int) -> tuple[float, float] | None:
    """Return a share's interval; Wilson's over groups where all or none hit.

    There every draw gives the same share, and the bootstrap would claim certainty.
    """
    if estimate.interval is None or n_groups == 0 or 0 < estimate.value < 1:
        return estimate.interval
    return wilson_interval(estimate.value, n_groups)
