"""RISE (Petsiuk 2018): random soft masks, and the score that goes with each pixel being seen."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from whycad.batching import fitted_batch
from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions, RawMap
from whycad.explain.gradcam import INTERPOLATION
from whycad.explain.perturbation import (
    Hiding,
    PerturbationMethod,
    active_box,
    image_and_baseline,
    score_hidden,
    scoring_device,
    wanted_columns,
)
from whycad.types import Fidelity, FloatArray, MetadataValue, ModelInput

SAMPLES = 1000
SHOWN = 0.5


class Rise(PerturbationMethod):
    """Mean score of the masked images, each weighed by how far a pixel is seen, less the mean score.

    The paper divides a pixel's weighted sum of scores by the expected weight; here it is divided
    by the weights that were drawn, and the mean score is taken off, so that a pixel that does not
    matter is near 0. Hidden means baseline.

    References
    ----------
    Petsiuk, Das and Saenko, RISE: randomized input sampling for explanation of black-box models,
    BMVC 2018.
    """

    id = "rise"
    name = "RISE"

    def explain_many(
        self, model: nn.Module, inputs: ModelInput, targets: Sequence[int] | None, options: ExplainOptions
    ) -> list[RawMap]:
        """Explain several scores at once; see ``ManyExplainer.explain_many``."""
        device = scoring_device(model)
        image, baseline = image_and_baseline(inputs)
        n = options.n_samples or SAMPLES
        masks = SoftMasks(image.shape[1:], active_box(image, baseline), n, options, device)
        hiding = Hiding.of(image, baseline, device)
        scores = score_hidden(model, hiding, lambda a, b: hiding.shown(masks(a, b)), range(n), options)
        columns = wanted_columns(scores, targets)
        size = options.batch_size or fitted_batch(image.shape[1:], device, model)
        maps = mean_when_seen(masks, scores[:, columns], size)
        parameters: dict[str, MetadataValue] = {
            "samples": n,
            "cells": "x".join(str(cells) for cells in masks.cells),
            "shown": SHOWN,
            "fill": "baseline",
        }
        return [RawMap(values, parameters, Fidelity(n_samples=n)) for values in maps]


class SoftMasks:
    """Random masks ``(b, *shape, 1)`` of how far each pixel is seen, 0..1.

    A grid of cells, one more than asked for along each axis and each shown with probability 0.5,
    is enlarged linearly and cut out at a random shift of less than a cell. Outside the box
    everything is seen. Any masks of the n can be asked for, again and in any order.

    Parameters
    ----------
    shape : sequence of int
        Two or three spatial axes.
    box : sequence of slice
    n : int
    options : ExplainOptions
        ``seed``, ``rise_cells``.
    device : torch.device

    Raises
    ------
    ExplanationError
        When fewer than one mask or cell is asked for.
    """

    def __init__(
        self, shape: Sequence[int], box: Sequence[slice], n: int, options: ExplainOptions, device: torch.device
    ) -> None:
        if n < 1 or options.rise_cells < 1:
            raise ExplanationError("RISE needs at least one sample and one cell")
        self._sides = tuple(part.stop - part.start for part in box)
        self.cells = tuple(min(options.rise_cells, side) for side in self._sides)
        self._pixels = tuple(ceil(side / cells) for side, cells in zip(self._sides, self.cells, strict=True))
        pairs = zip(reversed(tuple(box)), reversed(tuple(shape)), strict=True)
        self._padding = [end for part, side in pairs for end in (part.start, side - part.stop)]
        stream = np.random.default_rng(options.seed)
        grids = stream.random((n, 1, *(cells + 1 for cells in self.cells))) < SHOWN
        self._grids = torch.from_numpy(grids).to(device)
        self._shifts = stream.integers(0, self._pixels, (n, len(self.cells)))

    def __call__(self, start: int, stop: int) -> Tensor:
        """Return masks ``start`` to ``stop``."""
        large = [(cells + 1) * pixels for cells, pixels in zip(self.cells, self._pixels, strict=True)]
        mode = INTERPOLATION[len(self.cells)]
        grown = F.interpolate(self._grids[start:stop].float(), large, mode=mode, align_corners=False)
        cut = [
            one[(0, *(slice(a, a + side) for a, side in zip(shift, self._sides, strict=True)))]
            for one, shift in zip(grown, self._shifts[start:stop].tolist(), strict=True)
        ]
        return F.pad(torch.stack(cut), self._padding, value=1.0)[..., None]

    def __len__(self) -> int:
        return len(self._grids)


def mean_when_seen(masks: SoftMasks, scores: NDArray[np.float64], size: int) -> FloatArray:
    """Return, per score, the mean weighed by how far each pixel is seen, less the plain mean.

    Parameters
    ----------
    masks : SoftMasks
    scores : ndarray of float64 (n, k)
    size : int
        Masks at once.

    Returns
    -------
    ndarray of float32 (k, *shape)
        0 where a pixel was never seen.
    """
    centred = torch.from_numpy(scores - scores.mean(axis=0))
    total = weight = torch.zeros(())
    for start in range(0, len(masks), size):
        seen = masks(start, start + size)[..., 0].cpu().double()
        total = total + torch.tensordot(centred[start : start + size], seen, dims=([0], [0]))
        weight = weight + seen.sum(dim=0)
    return (total / weight.clamp_min(1e-9)).numpy().astype(np.float32)


EXPLAINER = Rise()
