"""LIME for images (Ribeiro 2016), with the draws and coefficients of the ``lime`` package, vectorised.

Given the same segments, seed and scores, coefficients agree with ``lime`` 0.2.0.1 to 1e-5
(``LimeImageExplainer(random_state=seed).explain_instance(..., random_seed=None)``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions, RawMap, Scope, input_tensors
from whycad.explain.perturbation import Hiding, active_box, score_hidden, scoring_device
from whycad.explain.superpixels import Segments, superpixels_within
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
    scope: Scope = "ensemble"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one score; see ``Explainer.explain``."""
        image, baseline = (tensor[0].numpy() for tensor in input_tensors(inputs, torch.device("cpu")))
        segments, kind = superpixels_within(image, active_box(image, baseline), options.n_segments)
        hidden = baseline if options.fill == "baseline" else segment_means(image, segments)
        fit = fit_lime(model, image, hidden, segments, options)
        if not 0 <= target < fit.coefficients.shape[1]:
            raise ExplanationError(f"the model's output has no target {target}")
        r2 = float(fit.r2[target])
        parameters: dict[str, MetadataValue] = {
            "segments": len(fit.coefficients),
            "segmentation": kind,
            "fill": options.fill,
            "samples": fit.n_samples,
            "evaluated": fit.n_evaluated,
            "kernel_width": KERNEL_WIDTH,
            "ridge_alpha": RIDGE_ALPHA,
        }
        fidelity = Fidelity(
            local_r2=None if np.isnan(r2) else r2, n_samples=fit.n_evaluated, remarks=surrogate_remarks(r2)
        )
        # The last place, which label -1 reads, is for pixels of no superpixel.
        weights = np.append(fit.coefficients[:, target], 0.0).astype(np.float32)
        return RawMap(weights[segments], parameters, fidelity)


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
    n_segments = int(segments.max()) + 1
    n_samples = options.n_samples or SAMPLES_PER_SEGMENT * n_segments
    if n_samples < 2 or n_segments < 1 or segments.shape != image.shape[1:] or segments.min() < -1:
        raise ExplanationError("LIME needs at least 2 samples and one label from 0 (or -1 for none) per pixel")
    masks = draw_masks(n_samples, n_segments, options.seed)
    distinct, inverse = unique_rows(masks)
    device = scoring_device(model)
    shown = _SegmentMasks(torch.from_numpy(distinct).to(device), segments, len(image))
    scores = score_hidden(model, Hiding.of(image, hidden, device), shown, len(distinct), options)[inverse]
    weights = proximity(masks)
    coefficients, intercepts = weighted_ridge(masks, scores, weights)
    r2 = weighted_r2(scores, masks @ coefficients + intercepts, weights)
    return LimeFit(coefficients, intercepts, r2, len(masks), len(distinct))


def draw_masks(n_samples: int, n_segments: int, seed: int) -> NDArray[np.bool_]:
    """Draw which superpixels are shown, ``(n_samples, n_segments)``; the first row shows all.

    The stream is that of the ``lime`` package, which first draws a seed for its segmentation.
    """
    stream = np.random.RandomState(seed)
    stream.randint(0, high=1000)
    masks = stream.randint(0, 2, n_samples * n_segments).reshape(n_samples, n_segments).astype(bool)
    masks[0] = True
    return masks


def unique_rows(masks: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the distinct rows in order of first appearance, and each row's place among them."""
    packed = np.ascontiguousarray(np.packbits(masks, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return masks[first[order]], np.asarray(rank[inverse], dtype=np.int64)


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


def segment_means(image: FloatArray, segments: Segments) -> FloatArray:
    """Return the image ``(C, *shape)`` with every superpixel in its mean colour."""
    flat = segments.ravel() + 1
    sizes = np.bincount(flat)
    means = [np.bincount(flat, weights=channel.ravel().astype(np.float64)) / np.maximum(sizes, 1) for channel in image]
    return np.stack([mean[segments + 1] for mean in means]).astype(np.float32)


class _SegmentMasks:
    """Masks of pixels ``(b, *shape, C)`` from masks of superpixels ``(n, K)``."""

    def __init__(self, masks: Tensor, segments: Segments, channels: int) -> None:
        # One more column, always shown, is what label -1 reads.
        self._masks = torch.cat([masks, torch.ones_like(masks[:, :1])], dim=1)
        self._shape = (*segments.shape, channels)
        # Repeated per channel once, so that each mask is one gather and lies contiguous.
        columns = np.where(segments < 0, masks.shape[1], segments)
        self._index = torch.from_numpy(np.repeat(columns.ravel(), channels)).to(masks.device)

    def __call__(self, start: int, stop: int) -> Tensor:
        return self._masks[start:stop].index_select(1, self._index).reshape(-1, *self._shape)


EXPLAINER = Lime()
