"""KernelSHAP (Lundberg 2017) on superpixels, for all outputs at once in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from torch import nn

from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions
from whycad.explain.segment_masks import SegmentedImage, SegmentScores
from whycad.explain.surrogate import SurrogateFit, SurrogateMethod, stopping, until_stable, weighted_r2

SAMPLES_PER_SEGMENT = 8
MOST_ENUMERATED = 12


@dataclass(frozen=True, eq=False)
class Coalitions:
    """Which superpixels are shown together.

    Attributes
    ----------
    masks : ndarray of bool (n, K)
        The first row shows all, the second none.
    weights : ndarray of float64 (n - 2,)
        Of the other rows, adding up to 1: Shapley's kernel, or equal where the rows were drawn by it.
    enumerated : bool
        Whether these are all there are, so that the values are exact.
    """

    masks: NDArray[np.bool_]
    weights: NDArray[np.float64]
    enumerated: bool

    def first(self, n: int) -> Coalitions:
        """Return these, or the two ends and as many whole pairs as make up n."""
        if self.enumerated or n >= len(self.masks):
            return self
        n_rows = max(2, 2 * (n // 2 - 1))
        return Coalitions(self.masks[: 2 + n_rows], np.full(n_rows, 1 / n_rows), False)


class KernelShap(SurrogateMethod):
    """Shapley values of superpixels: their fair shares of the score less the score of the hidden image.

    They add up to that difference. Where there are at most 12 superpixels and samples enough, all
    coalitions are scored and the values are exact; else pairs of a coalition and its complement
    are drawn with Shapley's kernel as their distribution.

    References
    ----------
    Lundberg and Lee, A unified approach to interpreting model predictions, NeurIPS 2017.
    Covert and Lee, Improving KernelSHAP: practical Shapley value estimation using linear
    regression, AISTATS 2021 (pairs; the constraint in closed form).
    """

    id = "kernel_shap"
    name = "KernelSHAP"

    def fit(self, model: nn.Module, cut: SegmentedImage, options: ExplainOptions, watched: int = 0) -> SurrogateFit:
        """Draw coalitions, score and fit; see ``fit_kernel_shap``."""
        return fit_kernel_shap(model, cut, options, watched)


def fit_kernel_shap(model: nn.Module, cut: SegmentedImage, options: ExplainOptions, watched: int = 0) -> SurrogateFit:
    """Draw coalitions, score them, and fit all outputs at once.

    Parameters
    ----------
    model : torch.nn.Module
        ``(b, C, *shape)`` to scores ``(b, k)``.
    cut : SegmentedImage
    options : ExplainOptions
        ``n_samples``, ``stop_when_stable``, ``seed``, ``batch_size``, ``progress``, ``cancelled``.
    watched : int
        The output whose ranking may stop the draws.

    Returns
    -------
    SurrogateFit
        Its coefficients are the Shapley values; its intercepts the scores of the hidden image.

    Raises
    ------
    ExplanationError
        When fewer than four samples are asked for or the segments do not fit.
    """
    n_samples = options.n_samples or max(4, SAMPLES_PER_SEGMENT * cut.n_segments)
    if n_samples < 4 or not cut.fits:
        raise ExplanationError("KernelSHAP needs at least 4 samples and one label from 0 (or -1 for none) per pixel")
    drawn = coalitions_of(cut.n_segments, n_samples, options.seed)
    scored = SegmentScores(model, cut, drawn.masks, options)
    coalitions = "all" if drawn.enumerated else "drawn in pairs"
    parameters = {"coalitions": coalitions, **stopping(options, len(drawn.masks))}

    def first(n: int) -> SurrogateFit:
        used = drawn.first(n)
        scores = scored.first(len(used.masks))
        values = shapley_values(used, scores)
        errors, r2 = shapley_errors(used, scores, values), additive_r2(used, scores, values)
        return SurrogateFit(values, errors, scores[1], r2, len(used.masks), scored.n_evaluated, parameters)

    early = options.stop_when_stable and not drawn.enumerated
    return until_stable(first, len(drawn.masks), cut.n_segments, watched, early=early)


def coalitions_of(n_segments: int, n_samples: int, seed: int) -> Coalitions:
    """Return all coalitions where there are samples enough for them, else draw ``n_samples``."""
    ends = np.array([[True], [False]]).repeat(n_segments, axis=1)
    if n_segments <= MOST_ENUMERATED and 2**n_segments <= n_samples:
        numbers = np.arange(1, 2**n_segments - 1)
        rows = (numbers[:, None] >> np.arange(n_segments) & 1).astype(bool)
        sizes = rows.sum(axis=1)
        weights = np.array([size_weight(n_segments, s) / comb(n_segments, s) for s in sizes.tolist()])
        return Coalitions(np.concatenate([ends, rows]), weights / weights.sum() if len(rows) else weights, True)
    # Two streams, so that fewer samples are the first of more.
    of_sizes, of_orders = np.random.default_rng(seed).spawn(2)
    chances = np.array([size_weight(n_segments, s) for s in range(1, n_segments)])
    sizes = of_sizes.choice(np.arange(1, n_segments), (n_samples - 1) // 2, p=chances / chances.sum())
    # The first of a random order of the superpixels are shown.
    half = of_orders.random((len(sizes), n_segments)).argsort(axis=1).argsort(axis=1) < sizes[:, None]
    rows = np.stack([half, ~half], axis=1).reshape(-1, n_segments)
    return Coalitions(np.concatenate([ends, rows]), np.full(len(rows), 1 / len(rows)), False)


def size_weight(n_segments: int, size: int) -> float:
    """Return the weight in Shapley's kernel of all coalitions of a size together, up to a constant."""
    return 1.0 / (size * (n_segments - size))


