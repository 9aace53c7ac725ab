"""Permutations that keep groups together and never leave a stratum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def permuted_rows(strata: IntArray, groups: NDArray[np.str_], n_draws: int, seed: int) -> Iterator[IntArray]:
    """Yield permutations ``(n,)`` of row numbers: row i gets what row ``permuted[i]`` had.

    Rows change places within their stratum only, and the rows of a group move as one block, so that
    likeness within patients or lesions is kept (but where blocks of unequal length meet).

    Parameters
    ----------
    strata : ndarray of int64 (n,)
    groups : ndarray of str (n,)
    n_draws : int
    seed : int

    References
    ----------
    Winkler 2015, Multi-level block permutation, doi:10.1016/j.neuroimage.2015.05.092
    """
    rng = np.random.default_rng(seed)
    names, group = np.unique(groups, return_inverse=True)
    slots = np.lexsort((group, strata))
    for _ in range(n_draws):
        order = np.lexsort((rng.random(len(names))[group], strata))
        permuted = np.empty(len(strata), np.int64)
        permuted[slots] = order
        yield permuted


def max_p_values(observed: NDArray[np.float64], null_maxima: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values ``(m,)`` that hold for the whole family: how often chance's largest figure is as large.

    Parameters
    ----------
    observed : ndarray (m,)
        Of any sign; sizes are compared.
    null_maxima : ndarray (d,)
        The largest size of the family in each permutation.

    References
    ----------
    Westfall 1993, Resampling-based multiple testing, ISBN 978-0471557616
    """
    ordered = np.sort(null_maxima)
    beyond = len(ordered) - np.searchsorted(ordered, np.abs(observed) - 1e-12, side="left")
    return np.asarray((1 + beyond) / (1 + len(ordered)))
