"""Measures of association between what is known of images and their labels, many draws at a time.

Statistics follow ``whycad.audit.bootstrap``: weights ``(b, n)`` to ``(b,)``. What they measure is symmetric
in neither direction of cause: an association says that a model could use the column, not that it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whycad.audit.bootstrap import Z_95, Estimate, FloatArray, GroupBootstrap, Statistic
from whycad.audit.measures import auroc_of

BoolArray = NDArray[np.bool_]
# Each check may raise a false alarm in 0.5 % of audits, so that all of them together rarely do.
CHECK_ALPHA = 0.005
# Haldane-Anscombe: an empty cell would make the odds ratio zero or infinite.
CELL_CORRECTION = 0.5
# A logarithm of an odds ratio whose draws vary less than this is known better than any sample can tell.
LEAST_ERROR = 1e-9


@dataclass(frozen=True)
class OddsRatio:
    """How much commoner a class is among exposed images than among the others.

    Attributes
    ----------
    value, low, high : float
        Odds ratio with its 95 % interval, by bootstrap of its logarithm over groups.
    p : float
        Two-sided, of the logarithm against zero (Wald, with the bootstrap's standard error).
    cells : tuple of int
        Exposed with and without the class, others with and without.
    """

    value: float
    low: float
    high: float
    p: float
    cells: tuple[int, int, int, int]

    @property
    def n_exposed(self) -> int:
        """Exposed images."""
        return self.cells[0] + self.cells[1]

    @property
    def size(self) -> float:
        """The ratio or its reciprocal, whichever is larger; 1 is no association."""
        return max(self.value, 1 / self.value)

    @property
    def comparable(self) -> bool:
        """Whether the class is found and missed among the exposed, and found among the others."""
        return all(self.cells[:3])

    @property
    def share_ratio(self) -> float:
        """How many times as common the class is among exposed images, with half a case added to each cell."""
        a, b, c, d = (cell + CELL_CORRECTION for cell in self.cells)
        return (a / (a + b)) / (c / (c + d))


def one_hot(values: ArrayLike, levels: Sequence[str]) -> FloatArray:
    """Return ``(n, len(levels))`` of 0 and 1; rows of other values are all 0."""
    return np.asarray(np.asarray(values)[:, None] == np.asarray(levels)[None, :], np.float64)


def contingency(x: FloatArray, y: FloatArray) -> Statistic:
    """Return a function from weights ``(b, n)`` to tables ``(b, r, c)`` of two one-hot arrays."""
    joint = np.ascontiguousarray((x[:, :, None] * y[:, None, :]).reshape(len(x), -1))

    def tables(weights: FloatArray) -> FloatArray:
        return np.asarray((weights @ joint).reshape(len(weights), x.shape[1], y.shape[1]))

    return tables


def cramers_v_of(x: FloatArray, y: FloatArray) -> Statistic:
    """Return Cramer's V of two one-hot arrays ``(n, r)`` and ``(n, c)``, corrected for bias, 0..1.

    References
    ----------
    Bergsma 2013, doi:10.1016/j.jkss.2012.10.002
    """
    tables = contingency(x, y)
    return lambda weights: cramers_v(tables(weights))


def cramers_v(tables: FloatArray) -> FloatArray:
    """Return Cramer's V of tables of counts ``(b, r, c)``, corrected for bias, ``(b,)``."""
    total = tables.sum(axis=(1, 2))
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    expected = _divided(rows[:, :, None] * columns[:, None, :], total[:, None, None])
    chi2 = np.nansum(_divided((tables - expected) ** 2, expected), axis=(1, 2))
    r, c = (rows > 0).sum(axis=1).astype(np.float64), (columns > 0).sum(axis=1).astype(np.float64)
    safe = np.where(total > 1, total, np.nan)
    phi2 = np.maximum(0.0, chi2 / safe - (r - 1) * (c - 1) / (safe - 1))
    width = np.minimum(r - (r - 1) ** 2 / (safe - 1), c - (c - 1) ** 2 / (safe - 1)) - 1
    return np.asarray(np.sqrt(np.minimum(1.0, _divided(phi2, width))))


def mutual_information_of(x: FloatArray, y: FloatArray) -> Statistic:
    """Return the mutual information of two one-hot arrays, in nats (not corrected for bias)."""
    tables = contingency(x, y)

    def statistic(weights: FloatArray) -> FloatArray:
        joint = tables(weights)
        share = _divided(joint, joint.sum(axis=(1, 2), keepdims=True))
        independent = share.sum(axis=2, keepdims=True) * share.sum(axis=1, keepdims=True)
        logs = np.log(_divided(share, independent), out=np.zeros_like(share), where=share > 0)
        return np.asarray((share * logs).sum(axis=(1, 2)))

    return statistic


@dataclass(frozen=True, eq=False)
class Exposure:
    """Who is exposed and who has the class, ``(n,)``; rows that are not ``known`` count for nothing."""

    exposed: BoolArray
    positive: BoolArray
    known: BoolArray

    @property
    def cells(self) -> tuple[BoolArray, BoolArray, BoolArray, BoolArray]:
        """Exposed with and without the class, others with and without."""
        a, b = self.exposed & self.known, ~self.exposed & self.known
        return a & self.positive, a & ~self.positive, b & self.positive, b & ~self.positive

    @property
    def log_odds_ratio(self) -> Statistic:
        """The logarithm of the odds ratio, with half a case added to each cell."""
        counted = np.stack(self.cells, axis=1).astype(np.float64)

        def statistic(weights: FloatArray) -> FloatArray:
            logs = np.log(weights @ counted + CELL_CORRECTION)
            return np.asarray(logs[:, 0] - logs[:, 1] - logs[:, 2] + logs[:, 3])

        return statistic


def odds_ratio(exposed: BoolArray, positive: BoolArray, bootstrap: GroupBootstrap) -> OddsRatio:
    """Return the odds ratio with its interval by bootstrap over groups."""
    exposure = Exposure(exposed, positive, np.ones(len(exposed), bool))
    return odds_ratio_from(bootstrap.estimate({"": exposure.log_odds_ratio})[""], exposure)


def odds_ratio_from(log: Estimate, exposure: Exposure) -> OddsRatio:
    """Return the odds ratio of an estimate of its logarithm.

    Where a cell is empty the draws hardly vary, so that the standard error is never below Woolf's.

    References
    ----------
    Woolf 1955, doi:10.1111/j.1469-1809.1955.tb01348.x
    """
    a, b, c, d = (int(cell.sum()) for cell in exposure.cells)
    woolf = math.sqrt(sum(1 / (count + CELL_CORRECTION) for count in (a, b, c, d)))
    low, high = log.interval or (log.value, log.value)
    if min(a, b, c, d) == 0:
        low, high = min(low, log.value - Z_95 * woolf), max(high, log.value + Z_95 * woolf)
    error = float(np.nanmax([log.standard_error, woolf]))
    p = wald_p(log.value, error)
    return OddsRatio(math.exp(log.value), math.exp(low), math.exp(high), p, (a, b, c, d))


def among(statistic: Statistic, known: BoolArray) -> Statistic:
    """Return the statistic over some of the cases ``(n,)``."""
    kept = known.astype(np.float64)
    return lambda weights: statistic(weights * kept)


def wald_p(effect: float, error: float) -> float:
    """Return the two-sided p-value of a normal effect against zero; NaN where it is not defined."""
    from scipy.stats import norm

    if not (math.isfinite(effect) and math.isfinite(error)):
        return float("nan")
    return float(2 * norm.sf(abs(effect) / max(error, LEAST_ERROR)))


@dataclass(frozen=True)
class Auc:
    """How well a number tells a class from the others: 0.5 is not at all, below means smaller numbers.

    Attributes
    ----------
    value, low, high : float
        Area under the ROC curve with its 95 % interval by bootstrap over groups.
    p : float
        Two-sided against 0.5.
    n_positive, n : int
    """

    value: float
    low: float
    high: float
    p: float
    n_positive: int
    n: int

    @property
    def size(self) -> float:
        """The area or one minus it, whichever is larger, 0.5..1."""
        return max(self.value, 1 - self.value)


def auc_of(scores: FloatArray, positive: BoolArray, known: BoolArray) -> Statistic:
    """Return the area under the ROC curve over the known cases."""
    return among(auroc_of(np.where(known, scores, 0.0), positive), known)


def auc_from(estimate: Estimate, positive: BoolArray, known: BoolArray) -> Auc:
    """Return the area of an estimate of ``auc_of``.

    The standard error, and the interval of a perfect score, are never narrower than Hanley's.

    References
    ----------
    Hanley 1982, doi:10.1148/radiology.143.1.7063747
    """
    n_positive, n = int((positive & known).sum()), int(known.sum())
    low, high = estimate.interval or (float("nan"), float("nan"))
    hanley = hanley_error(estimate.value, n_positive, n - n_positive)
    if estimate.value in (0.0, 1.0):
        # All draws of a perfect score are perfect: what a sample of this size can tell is Hanley's to say.
        low, high = min(low, estimate.value - Z_95 * hanley), max(high, estimate.value + Z_95 * hanley)
        low, high = max(low, 0.0), min(high, 1.0)
    error = max(float(np.nan_to_num(hanley, nan=np.inf)), float(np.nan_to_num(estimate.standard_error)))
    return Auc(estimate.value, low, high, wald_p(estimate.value - 0.5, error), n_positive, n)


def auc(scores: FloatArray, positive: BoolArray, bootstrap: GroupBootstrap) -> Auc:
    """Return the area with its interval by bootstrap over groups."""
    known = np.isfinite(scores)
    return auc_from(bootstrap.estimate({"": auc_of(scores, positive, known)})[""], positive, known)


def hanley_error(area: float, n_positive: int, n_negative: int) -> float:
    """Return Hanley's standard error of an area under independent cases, with half a case of doubt."""
    if min(n_positive, n_negative) == 0 or not math.isfinite(area):
        return float("nan")
    size = max(area, 1 - area) * (1 - 0.25 / (n_positive * n_negative))
    one, two = size / (2 - size), 2 * size**2 / (1 + size)
    variance = size * (1 - size) + (n_positive - 1) * (one - size**2) + (n_negative - 1) * (two - size**2)
    return math.sqrt(max(variance, 0.0) / (n_positive * n_negative))


def holm(p: ArrayLike) -> FloatArray:
    """Return p-values ``(m,)`` adjusted by Holm: the chance of one false alarm or more; NaN stays NaN.

    References
    ----------
    Holm 1979, https://www.jstor.org/stable/4615733
    """
    values = np.asarray(p, np.float64)
    known = np.flatnonzero(np.isfinite(values))
    out = np.full(values.shape, np.nan)
    order = known[np.argsort(values[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    out[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors)) if len(order) else []
    return out


def benjamini_hochberg(p: ArrayLike) -> FloatArray:
    """Return p-values ``(m,)`` adjusted by Benjamini and Hochberg: the share of false alarms; NaN stays NaN.

    References
    ----------
    Benjamini 1995, doi:10.1111/j.2517-6161.1995.tb02031.x
    """
    from scipy.stats import false_discovery_control

    values = np.asarray(p, np.float64)
    known = np.isfinite(values)
    out = np.full(values.shape, np.nan)
    if known.any():
        out[known] = false_discovery_control(np.clip(values[known], 0, 1))
    return out


def _divided(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    out = np.full(shape, np.nan)
    np.divide(numerator, denominator, out=out, where=np.broadcast_to(denominator > 0, shape))
    return out
