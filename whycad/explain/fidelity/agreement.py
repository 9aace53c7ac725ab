"""How alike two maps are: in the order of their cells, and to the eye."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from whycad.types import FloatArray

SMALLEST_SSIM_SIDE = 7


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Spearman's correlation of two maps' cells ``(n,)``; 0 where one of them is flat."""
    ranks = [rankdata(values) - (len(values) + 1) / 2 for values in (first, second)]
    size = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / size if size > 0 else 0.0


def similarity_to_the_eye(first: FloatArray, second: FloatArray) -> float | None:
    """Return the structural similarity (SSIM) of two maps, each divided by its largest magnitude.

    Parameters
    ----------
    first, second : ndarray (*shape)
        Axes of one pixel are left out.

    Returns
    -------
    float or None
        -1..1; None where a side is too short to compare.

    References
    ----------
    Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE
    TIP 2004.
    """
    from skimage.metrics import structural_similarity

    pair = [np.squeeze(scaled(values)) for values in (first, second)]
    if pair[0].ndim < 2 or min(pair[0].shape) < SMALLEST_SSIM_SIDE:
        return None
    return float(structural_similarity(pair[0], pair[1], data_range=2.0))


def scaled(values: FloatArray) -> NDArray[np.float64]:
    """Return a map divided by its largest magnitude; as it is where it is flat."""
    largest = float(np.abs(values).max(initial=0.0))
    return np.asarray(values, np.float64) / (largest if largest > 0 else 1.0)


def mean_agreement(own: NDArray[np.float64], others: list[NDArray[np.float64]]) -> float | None:
    """Return the mean rank correlation with other maps; None where there are none."""
    return float(np.mean([rank_correlation(own, other) for other in others])) if others else None