def shapley_values(coalitions: Coalitions, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit additive games to scores by weighted least squares, all outputs at once.

    The values add up to the score of the whole image less that of the hidden one: a Lagrange
    multiplier holds the sum.

    Parameters
    ----------
    coalitions : Coalitions
    scores : ndarray of float64 (n, k)

    Returns
    -------
    ndarray of float64 (K, k)
    """
    change = scores[0] - scores[1]
    x = coalitions.masks[2:].astype(np.float64)
    n_segments = coalitions.masks.shape[1]
    if not len(x):
        return np.tile(change / n_segments, (n_segments, 1))
    weighed = x.T * coalitions.weights
    # The bordered matrix is singular where there are fewer samples than superpixels: the shortest solution then.
    bordered = np.ones((n_segments + 1, n_segments + 1))
    bordered[:-1, :-1], bordered[-1, -1] = weighed @ x, 0.0
    right = np.concatenate([weighed @ (scores[2:] - scores[1]), change[None]])
    solution: NDArray[np.float64] = np.linalg.lstsq(bordered, right, rcond=None)[0]
    return solution[:-1]


def shapley_errors(
    coalitions: Coalitions, scores: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the values' standard errors ``(K, k)`` over draws of pairs: a sandwich with pairs as its units.

    0 where all coalitions were scored, infinite where there are no more pairs than superpixels.
    """
    k = len(values)
    if coalitions.enumerated:
        return np.zeros_like(values)
    n_pairs = len(coalitions.weights) // 2
    if n_pairs <= k:
        return np.full_like(values, np.inf)
    x = coalitions.masks[2:].astype(np.float64)
    bordered = np.ones((k + 1, k + 1))
    bordered[:-1, :-1], bordered[-1, -1] = (x.T * coalitions.weights) @ x, 0.0
    influence = x @ np.linalg.pinv(bordered)[:k, :k] * coalitions.weights[:, None]
    residuals = scores[2:] - scores[1] - x @ values
    # What a pair moves: the sum over its two coalitions.
    moved = np.einsum("pcs,pck->psk", influence.reshape(n_pairs, 2, k), residuals.reshape(n_pairs, 2, -1))
    return np.asarray(np.sqrt((moved**2).sum(axis=0) * n_pairs / (n_pairs - k)), dtype=np.float64)


def additive_r2(
    coalitions: Coalitions, scores: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how well the values, added up, give the coalitions' scores: weighted R2 ``(k,)``."""
    rows = coalitions.masks[2:]
    if not len(rows):
        return np.where(scores[0] == scores[1], np.nan, 1.0)
    return weighted_r2(scores[2:], scores[1] + rows @ values, coalitions.weights)


EXPLAINER = KernelShap()
