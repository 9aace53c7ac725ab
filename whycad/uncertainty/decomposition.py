"""Total, aleatoric and epistemic uncertainty of an ensemble.

References
----------
Depeweg et al., Decomposition of Uncertainty in Bayesian Deep Learning, ICML 2018.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Shannon entropy in nats over the last axis; 0 log 0 is 0."""
    p = np.clip(probabilities, 0.0, 1.0)
    return np.asarray(-np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0), axis=-1))


def decompose(members: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Split the entropy of the mean prediction.

    Parameters
    ----------
    members : ndarray (m, n, k)
        Calibrated probabilities of each member.

    Returns
    -------
    tuple of ndarray (n,)
        Total, aleatoric and epistemic (mutual information, at least 0), in nats.
    """
    total = entropy(members.mean(axis=0))
    aleatoric = np.minimum(entropy(members).mean(axis=0), total)
    return total, aleatoric, total - aleatoric
