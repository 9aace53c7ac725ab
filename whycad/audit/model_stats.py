"""Statistics of a model's answers over many weightings of the cases at once, several per pass.

Weights are ``(b, n)``, as ``GroupBootstrap`` draws them; a *panel* turns them into ``(b, m)``: m
figures that are computed together. NaN stands for what a draw does not define.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from whycad.audit.bootstrap import Estimate, FloatArray, GroupBootstrap, Statistic, estimate_from

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Panel = Callable[[FloatArray], FloatArray]


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide; NaN where the denominator is not above 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


def panel_of(statistics: Sequence[Statistic]) -> Panel:
    """Return single statistics as one panel."""
    return lambda weights: np.stack([statistic(weights) for statistic in statistics], axis=1)


def estimate_panel(bootstrap: GroupBootstrap, panel: Panel, n: int) -> tuple[list[Estimate], FloatArray]:
    """Return the m figures of a panel with intervals, and all draws ``(d, m)``.

    Parameters
    ----------
    bootstrap : GroupBootstrap
    panel : callable
    n : int
        Cases.
    """
    values = panel(np.ones((1, n)))[0]
    draws = np.concatenate([panel(weights) for weights in bootstrap.weights()])
    return [estimate_from(float(value), draws[:, i]) for i, value in enumerate(values)], draws


def sliced(panel: Panel, keep: BoolArray) -> Panel:
    """Return a panel of the cases ``keep`` ``(n,)`` as one of all cases."""
    rows = np.flatnonzero(keep)
    return lambda weights: panel(weights[:, rows])


def only(statistic: Statistic, keep: BoolArray) -> Statistic:
    """Return a statistic of the cases ``keep`` ``(n,)`` as one of all cases."""
    rows = np.flatnonzero(keep)
    return lambda weights: statistic(weights[:, rows])


def confusion_of(labels: IntArray, predicted: IntArray, k: int) -> Callable[[FloatArray], FloatArray]:
    """Return what gives confusion matrices ``(b, k, k)``: rows are labels, columns predictions."""
    cells = np.eye(k * k)[labels * k + predicted]
    return lambda weights: (weights @ cells).reshape(-1, k, k)


def accuracies(confusion: FloatArray) -> FloatArray:
    """Return the share of right answers ``(b,)``."""
    return ratio(np.trace(confusion, axis1=1, axis2=2), confusion.sum(axis=(1, 2)))


def recalls(confusion: FloatArray) -> FloatArray:
    """Return the sensitivity of each class ``(b, k)``."""
    return ratio(np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=2))


def specificities(confusion: FloatArray) -> FloatArray:
    """Return the specificity of each class ``(b, k)``."""
    hit = np.diagonal(confusion, axis1=1, axis2=2)
    others = confusion.sum(axis=(1, 2))[:, None] - confusion.sum(axis=2)
    return ratio(others - (confusion.sum(axis=1) - hit), others)


def precisions(confusion: FloatArray) -> FloatArray:
    """Return the positive predictive value of each class ``(b, k)``."""
    return ratio(np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(axis=1))


def f1_scores(confusion: FloatArray) -> FloatArray:
    """Return the F1 score of each class ``(b, k)``."""
    hit = np.diagonal(confusion, axis1=1, axis2=2)
    return ratio(2 * hit, confusion.sum(axis=1) + confusion.sum(axis=2))


def mean_known(values: FloatArray) -> FloatArray:
    """Return the mean over the columns ``(b, m)`` that are defined, ``(b,)``."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def matthews(confusion: FloatArray) -> FloatArray:
    """Return Matthews' correlation coefficient ``(b,)`` of any number of classes.

    References
    ----------
    Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006
    """
    total = confusion.sum(axis=(1, 2))
    true, said = confusion.sum(axis=2), confusion.sum(axis=1)
    right = np.trace(confusion, axis1=1, axis2=2)
    top = right * total - (true * said).sum(axis=1)
    spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (said**2).sum(axis=1))
    return ratio(top, np.sqrt(np.clip(spread, 0, None)))


