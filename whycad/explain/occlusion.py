"""Occlusion (Zeiler 2014): how far the score drops when a window is covered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions, RawMap, Scope, input_tensors
from whycad.explain.perturbation import Hiding, score_hidden, scoring_device
from whycad.types import Fidelity, FloatArray, MetadataValue, ModelInput

WINDOWS_PER_SIDE = 7
SMALLEST_WINDOW = 2


class Occlusion:
    """Mean drop of the target's score over all windows that cover a pixel; covered means baseline.

    References
    ----------
    Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014.
    """

    id = "occlusion"
    name = "Occlusion"
    signed = True
    scope: Scope = "ensemble"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one score; see ``Explainer.explain``."""
        device = scoring_device(model)
        image, baseline = input_tensors(inputs, torch.device("cpu"))
        shape = tuple(image.shape[2:])
        window, stride = fitted_window(shape, options)
        covers = window_covers(shape, window, stride)
        n = len(covers[0])
        scores = score_hidden(
            model,
            Hiding.of(image[0].numpy(), baseline[0].numpy(), device),
            _Windows([torch.from_numpy(cover).to(device) for cover in covers], image.shape[1]),
            n + 1,
            options,
        )
        if not 0 <= target < scores.shape[1]:
            raise ExplanationError(f"the model's output has no target {target}")
        drops = scores[0, target] - scores[1:, target]
        parameters: dict[str, MetadataValue] = {"window": window, "stride": stride, "fill": "baseline"}
        return RawMap(spread(drops, covers), parameters, Fidelity(n_samples=n + 1))


def fitted_window(shape: Sequence[int], options: ExplainOptions) -> tuple[int, int]:
    """Return the window's side and its stride: a seventh of the shorter side, moved by half of it.

    Raises
    ------
    ExplanationError
        When the options ask for a window larger than the image or a stride that leaves gaps.
    """
    window = options.occlusion_window or max(min(SMALLEST_WINDOW, *shape), round(min(shape) / WINDOWS_PER_SIDE))
    stride = options.occlusion_stride or (max(1, window // 2) if len(shape) == 2 else window)
    if not (0 < window <= min(shape) and 0 < stride <= window):
        raise ExplanationError(
            f"occlusion: a window of {window} px moved by {stride} px does not tile an image of {tuple(shape)} px",
            remedy="choose a window within the image and a stride no larger than it",
        )
    return window, stride


def window_covers(shape: Sequence[int], window: int, stride: int) -> tuple[NDArray[np.bool_], ...]:
    """Return, per axis, which indices each window covers: ``(n_windows, side)``.

    A window covers the pixels that are covered along every axis; together they cover the image.
    """
    starts = [sorted({*range(0, side - window, stride), side - window}) for side in shape]
    corners = np.array(list(product(*starts)))
    return tuple(
        (np.arange(side) >= corners[:, axis, None]) & (np.arange(side) < corners[:, axis, None] + window)
        for axis, side in enumerate(shape)
    )


def spread(drops: NDArray[np.float64], covers: Sequence[NDArray[np.bool_]]) -> FloatArray:
    """Average the windows' drops ``(n,)`` over the windows that cover each pixel ``(*shape)``."""
    letters = "xyz"[: len(covers)]
    rule = ",".join(["n", *(f"n{letter}" for letter in letters)]) + f"->{letters}"
    floats = [cover.astype(np.float64) for cover in covers]
    total = np.einsum(rule, drops, *floats, optimize=True)
    counts = np.einsum(rule, np.ones_like(drops), *floats, optimize=True)
    return np.asarray(total / counts, dtype=np.float32)


class _Windows:
    """Masks of version 0, the whole image, and of versions 1..n, each with one window covered."""

    def __init__(self, covers: list[Tensor], channels: int) -> None:
        nothing = [torch.zeros_like(cover[:1]) for cover in covers]
        tables = [torch.cat([none, cover]) for none, cover in zip(nothing, covers, strict=True)]
        self._shape = tuple(table.shape[1] for table in tables)
        self._channels = channels
        # Columns are repeated per channel here once, so that masks come out contiguous.
        self._tables = [*tables[:-1], tables[-1].repeat_interleave(channels, dim=1)]

    def __call__(self, start: int, stop: int) -> Tensor:
        d = len(self._tables)
        covered = None
        for axis, table in enumerate(self._tables):
            along = table[start:stop].reshape(-1, *[1] * axis, table.shape[1], *[1] * (d - 1 - axis))
            covered = along if covered is None else covered & along
        assert covered is not None
        return ~covered.reshape(stop - start, *self._shape, self._channels)


EXPLAINER = Occlusion()
