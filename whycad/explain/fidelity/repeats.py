"""One member's map made again: on a noisy image, under another seed, with other weights.

Repeats are made by one member with fewer steps and samples than the map that is shown, and are
compared with each other only. What falls short with fewer samples is stability, which is thus
judged on the strict side.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from whycad.explain import METHODS
from whycad.explain.base import ExplainOptions
from whycad.explain.ensemble import ExplainableEnsemble
from whycad.explain.fidelity.agreement import rank_correlation, similarity_to_the_eye
from whycad.explain.fidelity.cells import Cells, quiet
from whycad.explain.fidelity.infidelity import relative_change
from whycad.explain.fidelity.randomised import cascade
from whycad.explain.members import over_ensemble, over_members
from whycad.explain.occlusion import fitted_window
from whycad.manifest import View
from whycad.targets import Contrast
from whycad.types import FloatArray, ModelInput

IG_STEPS, NOISE_DRAWS, RISE_SAMPLES = 16, 8, 200
# Fewer superpixels with as many samples each as the map that is shown.
SEGMENTS, SAMPLES_PER_SEGMENT = 25, 8
NOISE = 0.02
# Perturbation methods know the network by its output alone: they are tried on the wholly random one.
MEMBER_SHARES, ENSEMBLE_SHARES = (0.5, 1.0), (1.0,)


@dataclass(frozen=True)
class RepeatOptions:
    """How often maps are made again.

    Attributes
    ----------
    noise : float
        Standard deviation of the noise as a share of the image's range.
    n_noisy : int
        Noisy repeats.
    shares : tuple of float
        Shares of the layers that are randomised in turn; empty fits the method.
    """

    noise: float = NOISE
    n_noisy: int = 1
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Repeats:
    """What came of making a map again.

    Attributes
    ----------
    similarities : tuple of float
        Rank correlation with the map after each stage of randomisation.
    ssim : float or None
        Of the last stage.
    stability : float or None
        Least rank correlation with the noisy repeats.
    sensitivity : float or None
        Largest relative change over the noisy repeats.
    """

    similarities: tuple[float, ...]
    ssim: float | None
    stability: float | None
    sensitivity: float | None


class OneMember:
    """One network as an ensemble (``ExplainableEnsemble``).

    Parameters
    ----------
    member : torch.nn.Module
        A copy that nobody else uses.
    device : torch.device
        Where it is.
    """

    def __init__(self, member: nn.Module, device: torch.device) -> None:
        self._member = member
        self.device = device
        self._lock = threading.Lock()

    def logits(
        self, batch: Tensor, *, cancelled: Callable[[], bool] | None = None, views: Sequence[View] | None = None
    ) -> Tensor:
        """Map ``(n, C, *shape)`` to ``(1, 1, n, k)``; ``views`` is taken to be the unflipped one."""
        with self._lock, torch.inference_mode():
            output: Tensor = self._member(batch)
        return output.float()[None, None]

    def explain_members(self) -> tuple[nn.Module, ...]:
        """Return the network."""
        return (self._member,)

    def gradient_members(self) -> tuple[nn.Module, ...]:
        """Return the network."""
        return (self._member,)


def cheap_options(options: ExplainOptions, cells: Cells) -> ExplainOptions:
    """Return options with few steps and samples, fitted to what there is to hide."""
    sides = [part.stop - part.start for part in cells.box]
    few = replace(quiet(options), occlusion_window=0, occlusion_stride=0)
    window, _ = fitted_window(sides, few)
    return replace(
        few,
        ig_steps=IG_STEPS,
        noise_samples=NOISE_DRAWS,
        occlusion_stride=0 if len(sides) == 3 else min(window),
        n_segments=SEGMENTS,
        n_samples=SAMPLES_PER_SEGMENT * SEGMENTS,
    )


def one_map(
    method: str, ensemble: ExplainableEnsemble, inputs: ModelInput, target: int | Contrast, options: ExplainOptions
) -> FloatArray:
    """Return a method's map on the model's grid."""
    options.check_cancelled()
    explainer = METHODS[method]
    if method == "rise":
        options = replace(options, n_samples=RISE_SAMPLES)
    if explainer.scope == "member":
        return over_members(explainer, ensemble.explain_members(), inputs, target, options).map
    return over_ensemble(explainer, ensemble, inputs, target, options).map


def repeat(
    method: str,
    cells: Cells,
    asked: tuple[nn.Module, ModelInput, int | Contrast],
    options: ExplainOptions,
    how: RepeatOptions = RepeatOptions(),
) -> Repeats:
    """Make one member's map again in each way.

    Parameters
    ----------
    method : str
    cells : Cells
        Of the input.
    asked : (torch.nn.Module, ModelInput, int or Contrast)
        The member, a copy that nobody else uses; the input; the target.
    options : ExplainOptions
    how : RepeatOptions

    Raises
    ------
    ExplanationError, PredictionError, JobCancelledError
    """
    member, inputs, target = asked
    device = next((parameter.device for parameter in member.parameters()), torch.device("cpu"))
    cheap = cheap_options(options, cells)

    def made(model: nn.Module, seen: ModelInput, seed: int) -> FloatArray:
        return one_map(method, OneMember(model, device), seen, target, replace(cheap, seed=seed % 2**32))

    own = made(member, inputs, options.seed)
    noisy = [
        made(member, with_noise(inputs, cells, how.noise, options.seed + 1 + draw), options.seed + 1 + draw)
        for draw in range(how.n_noisy)
    ]
    shares = how.shares or (MEMBER_SHARES if METHODS[method].scope == "member" else ENSEMBLE_SHARES)
    after = [made(model, inputs, options.seed) for model in cascade(member, shares, options.seed)]
    sums = cells.sums(own)
    return Repeats(
        similarities=tuple(rank_correlation(sums, cells.sums(values)) for values in after),
        ssim=similarity_to_the_eye(own[cells.box], after[-1][cells.box]) if after else None,
        stability=min((rank_correlation(sums, cells.sums(values)) for values in noisy), default=None),
        sensitivity=max((relative_change(own, values) for values in noisy), default=None),
    )


def with_noise(inputs: ModelInput, cells: Cells, noise: float, seed: int) -> ModelInput:
    """Return an input with Gaussian noise where there is an image.

    Parameters
    ----------
    inputs : ModelInput
    cells : Cells
    noise : float
        Standard deviation as a share of the range of the values within the cells.
    seed : int
    """
    where = (cells.labels >= 0) & (cells.cut.image != cells.cut.hidden).any(axis=0)
    image = cells.cut.image
    seen = image[:, where]
    spread = float(seen.max() - seen.min()) if seen.size else 0.0
    drawn = np.random.default_rng(seed).standard_normal(image.shape).astype(np.float32)
    return replace(inputs, array=np.asarray(image + np.float32(noise * spread) * drawn * where, np.float32))
