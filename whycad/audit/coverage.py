"""Whether conformal sets hold the truth as often as they promise, per class and per subgroup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import GroupBootstrap, Statistic, share_interval
from whycad.audit.measures import mean_of

BoolArray = NDArray[np.bool_]
MIN_ESTABLISHED = 30
MIN_JUDGED = 40
MOST_STANDARD_ERRORS = 2.6


@dataclass(frozen=True)
class Coverage:
    """How often the truth of some cases is in their sets.

    Attributes
    ----------
    name : str
        Class or subgroup.
    n, n_groups : int
    share : float
        NaN without cases.
    interval : tuple of float or None
        95 %, bootstrap over groups; Wilson's where all or none are covered.
    standard_error : float
        Over groups.
    nominal : float
    """

    name: str
    n: int
    n_groups: int
    share: float
    interval: tuple[float, float] | None
    standard_error: float
    nominal: float

    @property
    def established(self) -> bool:
        """Whether there are enough cases to state a number."""
        return self.n >= MIN_ESTABLISHED

    @property
    def shortfall(self) -> float:
        """How many standard errors the share lies below its promise; 0 or less where it holds."""
        missing = self.nominal - self.share
        if missing <= 0 or self.n == 0:
            return min(0.0, missing) if self.n else 0.0
        return missing / self.standard_error if self.standard_error > 0 else float("inf")

    @property
    def holds(self) -> bool:
        """Whether the share is not below its promise by more than chance explains (2.6 standard errors)."""
        return self.n < MIN_JUDGED or self.shortfall <= MOST_STANDARD_ERRORS


@dataclass(frozen=True, eq=False)
class SetCases:
    """Sets of labelled cases.

    Attributes
    ----------
    in_set : ndarray of bool (n, k)
    labels : ndarray of int64 (n,)
    groups : ndarray of str (n,)
    nominal : float
    """

    in_set: BoolArray
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    nominal: float = 0.9

    @property
    def covered(self) -> BoolArray:
        """Whether each set holds its label, ``(n,)``."""
        return np.asarray(self.in_set[np.arange(len(self.labels)), self.labels])


def coverage_of(cases: SetCases, masks: dict[str, BoolArray], n_draws: int = 1000, seed: int = 0) -> list[Coverage]:
    """Return the coverage within each of some parts ``(n,)`` of the cases."""
    bootstrap = GroupBootstrap(cases.groups, n_draws, seed)
    statistics: dict[str, Statistic] = {name: mean_of(cases.covered, mask) for name, mask in masks.items()}
    found = bootstrap.estimate(statistics)
    parts = []
    for name, mask in masks.items():
        n_groups = len(np.unique(cases.groups[mask]))
        interval = share_interval(found[name], n_groups)
        error = found[name].standard_error
        parts.append(Coverage(name, int(mask.sum()), n_groups, found[name].value, interval, error, cases.nominal))
    return parts


def class_coverage(cases: SetCases, codes: Sequence[str], n_draws: int = 1000, seed: int = 0) -> list[Coverage]:
    """Return the coverage of each class, in the order of ``codes``."""
    return coverage_of(cases, {code: cases.labels == i for i, code in enumerate(codes)}, n_draws, seed)
