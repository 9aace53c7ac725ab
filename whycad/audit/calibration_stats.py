"""Statistics of calibration: bins, excess of the calibration error, Murphy's decomposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, FloatArray, GroupBootstrap, estimate_from, wilson_interval
from whycad.audit.measures import ece_of, expected_ece
from whycad.audit.model_stats import ratio

BoolArray = NDArray[np.bool_]
N_BINS = 15


@dataclass(frozen=True)
class Bin:
    """Cases whose probability falls into one bin.

    Attributes
    ----------
    n : int
    said, observed : float
        Mean probability, and the share in which it came true.
    interval : tuple of float
        Wilson's, of the observed share.
    inside : ndarray of bool (n,)
    """

    n: int
    said: float
    observed: float
    interval: tuple[float, float]
    inside: BoolArray


def reliability_bins(probability: FloatArray, came_true: BoolArray, n_bins: int = N_BINS) -> list[Bin]:
    """Return the bins of equal width that hold a case; upper edges belong to the bin."""
    index = np.clip(np.ceil(probability * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    found = []
    for number in np.unique(index):
        inside = index == number
        n, observed = int(inside.sum()), float(came_true[inside].mean())
        found.append(Bin(n, float(probability[inside].mean()), observed, wilson_interval(observed, n), inside))
    return found


def ece_excess(
    probability: FloatArray, came_true: BoolArray, bootstrap: GroupBootstrap, n_null: int = 500, seed: int = 0
) -> tuple[Estimate, float]:
    """Return the calibration error less what a perfectly calibrated model shows by chance, and that chance.

    Resampling adds error of its own, which ``centred`` takes off again.
    """
    n = len(probability)
    statistic = ece_of(probability, came_true, N_BINS)
    value = float(statistic(np.ones((1, n)))[0])
    expected = expected_ece(probability, N_BINS, n_null, seed)
    draws = np.concatenate([statistic(weights) for weights in bootstrap.weights()])
    found = centred(value, draws)
    low, high = found.interval or (value, value)
    interval = (max(low, 0.0) - expected, high - expected)
    return Estimate(value - expected, interval, found.standard_error), expected


def centred(value: float, draws: FloatArray) -> Estimate:
    """Return a figure whose draws ``(d,)`` are moved so that their mean is the figure.

    For figures that are never negative and grow with every noise, such as a calibration error:
    there the draws lie above the figure, and their percentiles may not even hold it.
    """
    known = draws[np.isfinite(draws)]
    return estimate_from(value, known - known.mean() + value if len(known) else known)


def brier_panel(probabilities: FloatArray, labels: NDArray[np.int64], weights: FloatArray) -> FloatArray:
    """Return Murphy's parts ``(b, 5)``: Brier score, reliability, resolution, uncertainty, within bins.

    Summed over the classes; score = reliability - resolution + uncertainty + within bins, where the
    last part is the spread of probabilities inside a bin and its covariance with the outcome.

    References
    ----------
    Murphy 1973, doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2
    Stephenson 2008, doi:10.1175/2007WAF2006116.1
    """
    total = weights.sum(axis=1)
    parts = [_brier_of_class(probabilities[:, c], labels == c, weights, total) for c in range(probabilities.shape[1])]
    return np.asarray(np.sum(parts, axis=0))


def _brier_of_class(probability: FloatArray, yes: BoolArray, weights: FloatArray, total: FloatArray) -> FloatArray:
    index = np.clip(np.ceil(probability * N_BINS).astype(np.int64) - 1, 0, N_BINS - 1)
    members = np.eye(N_BINS)[index]
    count = weights @ members
    said = np.nan_to_num(ratio(weights @ (members * probability[:, None]), count))
    observed = np.nan_to_num(ratio(weights @ (members * yes[:, None]), count))
    base = ratio(weights @ yes.astype(np.float64), total)
    score = ratio(weights @ ((probability - yes) ** 2), total)
    reliability = ratio((count * (said - observed) ** 2).sum(axis=1), total)
    resolution = ratio((count * (observed - base[:, None]) ** 2).sum(axis=1), total)
    uncertainty = base * (1 - base)
    rest = score - (reliability - resolution + uncertainty)
    return np.stack([score, reliability, resolution, uncertainty, rest], axis=1)
