"""Measures of a classifier, each over many weightings of the cases at once.

Weights are ``(b, n)``; results are ``(b,)``, NaN where a draw holds no case that the measure needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import FloatArray, Statistic

BoolArray = NDArray[np.bool_]
MIN_PROBABILITY = 1e-7


def mean_of(values: FloatArray | BoolArray, within: BoolArray | None = None) -> Statistic:
    """Return the weighted mean of values ``(n,)`` over the cases ``within`` ``(n,)``."""
    inside = np.ones(len(values)) if within is None else within.astype(np.float64)
    counted = np.where(inside > 0, values, 0.0).astype(np.float64)

    def statistic(weights: FloatArray) -> FloatArray:
        total = weights @ inside
        return _ratio(weights @ counted, total)

    return statistic


def mean_over(statistics: Sequence[Statistic]) -> Statistic:
    """Return the mean of several statistics, leaving out those that a draw does not define."""

    def statistic(weights: FloatArray) -> FloatArray:
        rows = np.stack([one(weights) for one in statistics]) if statistics else np.full((1, len(weights)), np.nan)
        known = np.isfinite(rows)
        return _ratio(np.where(known, rows, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))

    return statistic


def auroc_of(scores: FloatArray, positive: BoolArray) -> Statistic:
    """Return the area under the ROC curve; ties count half."""
    order = np.argsort(scores, kind="stable")
    starts = _tie_starts(scores[order])
    sign = positive[order]

    def statistic(weights: FloatArray) -> FloatArray:
        ordered = weights[:, order]
        hits = np.add.reduceat(ordered * sign, starts, axis=1)
        misses = np.add.reduceat(ordered * ~sign, starts, axis=1)
        below = np.cumsum(misses, axis=1) - misses
        return _ratio((hits * (below + misses / 2)).sum(axis=1), hits.sum(axis=1) * misses.sum(axis=1))

    return statistic


def ece_of(confidence: FloatArray, correct: BoolArray, n_bins: int = 15) -> Statistic:
    """Return the expected calibration error over equal-width bins.

    References
    ----------
    Guo 2017, arXiv:1706.04599
    """
    members = _bins(confidence, n_bins)
    gap = correct.astype(np.float64) - confidence

    def statistic(weights: FloatArray) -> FloatArray:
        return _ratio(np.abs((weights * gap) @ members).sum(axis=1), weights.sum(axis=1))

    return statistic


def expected_ece(confidence: FloatArray, n_bins: int = 15, n_draws: int = 1000, seed: int = 0) -> float:
    """Return the mean calibration error of a model that is perfectly calibrated.

    Labels are drawn ``n_draws`` times from the model's own probabilities. Only whether the top label
    is drawn matters, which happens with its probability.
    """
    generator = np.random.default_rng(seed)
    members = _bins(confidence, n_bins)
    totals = [_drawn_error(generator, confidence, members, size) for size in _chunks(n_draws)]
    return float(np.concatenate(totals).mean())


def aurc_of(confidence: FloatArray, wrong: BoolArray) -> Statistic:
    """Return the area under the risk-coverage curve.

    The mean, over all coverages, of the share of errors among the cases that are kept when the least
    confident are given up. Cases of equal confidence are kept together.

    References
    ----------
    Geifman 2017, arXiv:1705.08500
    """
    order = np.argsort(-confidence, kind="stable")
    starts = _tie_starts(confidence[order])
    errors = wrong[order].astype(np.float64)

    def statistic(weights: FloatArray) -> FloatArray:
        kept = np.add.reduceat(weights[:, order], starts, axis=1)
        lost = np.add.reduceat(weights[:, order] * errors, starts, axis=1)
        coverage = np.cumsum(kept, axis=1)
        risk = np.divide(np.cumsum(lost, axis=1), coverage, out=np.zeros_like(coverage), where=coverage > 0)
        return _ratio((risk * kept).sum(axis=1), coverage[:, -1])

    return statistic


def brier_scores(probabilities: FloatArray, labels: NDArray[np.int64]) -> FloatArray:
    """Return each case's Brier score ``(n,)``: squared error summed over the classes, 0..2."""
    truth = np.eye(probabilities.shape[1])[labels]
    return np.asarray(((probabilities - truth) ** 2).sum(axis=1))


def log_losses(probabilities: FloatArray, labels: NDArray[np.int64]) -> FloatArray:
    """Return each case's negative log probability of its label ``(n,)``, in nats."""
    own = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.clip(own, MIN_PROBABILITY, 1.0)))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


def _tie_starts(ordered: FloatArray) -> NDArray[np.int64]:
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def _bins(confidence: FloatArray, n_bins: int) -> FloatArray:
    """Return which bin each case is in, as ``(n, n_bins)`` of 0 and 1; upper edges belong to the bin."""
    index = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    return np.asarray(np.eye(n_bins)[index])


def _chunks(total: int, size: int = 100) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]


def _drawn_error(generator: np.random.Generator, confidence: FloatArray, members: FloatArray, size: int) -> FloatArray:
    drawn = generator.random((size, len(confidence))) < confidence
    return np.asarray(np.abs((drawn - confidence) @ members).sum(axis=1) / len(confidence))
