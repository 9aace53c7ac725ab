"""How good answers to changed images are: measures over weighted cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import FloatArray, Statistic
from whycad.audit.measures import auroc_of, mean_of, mean_over

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
# A class with fewer cases on either side says nothing about ranking.
FEWEST_OF_A_CLASS = 5


def macro_auroc(probabilities: FloatArray, labels: IntArray) -> Statistic | None:
    """Return the mean of each label's AUROC against the rest; of two labels that of the second.

    Parameters
    ----------
    probabilities : ndarray (n, k)
        Finite.
    labels : ndarray of int64 (n,)

    Returns
    -------
    callable or None
        None where no label has five cases and five others.
    """
    n, k = probabilities.shape
    columns = [1] if k == 2 else list(range(k))
    counts = {column: int((labels == column).sum()) for column in columns}
    usable = [c for c in columns if FEWEST_OF_A_CLASS <= counts[c] <= n - FEWEST_OF_A_CLASS]
    if not usable:
        return None
    return mean_over([auroc_of(probabilities[:, column], labels == column) for column in usable])


def balanced_accuracy(predicted: IntArray, labels: IntArray) -> Statistic:
    """Return the mean over the labels of the share of their cases that is predicted right."""
    right = predicted == labels
    return mean_over([mean_of(right, labels == label) for label in np.unique(labels)])


def share_withheld(decision: NDArray[np.str_]) -> Statistic:
    """Return the share of cases that are not reported."""
    return mean_of(decision != "report")


def error_among_reported(predicted: IntArray, labels: IntArray, decision: NDArray[np.str_]) -> Statistic:
    """Return the share of errors among the cases that are reported; undefined where none is."""
    return mean_of(predicted != labels, decision == "report")


def difference(first: Statistic, second: Statistic) -> Statistic:
    """Return the first less the second, on the same draws."""
    return lambda weights: first(weights) - second(weights)
