"""How unlike the calibration data an image is, in the space of the model's own features.

References
----------
Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples, NeurIPS 2018.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

METHOD = "Mahalanobis distance of the members' features"


class OodReference(BaseModel):
    """A Gaussian in a small projection of the members' concatenated features.

    Attributes
    ----------
    projection : tuple of tuple of float (p, d)
        Rows map standardised features to uncorrelated coordinates of unit variance.
    centre, scale : tuple of float (d,)
        Of the features.
    quantiles : tuple of float (101,)
        Percentiles of the score on calibration cases left out of the fit.
    refer_above, reject_above : float
        Scores above which a case is referred, and refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    projection: tuple[tuple[float, ...], ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    quantiles: tuple[float, ...] = Field(min_length=101, max_length=101)
    refer_above: float
    reject_above: float

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        return np.asarray(self.projection), np.asarray(self.centre), np.asarray(self.scale)

    def score(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance ``(n,)`` of features ``(n, d)``."""
        projection, centre, scale = self._arrays
        return np.asarray(np.linalg.norm(((features - centre) / scale) @ projection.T, axis=1))

    def percentile(self, score: float) -> float:
        """Return the share (0..100) of calibration cases with a smaller score."""
        return float(np.searchsorted(self.quantiles, score, side="left") / 101 * 100)


def _fit_projection(
    features: NDArray[np.float64], n_components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    # Imported here: workers only score, and scikit-learn would add a second to their start.
    from sklearn.covariance import LedoitWolf
    from sklearn.decomposition import PCA

    centre = features.mean(axis=0)
    scale = features.std(axis=0) + 1e-6
    standard = (features - centre) / scale
    pca = PCA(n_components=n_components, svd_solver="full").fit(standard)
    covariance = LedoitWolf(assume_centered=True).fit(standard @ pca.components_.T).covariance_
    values, vectors = np.linalg.eigh(covariance)
    whiten = (vectors / np.sqrt(values)) @ vectors.T
    return whiten @ pca.components_, centre, scale


def fit_ood(
    features: NDArray[np.float64], groups: NDArray[np.str_], n_components: int = 32, accept: float = 95.0
) -> OodReference:
    """Fit the reference; its percentiles come from grouped cross-fitting.

    Parameters
    ----------
    features : ndarray (n, d)
        Members' features side by side.
    groups : ndarray (n,)
        Patient or lesion of each row.
    n_components : int
    accept : float
        Percentage of calibration cases that must not be referred.
    """
    from sklearn.model_selection import GroupKFold

    held_out = np.empty(len(features))
    for train, test in GroupKFold(n_splits=5).split(features, groups=groups):
        projection, centre, scale = _fit_projection(features[train], n_components)
        held_out[test] = np.linalg.norm(((features[test] - centre) / scale) @ projection.T, axis=1)
    projection, centre, scale = _fit_projection(features, n_components)
    quantiles = np.percentile(held_out, np.arange(101))
    refer = float(np.percentile(held_out, accept))
    spread = refer - float(np.median(held_out))
    return OodReference(
        projection=tuple(tuple(float(f"{v:.5g}") for v in row) for row in projection),
        centre=tuple(float(f"{v:.6g}") for v in centre),
        scale=tuple(float(f"{v:.6g}") for v in scale),
        quantiles=tuple(float(q) for q in quantiles),
        refer_above=refer,
        reject_above=float(quantiles[-1]) + spread,
    )
