"""Linear surrogates on superpixels: what LIME and KernelSHAP share.

A surrogate's coefficients depend on the masks that were drawn. Their standard errors say how far
another draw would move them, and from those follows how far the ranking of the superpixels can be
relied on: the share of the coefficients' variance that is not the draw's doing, which is the
correlation to expect between the coefficients of two draws.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from whycad.explain.base import ExplainOptions, RawMap
from whycad.explain.perturbation import PerturbationMethod, wanted_columns
from whycad.explain.segment_masks import SegmentedImage
from whycad.map_choice import MOST_SAMPLES
from whycad.types import Fidelity, MetadataValue, ModelInput

POOR_R2 = 0.3
NORMAL_95 = 1.96
STABLE = 0.9
TOP = 5
FIRST_CHECK = 3


@dataclass(frozen=True, eq=False)
class SurrogateFit:
    """The linear surrogate of every output.

    Attributes
    ----------
    coefficients, errors : ndarray of float64 (K, k)
        Of each superpixel for each output, and their standard errors over draws of the masks: 0
        where the coefficients are exact, infinite where there are too few samples to tell.
    intercepts, r2 : ndarray of float64 (k,)
        ``r2`` is weighted, and NaN for an output that never changed.
    n_samples, n_evaluated : int
        Samples used, and distinct ones that the model was run on.
    parameters : mapping
        What else is needed to make the fit again.
    """

    coefficients: NDArray[np.float64]
    errors: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    r2: NDArray[np.float64]
    n_samples: int
    n_evaluated: int
    parameters: Mapping[str, MetadataValue] = field(default_factory=dict)

    def intervals(self) -> NDArray[np.float64]:
        """Return 95 % intervals of the coefficients ``(2, K, k)``, low and high."""
        reach = NORMAL_95 * self.errors
        return np.stack([self.coefficients - reach, self.coefficients + reach])

    def reliability(self) -> NDArray[np.float64]:
        """Return, per output, the correlation to expect between the coefficients of two draws, 0..1 ``(k,)``.

        NaN where all coefficients are the same.
        """
        spread = self.coefficients.var(axis=0)
        noise = (self.errors**2).mean(axis=0)
        differ = spread > 0
        return np.where(differ, np.clip(1 - noise / np.where(differ, spread, 1.0), 0, 1), np.nan)

    def summary(self, column: int) -> dict[str, MetadataValue]:
        """Return, for one output, what a reader of the map needs of the intervals."""
        low, high = self.intervals()[:, :, column]
        clear = int(((low > 0) | (high < 0)).sum())
        found: dict[str, MetadataValue] = {"clear_of_zero": f"{clear} of {len(low)} superpixels"}
        strongest = int(np.abs(self.coefficients[:, column]).argmax())
        if np.isfinite(self.errors[strongest, column]):
            value, ends = self.coefficients[strongest, column], (low[strongest], high[strongest])
            found["strongest"] = f"{value:+.3g} (95 % interval {ends[0]:+.3g} to {ends[1]:+.3g})"
        if np.isfinite(reliability := self.reliability()[column]):
            found["ranking_reliability"] = round(float(reliability), 3)
        return found


class SurrogateMethod(PerturbationMethod):
    """A method whose map is the coefficients of a linear surrogate."""

    @abstractmethod
    def fit(self, model: nn.Module, cut: SegmentedImage, options: ExplainOptions, watched: int = 0) -> SurrogateFit:
        """Draw masks, score them and fit all outputs; ``watched`` is the output whose ranking may stop the draws."""

    def explain_many(
        self, model: nn.Module, inputs: ModelInput, targets: Sequence[int] | None, options: ExplainOptions
    ) -> list[RawMap]:
        """Explain several scores at once; see ``ManyExplainer.explain_many``."""
        cut = SegmentedImage.of(inputs, options)
        fit = self.fit(model, cut, options, targets[0] if targets else 0)
        options.progress(1.0)
        parameters: dict[str, MetadataValue] = {
            "segments": cut.n_segments,
            "segmentation": cut.segmentation,
            "fill": options.fill,
            "samples": fit.n_samples,
            "evaluated": fit.n_evaluated,
            **fit.parameters,
        }
        return [
            RawMap(
                cut.spread(fit.coefficients[:, t]),
                {**parameters, **fit.summary(t)},
                surrogate_fidelity(float(fit.r2[t]), fit.n_evaluated),
            )
            for t in wanted_columns(fit.coefficients, targets)
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


def weighted_r2(
    scores: NDArray[np.float64], fitted: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weighted coefficient of determination per output, NaN where it is constant."""
    mean = weights @ scores / weights.sum()
    total = weights @ (scores - mean) ** 2
    residual = weights @ (scores - fitted) ** 2
    changes = total > 1e-20 * weights.sum()
    return np.where(changes, 1.0 - residual / np.where(changes, total, 1.0), np.nan)


def stopping(options: ExplainOptions, n_samples: int) -> dict[str, MetadataValue]:
    """Return the parameter that says how many samples there could have been; empty where all are always drawn."""
    return {MOST_SAMPLES: n_samples} if options.stop_when_stable else {}


def until_stable(
    first: Callable[[int], SurrogateFit], n_samples: int, n_segments: int, watched: int, *, early: bool
) -> SurrogateFit:
    """Fit all samples, or, where asked, only as many as the ranking of the superpixels needs.

    The ranking is stable when its reliability is at least 0.9 and the five strongest superpixels
    are those of the check before, one sample per superpixel earlier.

    Parameters
    ----------
    first : callable
        Fits the first n samples.
    n_samples : int
        At most.
    n_segments, watched : int
        The step between checks, and the output whose ranking counts.
    early : bool
        Whether to stop early.
    """
    before: set[int] = set()
    for n in range(FIRST_CHECK * n_segments, n_samples, n_segments) if early else ():
        fit = first(n)
        column = min(watched, fit.coefficients.shape[1] - 1)
        top = set(np.abs(fit.coefficients[:, column]).argsort()[::-1][:TOP].tolist())
        if top == before and fit.reliability()[column] >= STABLE:
            return fit
        before = top
    return first(n_samples)
