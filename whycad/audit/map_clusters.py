"""Groups of maps that look at the same places: spectral relevance analysis.

References
----------
Lapuschkin 2019, Unmasking Clever Hans predictors and assessing what machines really learn,
doi:10.1038/s41467-019-08987-4.
von Luxburg 2007, A tutorial on spectral clustering, doi:10.1007/s11222-007-9033-z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

FEWEST_NEIGHBOURS = 5
MOST_CLUSTERS = 8
# With fewer neighbours a single cloud of maps falls apart into chains.
NEIGHBOUR_SHARE = 0.25
# The second eigenvalue of a single cloud is 0.13 or more, of two groups that hardly touch 0.02.
APART = 0.1


@dataclass(frozen=True, eq=False)
class Clusters:
    """Groups of n maps.

    Attributes
    ----------
    label : ndarray of int64 (n,)
        0 is the largest group.
    eigenvalues : ndarray (m,)
        The smallest of the graph's normalised Laplacian, ascending.
    places : ndarray (n, 2)
        Where each map lies in the embedding, for a plot.
    """

    label: IntArray
    eigenvalues: FloatArray
    places: FloatArray

    @property
    def n(self) -> int:
        """Number of groups."""
        return int(self.label.max()) + 1

    def members(self, cluster: int) -> BoolArray:
        """Return which maps are in a group, ``(n,)``."""
        return np.asarray(self.label == cluster)


def cluster_maps(maps: FloatArray, seed: int = 0) -> Clusters:
    """Group maps by their nearest neighbours; the number of groups is where the eigenvalues leave the largest gap.

    Parameters
    ----------
    maps : ndarray (n, *shape)
        Not negative, each summing to 1; three at least. Distances are of the square roots (Hellinger), so that
        one large value does not outweigh a whole pattern.
    seed : int
        Of k-means in the embedding.
    """
    from sklearn.cluster import KMeans

    flat = np.sqrt(maps.reshape(len(maps), -1))
    values, vectors = linalg.eigh(_laplacian(_affinity(flat)))
    n_clusters = _by_eigengap(values)
    if n_clusters == 1:
        label = np.zeros(len(maps), np.int64)
    else:
        rows = vectors[:, :n_clusters]
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        label = KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(rows)
    return Clusters(_largest_first(label), values[: MOST_CLUSTERS + 2], _plane(flat))


def _affinity(flat: FloatArray) -> FloatArray:
    """Return which maps are among each other's nearest neighbours, ``(n, n)`` of 0 and 1."""
    from sklearn.neighbors import kneighbors_graph

    n = len(flat)
    k = min(n - 1, max(FEWEST_NEIGHBOURS, round(NEIGHBOUR_SHARE * n)))
    graph = kneighbors_graph(flat, k).toarray()
    return np.asarray(np.maximum(graph, graph.T))


def _laplacian(affinity: FloatArray) -> FloatArray:
    scale = 1 / np.sqrt(np.maximum(affinity.sum(axis=1), 1e-12))
    return np.asarray(np.eye(len(affinity)) - scale[:, None] * affinity * scale[None, :])


def _by_eigengap(values: FloatArray) -> int:
    """Return after how many of the smallest eigenvalues the largest gap comes; 1 where no group is apart."""
    if len(values) < 3 or values[1] > APART:
        return 1
    return int(np.argmax(np.diff(values[: MOST_CLUSTERS + 1])[1:])) + 2


def _largest_first(label: IntArray) -> IntArray:
    names, counts = np.unique(label, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return np.asarray(rank[np.searchsorted(names, label)])


def _plane(flat: FloatArray) -> FloatArray:
    """Return the first two principal components."""
    centred = flat - flat.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(flat), 2))
    width = min(2, left.shape[1])
    found[:, :width] = left[:, :width] * scale[:width]
    return found
