"""How well a task outlines what it measures: Dice with known masks, with intervals over groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic, share_interval
from whycad.types import JsonObject

GOOD = 0.85

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Outlined:
    """One image's result.

    Attributes
    ----------
    dice : float
        0 where nothing was outlined.
    empty : bool
        Whether nothing was.
    group, label : str
    """

    dice: float
    empty: bool
    group: str
    label: str


def dice_of(drawn: Mask, true: Mask) -> float:
    """Return twice the common area over the sum of areas (Dice 1945), 0..1."""
    return 2 * float((drawn & true).sum()) / max(float(drawn.sum() + true.sum()), 1.0)


def outline_summary(cases: Sequence[Outlined], labels: Sequence[str]) -> JsonObject:
    """Return mean, quartiles and shares with 95 % intervals over groups, and the mean by label.

    Parameters
    ----------
    cases : sequence of Outlined
        At least one.
    labels : sequence of str
        Labels to count and to give the mean of.
    """
    dice = np.array([case.dice for case in cases])
    known = np.array([case.label for case in cases])
    empty = np.array([case.empty for case in cases])
    everyone = np.ones(len(cases), bool)
    statistics: dict[str, Statistic] = {
        "dice_mean": weighted_mean(dice, everyone),
        "dice_above_85": weighted_mean((dice >= GOOD).astype(float), everyone),
        "without_outline": weighted_mean(empty.astype(float), everyone),
        **{f"dice_mean_{label}": weighted_mean(dice, known == label) for label in labels},
    }
    bootstrap = GroupBootstrap([case.group for case in cases])
    found = bootstrap.estimate(statistics)
    for name in ("dice_above_85", "without_outline"):
        found[name] = replace(found[name], interval=share_interval(found[name], bootstrap.n_groups))
    figures = {name: rounded(estimate) for name, estimate in found.items()}
    counts = {label: int((known == label).sum()) for label in labels}
    quartiles = [round(float(q), 4) for q in np.percentile(dice, [25, 50, 75])]
    return {"n": len(cases), "n_groups": bootstrap.n_groups, "counts": counts, "dice_quartiles": quartiles, **figures}


def weighted_mean(values: NDArray[np.float64], keep: Mask) -> Statistic:
    """Return the statistic that averages ``values`` where ``keep``; NaN where a draw has none of them."""

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = weights[:, keep]
        total = inside.sum(axis=1)
        return np.asarray(np.where(total > 0, inside @ values[keep] / np.maximum(total, 1), np.nan), np.float64)

    return statistic


def rounded(estimate: Estimate) -> JsonObject:
    """Return ``value`` and ``interval`` to four decimals, None where not defined."""
    interval = None if estimate.interval is None else [round(end, 4) for end in estimate.interval]
    return {"value": round(estimate.value, 4) if np.isfinite(estimate.value) else None, "interval": interval}
