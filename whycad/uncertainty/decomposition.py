"""Total, aleatoric and epistemic uncertainty of an ensemble, over its members and views.

References
----------
Depeweg et al., Decomposition of Uncertainty in Bayesian Deep Learning, ICML 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Shannon entropy in nats over the last axis; 0 log 0 is 0."""
    p = np.clip(probabilities, 0.0, 1.0)
    return np.asarray(-np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0), axis=-1))


def decompose(
    members: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Split the entropy of the mean prediction.

    Parameters
    ----------
    members : ndarray (m, n, k)
        Calibrated probabilities of each member.
    weights : ndarray (m, n), optional
        Weight of each member, adding up to 1 over the members; equal by default.

    Returns
    -------
    tuple of ndarray (n,)
        Total, aleatoric and epistemic (mutual information, at least 0), in nats.
    """
    w = np.full(members.shape[:2], 1.0 / len(members)) if weights is None else weights
    total = entropy(np.sum(w[..., None] * members, axis=0))
    aleatoric = np.minimum(np.sum(w * entropy(members), axis=0), total)
    return total, aleatoric, total - aleatoric


@dataclass(frozen=True, eq=False)
class Parts:
    """Entropy of the mean prediction and where it comes from, each ``(n,)`` in nats.

    Attributes
    ----------
    total : ndarray
        ``aleatoric + views + members``.
    aleatoric : ndarray
        Mean entropy of single passes: the image is ambiguous to every one of them.
    views : ndarray
        Mutual information between label and view, within members: the same image, turned, gets
        another answer.
    members : ndarray
        Mutual information between label and member: models that learned from the same data
        disagree.
    """

    total: NDArray[np.float64]
    aleatoric: NDArray[np.float64]
    views: NDArray[np.float64]
    members: NDArray[np.float64]

    @property
    def epistemic(self) -> NDArray[np.float64]:
        """Over members and views together."""
        return self.views + self.members


def decompose_views(passes: NDArray[np.float64]) -> Parts:
    """Split over members and over test-time views.

    Parameters
    ----------
    passes : ndarray (m, v, n, k)
        Probabilities of each member on each view.
    """
    total = entropy(passes.mean(axis=(0, 1)))
    within = np.minimum(entropy(passes.mean(axis=1)).mean(axis=0), total)
    aleatoric = np.minimum(entropy(passes).mean(axis=(0, 1)), within)
    return Parts(total, aleatoric, within - aleatoric, total - within)
