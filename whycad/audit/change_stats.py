"""Paired effects with bootstrap intervals over groups, corrected for how many were tested."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic
from whycad.audit.measures import mean_of
from whycad.audit.stats import holm

Key = TypeVar("Key", bound=Hashable)
FloatArray = NDArray[np.float64]
ALPHA = 0.05
FEWEST_GROUPS = 5


@dataclass(frozen=True)
class Effect:
    """A figure, its 95 % interval, and whether it is more than chance.

    Attributes
    ----------
    value : float
        NaN where it is not defined.
    low, high : float or None
    p : float
        After Holm's correction over the effects that were tested together; 1 where undefined.
    n : int
        Cases that it rests on.
    """

    value: float
    low: float | None
    high: float | None
    p: float
    n: int

    @property
    def sure(self) -> bool:
        """Whether no effect is ruled out, after correction and by the interval itself."""
        if self.low is None or self.high is None:
            return False
        return self.p < ALPHA and (self.low > 0 or self.high < 0)

    @property
    def far_end(self) -> float:
        """How large it may be by its interval, of either sign; infinite where there is none."""
        return float("inf") if self.low is None or self.high is None else max(abs(self.low), abs(self.high))


def p_of(estimate: Estimate, n_groups: int, nothing: float = 0.0) -> float:
    """Return the two-sided p value of a figure against ``nothing``, by its bootstrap standard error and Student's t."""
    if not np.isfinite(estimate.value) or estimate.interval is None or n_groups < FEWEST_GROUPS:
        return 1.0
    distance = abs(estimate.value - nothing)
    if not estimate.standard_error > 0:
        return 0.0 if distance > 0 else 1.0
    return float(2 * stats.t.sf(distance / estimate.standard_error, n_groups - 1))


def effects(
    statistics: Mapping[Key, tuple[Statistic, int]], bootstrap: GroupBootstrap, groups: Mapping[Key, int]
) -> dict[Key, Effect]:
    """Return figures that are tested together against 0.

    Parameters
    ----------
    statistics : mapping
        Statistic and number of cases by key.
    bootstrap : GroupBootstrap
    groups : mapping
        Number of groups behind each.
    """
    names = {str(number): key for number, key in enumerate(statistics)}
    found = bootstrap.estimate({name: statistics[key][0] for name, key in names.items()})
    corrected = holm(np.array([p_of(found[name], groups[key]) for name, key in names.items()]))
    return {
        key: _effect(found[name], float(p), statistics[key][1])
        for (name, key), p in zip(names.items(), corrected, strict=True)
    }


def _effect(estimate: Estimate, p: float, n: int) -> Effect:
    low, high = estimate.interval or (None, None)
    return Effect(estimate.value, low, high, p, n)


def mean_effects(
    values: Mapping[Key, FloatArray], groups: NDArray[np.str_], draws: GroupBootstrap
) -> dict[Key, Effect]:
    """Return the means of values ``(n,)``, tested together against 0; NaN is left out."""
    known = {key: np.isfinite(value) for key, value in values.items()}
    statistics = {
        key: (mean_of(np.nan_to_num(value), known[key]), int(known[key].sum())) for key, value in values.items()
    }
    return effects(statistics, draws, {key: len(np.unique(groups[mask])) for key, mask in known.items()})


def interval_words(low: float | None, high: float | None, decimals: int = 2) -> str:
    """Return an interval in words, such as ``-0.24 to -0.14``."""
    if low is None or high is None:
        return "interval not established"
    return f"{low:.{decimals}f} to {high:.{decimals}f}"


def size_words(effect: Effect) -> str:
    """Return the interval of an effect's size, for a sentence that says its direction: ``0.14 to 0.24``."""
    if effect.low is None or effect.high is None:
        return interval_words(None, None)
    first, last = sorted((abs(effect.low), abs(effect.high)))
    return interval_words(first, last)