def kappa(confusion: FloatArray, *, ordinal: bool = False) -> FloatArray:
    """Return Cohen's kappa ``(b,)``, with quadratic weights where the classes are ordered.

    References
    ----------
    Cohen 1968, doi:10.1037/h0026256
    """
    k = confusion.shape[1]
    steps = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    cost = steps**2 if ordinal else (steps > 0).astype(np.float64)
    total = confusion.sum(axis=(1, 2))
    expected = confusion.sum(axis=2)[:, :, None] * confusion.sum(axis=1)[:, None, :]
    chance = ratio((cost * expected).sum(axis=(1, 2)), total)
    return np.asarray(1 - ratio((cost * confusion).sum(axis=(1, 2)), chance))


def auprc_of(scores: FloatArray, positive: BoolArray) -> Statistic:
    """Return the area under the precision-recall curve as average precision; ties come together.

    References
    ----------
    Davis 2006, doi:10.1145/1143844.1143874
    """
    order = np.argsort(-scores, kind="stable")
    starts = _tie_starts(scores[order])
    sign = positive[order]

    def statistic(weights: FloatArray) -> FloatArray:
        ordered = weights[:, order]
        hits = np.add.reduceat(ordered * sign, starts, axis=1)
        flagged = np.cumsum(np.add.reduceat(ordered, starts, axis=1), axis=1)
        precision = np.divide(np.cumsum(hits, axis=1), flagged, out=np.zeros_like(flagged), where=flagged > 0)
        return ratio((precision * hits).sum(axis=1), hits.sum(axis=1))

    return statistic


def stratified_auroc_of(scores: FloatArray, positive: BoolArray, strata: IntArray) -> Statistic:
    """Return the AUROC over pairs of cases of the same stratum; ties count half.

    Parameters
    ----------
    scores : ndarray (n,)
    positive : ndarray of bool (n,)
    strata : ndarray of int64 (n,)
        Cases of stratum -1 are left out.
    """
    parts = [_pairs_of(scores, positive, strata == stratum) for stratum in np.unique(strata[strata >= 0])]

    def statistic(weights: FloatArray) -> FloatArray:
        totals = [part(weights) for part in parts] or [(np.zeros(len(weights)), np.zeros(len(weights)))]
        return ratio(np.sum([won for won, _ in totals], axis=0), np.sum([pairs for _, pairs in totals], axis=0))

    return statistic


def _pairs_of(
    scores: FloatArray, positive: BoolArray, inside: BoolArray
) -> Callable[[FloatArray], tuple[FloatArray, FloatArray]]:
    """Return what gives the weight of the pairs that are in the right order, and of all pairs."""
    rows = np.flatnonzero(inside)
    rows = rows[np.argsort(scores[rows], kind="stable")]
    starts, sign = _tie_starts(scores[rows]), positive[rows]

    def pairs(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        ordered = weights[:, rows]
        hits = np.add.reduceat(ordered * sign, starts, axis=1)
        misses = np.add.reduceat(ordered * ~sign, starts, axis=1)
        below = np.cumsum(misses, axis=1) - misses
        return (hits * (below + misses / 2)).sum(axis=1), hits.sum(axis=1) * misses.sum(axis=1)

    return pairs


def _tie_starts(ordered: FloatArray) -> NDArray[np.int64]:
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def roc_points(scores: FloatArray, positive: BoolArray, most: int = 120) -> tuple[FloatArray, FloatArray]:
    """Return false-positive and true-positive rates of a ROC curve at no more than ``most`` thresholds."""
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(positive, scores)
    kept = _thinned(len(false), most)
    return np.asarray(false[kept]), np.asarray(true[kept])


def pr_points(scores: FloatArray, positive: BoolArray, most: int = 120) -> tuple[FloatArray, FloatArray]:
    """Return recall, descending, and precision at no more than ``most`` thresholds."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, scores)
    kept = _thinned(len(recall), most)
    return np.asarray(recall[kept]), np.asarray(precision[kept])


def _thinned(n: int, most: int) -> IntArray:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def p_value(estimate: Estimate, no_effect: float = 0.0) -> float:
    """Return the two-sided p-value of a figure by its standard error; NaN where there is none.

    A figure whose draws do not differ at all is taken as not established, not as certain.
    """
    if not estimate.standard_error > 0:
        return float("nan")
    return float(2 * norm.sf(abs(estimate.value - no_effect) / estimate.standard_error))
