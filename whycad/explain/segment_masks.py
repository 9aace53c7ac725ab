"""Superpixels shown and hidden: what LIME and KernelSHAP share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.explain.base import ExplainOptions
from whycad.explain.perturbation import Hiding, active_box, image_and_baseline, score_hidden, scoring_device
from whycad.explain.superpixels import Segments, superpixels_within
from whycad.types import FloatArray, ModelInput


@dataclass(frozen=True, eq=False)
class SegmentedImage:
    """An image cut into superpixels, and what they become when they are hidden.

    Attributes
    ----------
    image, hidden : ndarray of float32 (C, *shape)
    segments : ndarray of int64 (*shape)
        Labels 0 .. K - 1, each in use; -1 where a pixel is always shown.
    segmentation : {"SLIC", "grid"}
    """

    image: FloatArray
    hidden: FloatArray
    segments: Segments
    segmentation: str = "grid"

    @classmethod
    def of(cls, inputs: ModelInput, options: ExplainOptions) -> SegmentedImage:
        """Cut the part of an input that differs from its baseline, as the options ask.

        Raises
        ------
        ExplanationError
            When the input or its baseline is not finite, or they do not fit.
        """
        image, baseline = image_and_baseline(inputs)
        segments, kind = _cut(inputs, image, baseline, options.n_segments)
        hidden = baseline if options.fill == "baseline" else segment_means(image, segments)
        return cls(image, hidden, segments, kind)

    @property
    def n_segments(self) -> int:
        """How many superpixels there are."""
        return int(self.segments.max()) + 1

    @property
    def fits(self) -> bool:
        """Whether there is a label from -1 for every pixel, and one superpixel at least."""
        return self.segments.shape == self.image.shape[1:] and self.segments.min() >= -1 and self.n_segments >= 1

    def spread(self, weights: NDArray[np.float64]) -> FloatArray:
        """Give every pixel its superpixel's weight ``(K,)``; 0 for pixels of none."""
        # The last place is what label -1 reads.
        return np.append(weights, 0.0).astype(np.float32)[self.segments]


# Segments live as long as the input that they were cut from, and no longer: they are a patient's.
_CUTS: WeakKeyDictionary[ModelInput, dict[int, tuple[Segments, str]]] = WeakKeyDictionary()


def _cut(inputs: ModelInput, image: FloatArray, baseline: FloatArray, n_segments: int) -> tuple[Segments, str]:
    """Cut an input into superpixels, once for each number of them."""
    known = _CUTS.setdefault(inputs, {})
    if n_segments not in known:
        segments, kind = superpixels_within(image, active_box(image, baseline), n_segments)
        segments.setflags(write=False)
        known[n_segments] = segments, kind
    return known[n_segments]


class SegmentScores:
    """Scores of an image with some superpixels hidden, as far as they are asked for; repeated rows are scored once.

    Parameters
    ----------
    model : torch.nn.Module
        ``(b, C, *shape)`` to scores ``(b, k)``.
    cut : SegmentedImage
    masks : ndarray of bool (n, K)
        True where a superpixel is shown.
    options : ExplainOptions
    """

    def __init__(
        self, model: nn.Module, cut: SegmentedImage, masks: NDArray[np.bool_], options: ExplainOptions
    ) -> None:
        distinct, self._inverse = unique_rows(masks)
        device = scoring_device(model)
        self._model, self._options, self._n_distinct = model, options, len(distinct)
        self._masks = _SegmentMasks(distinct, cut.segments, len(cut.image), device)
        self._hiding = Hiding.of(cut.image, cut.hidden, device)
        self._scores: list[NDArray[np.float64]] = []

    @property
    def n_evaluated(self) -> int:
        """How many distinct rows the model has been run on."""
        return sum(len(part) for part in self._scores)

    def first(self, n: int) -> NDArray[np.float64]:
        """Return the scores ``(n, k)`` of the first n masks; rows that are known are not scored again."""
        # Distinct rows stand in order of first appearance, so that the first masks need the first of them.
        done, needed = self.n_evaluated, int(self._inverse[:n].max()) + 1
        if needed > done:
            report = self._options.progress
            options = replace(self._options, progress=lambda f: report((done + f * (needed - done)) / self._n_distinct))
            new = score_hidden(self._model, self._hiding, self._versions, range(done, needed), options)
            self._scores.append(new)
        return np.concatenate(self._scores)[self._inverse[:n]]

    def _versions(self, start: int, stop: int) -> Tensor:
        return self._hiding.shown(self._masks(start, stop))


def unique_rows(masks: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the distinct rows in order of first appearance, and each row's place among them."""
    packed = np.ascontiguousarray(np.packbits(masks, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return masks[first[order]], np.asarray(rank[inverse], dtype=np.int64)


def segment_means(image: FloatArray, segments: Segments) -> FloatArray:
    """Return the image ``(C, *shape)`` with every superpixel in its mean colour."""
    flat = segments.ravel() + 1
    sizes = np.bincount(flat)
    means = [np.bincount(flat, weights=channel.ravel().astype(np.float64)) / np.maximum(sizes, 1) for channel in image]
    return np.stack([mean[segments + 1] for mean in means]).astype(np.float32)


class _SegmentMasks:
    """Masks of pixels ``(b, *shape, C)`` on a device from masks of superpixels ``(n, K)``."""

    def __init__(self, masks: NDArray[np.bool_], segments: Segments, channels: int, device: torch.device) -> None:
        # One more column, always shown, is what label -1 reads.
        self._masks = np.concatenate([masks, np.ones_like(masks[:, :1])], axis=1)
        self._shape = (*segments.shape, channels)
        self._device = device
        # Repeated per channel once, so that each mask is one gather and lies contiguous.
        columns = np.where(segments < 0, masks.shape[1], segments)
        self._index = np.repeat(columns.ravel(), channels)
        if device.type != "cpu":
            self._on_device = torch.from_numpy(self._masks).to(device), torch.from_numpy(self._index).to(device)

    def __call__(self, start: int, stop: int) -> Tensor:
        if self._device.type == "cpu":
            # NumPy gathers single bytes more than twice as fast as torch.
            chosen = torch.from_numpy(self._masks[start:stop].take(self._index, axis=1))
        else:
            masks, index = self._on_device
            chosen = masks[start:stop].index_select(1, index)
        return chosen.reshape(-1, *self._shape)
