"""LIME for images (Ribeiro 2016), with the draws and coefficients of the ``lime`` package, vectorised.

Given the same segments, seed and scores, coefficients agree with ``lime`` 0.2.0.1 to 1e-5
(``LimeImageExplainer(random_state=seed).explain_instance(..., random_seed=None)``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions, RawMap, Scope
from whycad.explain.perturbation import wanted_columns
from whycad.explain.segment_masks import SegmentedImage, score_segments
from whycad.explain.superpixels import Segments
from whycad.types import Fidelity, FloatArray, MetadataValue, ModelInput

KERNEL_WIDTH = 0.25
RIDGE_ALPHA = 1.0
POOR_R2 = 0.3
SAMPLES_PER_SEGMENT = 8


@dataclass(frozen=True, eq=False)
class LimeFit:
    """The linear surrogate of every output.

    Attributes
    ----------
    coefficients : ndarray of float64 (n_segments, k)
    intercepts, r2 : ndarray of float64 (k,)
        ``r2`` is weighted, and NaN for an output that never changed.
    n_samples, n_evaluated : int
        Samples drawn, and distinct ones that the model was run on.
    """

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    r2: NDArray[np.float64]
    n_samples: int
    n_evaluated: int


class Lime:
    """Weights of superpixels in a local linear model of the target's score.

    References
    ----------
    Ribeiro, Singh and Guestrin, "Why should I trust you?", KDD 2016.
    """

    id = "lime"
    name = "LIME"
    signed = True
    needs_layer = False
    scope: Scope = "ensemble"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one score; see ``Explainer.explain``."""
        return self.explain_many(model, inputs, (target,), options)[0]

    def explain_many(
        self, model: nn.Module, inputs: ModelInput, targets: Sequence[int] | None, options: ExplainOptions
    ) -> list[RawMap]:
        """Explain several scores at once; see ``ManyExplainer.explain_many``."""
        cut = SegmentedImage.of(inputs, options)
        fit = fit_segments(model, cut, options)
        columns = wanted_columns(fit.coefficients, targets)
        parameters: dict[str, MetadataValue] = {
            "segments": len(fit.coefficients),
            "segmentation": cut.segmentation,
            "fill": options.fill,
            "samples": fit.n_samples,
            "evaluated": fit.n_evaluated,
            "kernel_width": KERNEL_WIDTH,
            "ridge_alpha": RIDGE_ALPHA,
        }
        return [
            RawMap(
                cut.spread(fit.coefficients[:, t]), parameters, surrogate_fidelity(float(fit.r2[t]), fit.n_evaluated)
            )
            for t in columns
        ]


def surrogate_fidelity(r2: float, n_evaluated: int) -> Fidelity:
    """Return the fidelity of a map that a surrogate with this weighted R2 gave."""
    return Fidelity(local_r2=None if np.isnan(r2) else r2, n_samples=n_evaluated, remarks=surrogate_remarks(r2))


def surrogate_remarks(r2: float) -> tuple[str, ...]:
    """Return what the reader must know about the surrogate's weighted R2."""
    if np.isnan(r2):
        return ("Hiding parts of the image never changed the score.",)
    if r2 < POOR_R2:
        return (f"The linear surrogate follows the model poorly (local R2 {r2:.2f}).",)
    return ()


def fit_lime(
    model: nn.Module, image: FloatArray, hidden: FloatArray, segments: Segments, options: ExplainOptions
) -> LimeFit:
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
        ``n_samples``, ``seed``, ``batch_size``, ``progress``, ``cancelled``.

    Raises
    ------
    ExplanationError
        When fewer than two samples are asked for or the segments do not fit.
    """
    return fit_segments(model, SegmentedImage(image, hidden, segments), options)


def fit_segments(model: nn.Module, cut: SegmentedImage, options: ExplainOptions) -> LimeFit:
    """Draw, score and fit; see ``fit_lime``."""
    n_samples = options.n_samples or SAMPLES_PER_SEGMENT * cut.n_segments
    if n_samples < 2 or not cut.fits:
        raise ExplanationError("LIME needs at least 2 samples and one label from 0 (or -1 for none) per pixel")
    masks = draw_masks(n_samples, cut.n_segments, options.seed)
    scores, n_evaluated = score_segments(model, cut, masks, options)
    weights = proximity(masks)
    coefficients, intercepts = weighted_ridge(masks, scores, weights)
    r2 = weighted_r2(scores, masks @ coefficients + intercepts, weights)
    return LimeFit(coefficients, intercepts, r2, len(masks), n_evaluated)


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


def weighted_ridge(
    masks: NDArray[np.bool_], scores: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit ridge regressions with free intercepts to all outputs at once, in closed form.

    Parameters
    ----------
    masks : ndarray of bool (n, K)
    scores : ndarray of float64 (n, k)
    weights : ndarray of float64 (n,)

    Returns
    -------
    coefficients : ndarray of float64 (K, k)
    intercepts : ndarray of float64 (k,)
    """
    x = masks.astype(np.float64)
    share = weights / weights.sum()
    x_mean, y_mean = share @ x, share @ scores
    root = np.sqrt(weights)[:, None]
    x_centred, y_centred = (x - x_mean) * root, (scores - y_mean) * root
    gram = x_centred.T @ x_centred + RIDGE_ALPHA * np.eye(x.shape[1])
    coefficients = np.linalg.solve(gram, x_centred.T @ y_centred)
    return coefficients, y_mean - x_mean @ coefficients


def weighted_r2(
    scores: NDArray[np.float64], fitted: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weighted coefficient of determination per output, NaN where it is constant."""
    mean = weights @ scores / weights.sum()
    total = weights @ (scores - mean) ** 2
    residual = weights @ (scores - fitted) ** 2
    changes = total > 1e-20 * weights.sum()
    return np.where(changes, 1.0 - residual / np.where(changes, total, 1.0), np.nan)


EXPLAINER = Lime()
