"""The coarse grid on which maps are compared and parts of an image are hidden, and what hidden parts become.

Every ordering hides the same square cells, about 250 of them, so that a map of scattered pixels, a
map of superpixels and an edge map are judged alike. Scattered single pixels would be the quickest
way to ruin any image, whatever it shows.

A hidden cell takes the image's own wide blur, or the input's baseline, the "nothing here" of the
perturbation methods. Sharp-edged cells of a flat baseline make images that no network has seen; a
blur leaves large structures in place. Which serves a task better is found on calibration data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from whycad.explain.base import ExplainOptions, input_tensors
from whycad.explain.perturbation import active_box
from whycad.explain.segment_masks import SegmentedImage
from whycad.explain.superpixels import Segments, grid_segments
from whycad.map_grades import Hidden
from whycad.types import FloatArray, ModelInput

N_CELLS = 250
# Of the shorter side in plane: wide enough to blur a lesion away, 20 px at 112.
BLUR = 0.18


@dataclass(frozen=True, eq=False)
class Cells:
    """An input cut into cells.

    Attributes
    ----------
    cut : SegmentedImage
        The image, what hidden cells become, and each pixel's cell: 0 .. n - 1, or -1 where there is
        nothing to hide.
    box : tuple of slice
        The part of the image that holds cells.
    """

    cut: SegmentedImage
    box: tuple[slice, ...]

    @classmethod
    def of(cls, inputs: ModelInput, hidden: Hidden = "blur", n_cells: int = N_CELLS) -> Cells:
        """Cut the part of an input that differs from its baseline into about ``n_cells`` near-square cells.

        Parameters
        ----------
        inputs : ModelInput
        hidden : {"blur", "baseline"}
            What hidden cells become.
        n_cells : int

        Raises
        ------
        ExplanationError
            When the input or its baseline is not finite, or they do not fit.
        """
        image, baseline = (tensor[0].numpy() for tensor in input_tensors(inputs, torch.device("cpu")))
        box = active_box(image, baseline)
        sides = [part.stop - part.start for part in box]
        wide = [side for side in sides if side > 1] or [1]
        labels = np.full(image.shape[1:], -1, np.int64)
        labels[box] = grid_segments(wide, n_cells).reshape(sides)
        becomes = blurred(image, box) if hidden == "blur" else baseline
        return cls(SegmentedImage(image, becomes, labels), box)

    @cached_property
    def ties(self) -> NDArray[np.int64]:
        """See ``even_ranks``."""
        return even_ranks(self.labels)

    def orders(self, weights: NDArray[np.float64]) -> list[NDArray[np.int64]]:
        """Return the cells from the largest weight ``(n,)`` to the smallest, twice.

        Equal ones are evenly spread in the first, and in the opposite order in the second, so that
        a finding that a map has missed is hit early in one and late in the other.
        """
        return [np.asarray(np.lexsort((ties, -weights)), np.int64) for ties in (self.ties, -self.ties)]

    @property
    def labels(self) -> Segments:
        """Each pixel's cell, ``(*shape)``."""
        return self.cut.segments

    @property
    def n(self) -> int:
        """How many cells there are."""
        return self.cut.n_segments

    def sums(self, values: FloatArray) -> NDArray[np.float64]:
        """Add a map ``(*shape)`` up in each cell, ``(n,)``."""
        flat = np.asarray(values, np.float64).ravel()
        return np.asarray(np.bincount(self.labels.ravel() + 1, weights=flat, minlength=self.n + 1)[1:], np.float64)

    def grey(self) -> FloatArray:
        """Return the image's mean over its channels ``(*shape)``."""
        return np.asarray(self.cut.image.mean(axis=0), np.float32)


def blurred(image: FloatArray, box: tuple[slice, ...]) -> FloatArray:
    """Return an image ``(C, *shape)`` widely blurred in plane within a box, as it is elsewhere."""
    part = image[(slice(None), *box)]
    sides = part.shape[-2:]
    widths = [0.0] * (part.ndim - 2) + [BLUR * min(sides) if side > 1 else 0.0 for side in sides]
    found = image.copy()
    found[(slice(None), *box)] = ndimage.gaussian_filter(part, widths, mode="nearest")
    return found


def even_ranks(labels: Segments) -> NDArray[np.int64]:
    """Return when each cell ``(n,)`` comes in an order that covers the image evenly at every moment.

    Each next cell is the one farthest from all before it, from the first one on. Cells that a map
    does not tell apart are taken in this order: in a random one, luck would decide when a finding
    that the map has missed is hit.
    """
    index = np.argwhere(labels >= 0)
    members = labels[labels >= 0]
    sizes = np.bincount(members)
    centres = np.stack([np.bincount(members, weights=axis) / sizes for axis in index.T], axis=1)
    ranks = np.empty(len(sizes), np.int64)
    nearest = np.full(len(sizes), np.inf)
    current = 0
    for place in range(len(sizes)):
        ranks[current] = place
        nearest = np.minimum(nearest, ((centres - centres[current]) ** 2).sum(axis=1))
        nearest[current] = -1.0
        current = int(nearest.argmax())
    return ranks


def quiet(options: ExplainOptions) -> ExplainOptions:
    """Return the options without their progress, which a caller that runs several steps reports itself."""
    return replace(options, progress=lambda _fraction: None)
