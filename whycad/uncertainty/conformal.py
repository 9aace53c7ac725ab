"""Class-conditional (Mondrian) conformal sets from stored scores.

References
----------
Vovk et al., Algorithmic Learning in a Random World, 2005, chapter 4.5 (Mondrian predictors).
Sadinle et al., Least Ambiguous Set-Valued Classifiers with Bounded Error Levels, JASA 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def nonconformity(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how strange each label would be, ``(n, k)`` in 0..1: one minus its probability.

    Thresholds are per class, so rare labels are not left out for being rare.
    """
    return np.asarray(1.0 - probabilities)


def p_values(scores: NDArray[np.float64], calibration: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    """Return the conformal p-value of each label.

    Parameters
    ----------
    scores : ndarray (n, k)
        Nonconformity, columns in the order of ``calibration``.
    calibration : mapping of str to sequence of float
        Nonconformity of the true label over calibration cases of each class, ascending.

    Returns
    -------
    ndarray (n, k)
        ``(1 + number of calibration scores at least as large) / (1 + n_class)``.
    """
    columns = []
    for index, values in enumerate(calibration.values()):
        ordered = np.asarray(values, dtype=np.float64)
        as_strange = len(ordered) - np.searchsorted(ordered, scores[:, index], side="left")
        columns.append((1.0 + as_strange) / (1.0 + len(ordered)))
    return np.stack(columns, axis=1)


def conformal_set(p: NDArray[np.float64], labels: Sequence[str], coverage: float, leading: str) -> tuple[str, ...]:
    """Return the labels whose p-value exceeds ``1 - coverage``, and always the leading one.

    Parameters
    ----------
    p : ndarray (k,)
        Conformal p-values.
    labels : sequence of str
    coverage : float
        Nominal class-conditional coverage, such as 0.9.
    leading : str
        Most probable label, kept so that the set is never empty.
    """
    # Round off: 1 - 0.9 is 0.0999.., and a p-value of exactly 0.1 must not be kept by that.
    level = round(1.0 - coverage, 12)
    return tuple(label for label, value in zip(labels, p, strict=True) if value > level or label == leading)
