"""LIME for images (Ribeiro 2016), with the draws and coefficients of the ``lime`` package, vectorised.

Given the same segments, seed and scores, coefficients agree with ``lime`` 0.2.0.1 to 1e-5
(``LimeImageExplainer(random_state=seed).explain_instance(..., random_seed=None)``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions
from whycad.explain.segment_masks import SegmentedImage, SegmentScores
from whycad.explain.superpixels import Segments
from whycad.explain.surrogate import SurrogateFit, SurrogateMethod, stopping, until_stable, weighted_r2
from whycad.types import FloatArray

KERNEL_WIDTH = 0.25
RIDGE_ALPHA = 1.0
SAMPLES_PER_SEGMENT = 8
SMALLEST_REST = 1e-6


class Lime(SurrogateMethod):
    """Weights of superpixels in a local linear model of the target's score.

    References
    ----------
    Ribeiro, Singh and Guestrin, "Why should I trust you?", KDD 2016.
    """

    id = "lime"
    name = "LIME"

    def fit(self, model: nn.Module, cut: SegmentedImage, options: ExplainOptions, watched: int = 0) -> SurrogateFit:
        """Draw, score and fit; see ``fit_lime``."""
        return fit_segments(model, cut, options, watched)


def fit_lime(
    model: nn.Module, image: FloatArray, hidden: FloatArray, segments: Segments, options: ExplainOptions
) -> SurrogateFit:
    """Draw, score and fit.

    Parameters
    ----------
    model : torch.nn.Module
        ``(b, C, *shape)`` to scores ``(b, k)``.
    image, hidden : ndarray of float32 (C, *shape)
        The image, and what its superpixels become when they are hidden.
    segments : ndarray of int64 (*shape)
        Labels 0 .. K - 1, each in use; -1 where a pixel is always shown.
    options : ExplainOptions
        ``n_samples``, ``stop_when_stable``, ``seed``, ``batch_size``, ``progress``, ``cancelled``.

    Returns
    -------
    SurrogateFit
        One that stopped early is that of the package for as many samples.

    Raises
    ------
    ExplanationError
        When fewer than two samples are asked for or the segments do not fit.
    """
    return fit_segments(model, SegmentedImage(image, hidden, segments), options)


def fit_segments(model: nn.Module, cut: SegmentedImage, options: ExplainOptions, watched: int = 0) -> SurrogateFit:
    """Draw, score and fit; see ``fit_lime``."""
    n_samples = options.n_samples or SAMPLES_PER_SEGMENT * cut.n_segments
    if n_samples < 2 or not cut.fits:
        raise ExplanationError("LIME needs at least 2 samples and one label from 0 (or -1 for none) per pixel")
    masks = draw_masks(n_samples, cut.n_segments, options.seed)
    weights = proximity(masks)
    scored = SegmentScores(model, cut, masks, options)
    parameters = {"kernel_width": KERNEL_WIDTH, "ridge_alpha": RIDGE_ALPHA, **stopping(options, n_samples)}

    def first(n: int) -> SurrogateFit:
        scores = scored.first(n)
        line = weighted_ridge(masks[:n], scores, weights[:n])
        r2 = weighted_r2(scores, masks[:n] @ line.coefficients + line.intercepts, weights[:n])
        errors = ridge_errors(masks[:n], scores, weights[:n], line)
        return SurrogateFit(line.coefficients, errors, line.intercepts, r2, n, scored.n_evaluated, parameters)

    return until_stable(first, n_samples, cut.n_segments, watched, early=options.stop_when_stable)


def draw_masks(n_samples: int, n_segments: int, seed: int) -> NDArray[np.bool_]:
    """Draw which superpixels are shown, ``(n_samples, n_segments)``; the first row shows all.

    The stream is that of the ``lime`` package, which first draws a seed for its segmentation.
    """
    stream = np.random.RandomState(seed)
    stream.randint(0, high=1000)
    masks = stream.randint(0, 2, n_samples * n_segments).reshape(n_samples, n_segments).astype(bool)
    masks[0] = True
    return masks


def proximity(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return ``lime``'s sample weights: an exponential kernel on the cosine distance to all shown."""
    distance = 1.0 - np.sqrt(masks.mean(axis=1))
    return np.asarray(np.sqrt(np.exp(-(distance**2) / KERNEL_WIDTH**2)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Ridge:
    """A weighted ridge regression of every output.

    Attributes
    ----------
    coefficients : ndarray of float64 (K, k)
    intercepts : ndarray of float64 (k,)
    centred : ndarray of float64 (n, K)
        The masks less their weighted mean, times the root of the weights.
    gram : ndarray of float64 (K, K)
        Of ``centred``, with the penalty on its diagonal.
    """

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    centred: NDArray[np.float64]
    gram: NDArray[np.float64]


def weighted_ridge(masks: NDArray[np.bool_], scores: NDArray[np.float64], weights: NDArray[np.float64]) -> Ridge:
    """Fit ridge regressions with free intercepts to all outputs at once, in closed form.

    Parameters
    ----------
    masks : ndarray of bool (n, K)
    scores : ndarray of float64 (n, k)
    weights : ndarray of float64 (n,)
    """
    x = masks.astype(np.float64)
    share = weights / weights.sum()
    x_mean, y_mean = share @ x, share @ scores
    root = np.sqrt(weights)[:, None]
    x_centred, y_centred = (x - x_mean) * root, (scores - y_mean) * root
    gram = x_centred.T @ x_centred + RIDGE_ALPHA * np.eye(x.shape[1])
    coefficients = np.linalg.solve(gram, x_centred.T @ y_centred)
    return Ridge(coefficients, y_mean - x_mean @ coefficients, x_centred, gram)


def ridge_errors(
    masks: NDArray[np.bool_], scores: NDArray[np.float64], weights: NDArray[np.float64], line: Ridge
) -> NDArray[np.float64]:
    """Return the coefficients' standard errors ``(K, k)`` over draws of the masks.

    Residuals are not alike, since what the surrogate misses depends on the mask: the estimate is the
    sandwich with jackknifed residuals (HC3). The first mask is the same in every draw and moves nothing.

    References
    ----------
    MacKinnon and White, Some heteroskedasticity-consistent covariance matrix estimators with
    improved finite sample properties, Journal of Econometrics 29, 1985.
    """
    influence = np.linalg.solve(line.gram, line.centred.T).T
    leverage = (influence * line.centred).sum(axis=1) + weights / weights.sum()
    residuals = (scores - masks @ line.coefficients - line.intercepts) * np.sqrt(weights)[:, None]
    jackknifed = residuals / np.maximum(1 - leverage, SMALLEST_REST)[:, None]
    return np.asarray(np.sqrt((influence[1:] ** 2).T @ jackknifed[1:] ** 2), dtype=np.float64)


EXPLAINER = Lime()
