"""Splits by group (patient or lesion): no group is ever on two sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold


def grouped_folds(labels: ArrayLike, groups: ArrayLike, n_folds: int, seed: int = 0) -> NDArray[np.int64]:
    """Give every row a fold, stratified by label, whole groups at a time.

    Parameters
    ----------
    labels : array_like (n,)
        Class of each row.
    groups : array_like (n,)
        Patient or lesion of each row.
    n_folds : int
        Number of folds, at least 2.
    seed : int
        Shuffling seed.

    Returns
    -------
    ndarray of int64 (n,)
        Fold of each row, in ``0 .. n_folds - 1``.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    folds = np.full(len(labels), -1, dtype=np.int64)
    splitter = StratifiedGroupKFold(n_splits=n_folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups)):
        folds[held_out] = fold
    return folds
