"""The path that perturbation methods share: hide parts of an image, score what is left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whycad.batching import fitted_batch
from whycad.errors import ExplanationError, PredictionError
from whycad.explain.base import ExplainOptions, RawMap, Scope, device_of, input_tensors
from whycad.types import FloatArray, ModelInput

Versions = Callable[[int, int], Tensor]


class PerturbationMethod(ABC):
    """A method that scores versions of the image and explains several outputs from the same passes."""

    signed = True
    needs_layer = False
    scope: Scope = "ensemble"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one score; see ``Explainer.explain``."""
        return self.explain_many(model, inputs, (target,), options)[0]

    @abstractmethod
    def explain_many(
        self, model: nn.Module, inputs: ModelInput, targets: Sequence[int] | None, options: ExplainOptions
    ) -> list[RawMap]:
        """Explain several scores at once; see ``ManyExplainer.explain_many``."""


@dataclass(frozen=True, eq=False)
class Hiding:
    """An image and what its hidden parts become, both ``(*shape, C)`` on one device."""

    image: Tensor
    hidden: Tensor

    @classmethod
    def of(cls, image: FloatArray, hidden: FloatArray, device: torch.device) -> Hiding:
        """Take both as ``(C, *shape)`` arrays."""
        channels_innermost = [np.ascontiguousarray(np.moveaxis(a, 0, -1), dtype=np.float32) for a in (image, hidden)]
        return cls(*(torch.from_numpy(a).to(device) for a in channels_innermost))

    def shown(self, visible: Tensor) -> Tensor:
        """Return versions of the image ``(b, *shape, C)``.

        Parameters
        ----------
        visible : Tensor (b, *shape, C)
            Bool, True where the image is shown, or float32, how far it is shown, 0..1. A last axis
            of one stands for all channels.
        """
        if visible.dtype == torch.bool:
            return torch.where(visible, self.image, self.hidden)
        return torch.lerp(self.hidden, self.image, visible)


def image_and_baseline(inputs: ModelInput) -> tuple[FloatArray, FloatArray]:
    """Return an input and its baseline, both ``(C, *shape)`` float32.

    Raises
    ------
    ExplanationError
        When they do not fit, or either is not finite.
    """
    image, baseline = input_tensors(inputs, torch.device("cpu"))
    return image[0].numpy(), baseline[0].numpy()


def active_box(image: FloatArray, baseline: FloatArray) -> tuple[slice, ...]:
    """Return the smallest box that holds every pixel which differs from the baseline.

    Outside it there is nothing to hide: absent slices of a volume, padding. The whole image where
    nothing differs.

    Parameters
    ----------
    image, baseline : ndarray of float32 (C, *shape)

    Returns
    -------
    tuple of slice
        One per spatial axis.
    """
    differs = (image != baseline).any(axis=0)
    if not differs.any():
        return tuple(slice(0, side) for side in differs.shape)
    box = []
    for axis in range(differs.ndim):
        others = tuple(other for other in range(differs.ndim) if other != axis)
        along = np.flatnonzero(differs.any(axis=others))
        box.append(slice(int(along[0]), int(along[-1]) + 1))
    return tuple(box)


def scoring_device(model: nn.Module) -> torch.device:
    """Return where batches are made: the model's ``device`` attribute, else where its parameters are."""
    device = getattr(model, "device", None)
    return device if isinstance(device, torch.device) else device_of(model)


def score_hidden(
    model: nn.Module, hiding: Hiding, versions: Versions, numbers: range, options: ExplainOptions
) -> NDArray[np.float64]:
    """Score versions of an image, batch by batch.

    Parameters
    ----------
    model : torch.nn.Module
        ``(b, C, *shape)`` to scores ``(b, k)``.
    hiding : Hiding
    versions : callable
        ``versions(start, stop)`` gives these versions as a float32 tensor ``(b, *shape, C)``.
    numbers : range
        Which versions, one after the other; at least one.
    options : ExplainOptions

    Returns
    -------
    ndarray of float64 (n, k)

    Raises
    ------
    ExplanationError
        When the model's output is not ``(b, k)``.
    PredictionError
        When a score is not finite.
    """
    size = options.batch_size or fitted_batch(hiding.image.shape[:-1], hiding.image.device, model)
    scores = []
    with torch.no_grad():
        for start in numbers[::size]:
            options.check_cancelled()
            stop = min(numbers.stop, start + size)
            # The channels stay innermost in memory: moving the axis makes a channels-last batch for free.
            batch = versions(start, stop).movedim(-1, 1)
            scores.append(_one_row_each(model(batch), stop - start))
            options.progress((stop - numbers.start) / len(numbers))
    found: NDArray[np.float64] = torch.cat(scores).to("cpu", torch.float64).numpy()
    if not np.isfinite(found).all():
        raise PredictionError("the model returned NaN or infinite values for a perturbed image")
    return found


def wanted_columns(values: NDArray[np.float64], targets: Sequence[int] | None) -> list[int]:
    """Return the targets' columns of an array ``(n, k)``, all of them for None.

    Raises
    ------
    ExplanationError
        When a target's column is not there.
    """
    columns = list(range(values.shape[1])) if targets is None else list(targets)
    for column in columns:
        if not 0 <= column < values.shape[1]:
            raise ExplanationError(f"the model's output has no target {column}")
    return columns


def _one_row_each(output: object, n: int) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != n:
        raise ExplanationError("the model to explain must return one row of scores per image")
    return output.detach()
