"""Occlusion (Zeiler 2014): how far the score drops when a window is covered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions, RawMap
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

WINDOWS_PER_SIDE = 7
SMALLEST_WINDOW = 2


class Occlusion(PerturbationMethod):
    """Mean drop of the target's score over all windows that cover a pixel; covered means baseline.

    References
    ----------
    Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014.
    """

    id = "occlusion"
    name = "Occlusion"

    def explain_many(
        self, model: nn.Module, inputs: ModelInput, targets: Sequence[int] | None, options: ExplainOptions
    ) -> list[RawMap]:
        """Explain several scores at once; see ``ManyExplainer.explain_many``."""
        device = scoring_device(model)
        image, baseline = image_and_baseline(inputs)
        box = active_box(image, baseline)
        window, stride = fitted_window([part.stop - part.start for part in box], options)
        covers = window_covers(image.shape[1:], box, window, stride)
        n = len(covers[0])
        hiding = Hiding.of(image, baseline, device)
        scores = score_hidden(model, hiding, _Windows(hiding, covers), range(n + 1), options)
        columns = wanted_columns(scores, targets)
        drops = scores[0] - scores[1:]
        parameters: dict[str, MetadataValue] = {
            "window": _words(window),
            "stride": _words(stride),
            "fill": "baseline",
        }
        return [RawMap(spread(drops[:, t], covers), parameters, Fidelity(n_samples=n + 1)) for t in columns]


def _words(sides: Sequence[int]) -> int | str:
    """Return one number where all sides are the same."""
    return sides[0] if len(set(sides)) == 1 else "x".join(str(side) for side in sides)


def fitted_window(shape: Sequence[int], options: ExplainOptions) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the window's sides and its strides.

    In an image the window is a square, a seventh of the shorter side, moved by half of it. In a
    volume, whose axes may differ much, it is a seventh of every side, moved by the whole of it.

    Raises
    ------
    ExplanationError
        When the options ask for a window larger than the image or a stride that leaves gaps.
    """
    asked, d = options.occlusion_window, len(shape)
    base = list(shape) if d == 3 else [min(shape)] * d
    window = tuple(min(asked, n) if asked and d == 3 else asked or _seventh(n) for n in base)
    stride = tuple(options.occlusion_stride or (w if d == 3 else max(1, w // 2)) for w in window)
    fits = all(0 < w <= n for w, n in zip(window, shape, strict=True))
    if not fits or not all(0 < step <= w for step, w in zip(stride, window, strict=True)):
        raise ExplanationError(
            f"occlusion: a window of {_words(window)} px moved by {_words(stride)} px does not tile an image of "
            f"{tuple(shape)} px",
            remedy="choose a window within the image and a stride no larger than it",
        )
    return window, stride


def _seventh(side: int) -> int:
    return max(min(SMALLEST_WINDOW, side), round(side / WINDOWS_PER_SIDE))


def window_covers(
    shape: Sequence[int], box: Sequence[slice], window: Sequence[int], stride: Sequence[int]
) -> tuple[NDArray[np.bool_], ...]:
    """Return, per axis, which indices each window covers: ``(n_windows, side)``.

    A window covers the pixels that are covered along every axis; together they cover the box.
    """
    starts = [
        sorted({*range(part.start, part.stop - w, step), part.stop - w})
        for part, w, step in zip(box, window, stride, strict=True)
    ]
    corners = np.array(list(product(*starts)))
    return tuple(
        (np.arange(side) >= corners[:, axis, None]) & (np.arange(side) < corners[:, axis, None] + window[axis])
        for axis, side in enumerate(shape)
    )


def spread(drops: NDArray[np.float64], covers: Sequence[NDArray[np.bool_]]) -> FloatArray:
    """Average the windows' drops ``(n,)`` over the windows that cover each pixel ``(*shape)``; 0 where none does."""
    *others, last = (cover.astype(np.float64) for cover in covers)
    first = others[0]
    for other in others[1:]:
        first = (first[:, :, None] * other[:, None, :]).reshape(len(drops), -1)
    shape = tuple(cover.shape[1] for cover in covers)
    total, counts = ((first.T * weights) @ last for weights in (drops, np.ones_like(drops)))
    mean = np.divide(total, counts, out=np.zeros_like(total), where=counts > 0)
    return np.asarray(mean, dtype=np.float32).reshape(shape)


class _Windows:
    """Version 0, the whole image, and versions 1..n, each with one window covered.

    All calls share one block of copies: each puts back what the one before covered.
    """

    def __init__(self, hiding: Hiding, covers: Sequence[NDArray[np.bool_]]) -> None:
        self._image, self._hidden = hiding.image.flatten(), hiding.hidden.flatten()
        self._shape = hiding.image.shape
        self._places = torch.from_numpy(_places(covers, self._shape)).to(hiding.image.device)
        self._copies = self._image[None, :0]
        self._covered = self._copies, self._places[:0]

    def __call__(self, start: int, stop: int) -> Tensor:
        """Return these versions, in memory that the next call writes to again."""
        copies, places = self._covered
        copies.scatter_(1, places, self._image[places])
        if len(self._copies) < stop - start:
            self._copies = self._image.repeat(stop - start, 1)
        places = self._places[max(start - 1, 0) : stop - 1]
        copies = self._copies[stop - start - len(places) : stop - start]
        copies.scatter_(1, places, self._hidden[places])
        self._covered = copies, places
        return self._copies[: stop - start].reshape(-1, *self._shape)


def _places(covers: Sequence[NDArray[np.bool_]], shape: Sequence[int]) -> NDArray[np.int64]:
    """Return where each window lies in the flat image of this shape, channels innermost: ``(n, pixels)``."""
    strides = np.cumprod([1, *shape[:0:-1]])[::-1]
    corners = np.stack([cover.argmax(axis=1) for cover in covers], axis=1) @ strides[:-1]
    sides = np.meshgrid(*(np.arange(cover[0].sum()) for cover in covers), np.arange(shape[-1]), indexing="ij")
    window = sum(side * stride for side, stride in zip(sides, strides.tolist(), strict=True))
    return np.asarray(corners[:, None] + np.ravel(window), dtype=np.int64)


EXPLAINER = Occlusion()
