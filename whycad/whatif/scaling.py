"""The network's input in units of the image: how much an input moves when a pixel does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from whycad.errors import GeometryError
from whycad.imaging.geometry import map_to_source, sample_to_model
from whycad.types import FloatArray, Geometry, ModelInput, Study

LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class InputScale:
    """How an input is to be changed and how far.

    Attributes
    ----------
    unit : Tensor (1, C, 1, ...)
        Change of the input that is one whole range of the image's values.
    low, high : Tensor (1, C, 1, ...)
        The input of the darkest and brightest value that an image may have.
    free : Tensor of bool (1, C, *shape)
        What may be changed: within the image, and not filled up by the preprocessing.
    """

    unit: Tensor
    low: Tensor
    high: Tensor
    free: Tensor


def input_scale(study: Study, inputs: ModelInput, value_range: tuple[float, float], device: torch.device) -> InputScale:
    """Measure how an input follows the image.

    Each channel's unit is the spread of the input over the spread of the image within what the
    network sees: exact where the preprocessing resamples, shifts and scales, a mean otherwise.

    Parameters
    ----------
    study : Study
    inputs : ModelInput
        What preprocessing made of it.
    value_range : (float, float)
        Of the task's images.
    device : torch.device
    """
    array = inputs.array
    free = _free(inputs)
    seen = np.clip(on_model_grid(study, inputs), *value_range)
    if len(seen) != len(array):
        seen = np.broadcast_to(seen.mean(axis=0), array.shape)
    span = value_range[1] - value_range[0]
    unit, low = np.ones(len(array)), np.empty(len(array))
    for channel, (given, made) in enumerate(zip(seen, array, strict=True)):
        a, b = given[free[channel]], made[free[channel]]
        gain = float(b.std()) / max(float(a.std()), LEAST_SPREAD) if a.size else 1.0
        unit[channel] = max(gain, LEAST_SPREAD) * span
        low[channel] = (float(b.mean()) - gain * (float(a.mean()) - value_range[0])) if a.size else array.min()
    shape = (1, len(array), *[1] * (array.ndim - 1))
    made_low = np.minimum(low, array.min(axis=tuple(range(1, array.ndim))))
    made_high = np.maximum(low + unit, array.max(axis=tuple(range(1, array.ndim))))

    def tensor(values: NDArray[np.float64]) -> Tensor:
        return torch.tensor(values.reshape(shape), dtype=torch.float32, device=device)

    return InputScale(tensor(unit), tensor(made_low), tensor(made_high), torch.from_numpy(free)[None].to(device))


def _free(inputs: ModelInput) -> NDArray[np.bool_]:
    """Return what lies in the image and is not what preprocessing writes where nothing is known."""
    geometry, array = inputs.geometry, inputs.array
    d = len(geometry.model_shape)
    index = np.moveaxis(np.indices(geometry.model_shape), 0, -1).reshape(-1, d).astype(float)
    points = geometry.points_to_source(index)
    inside = np.asarray(((points >= -0.5) & (points <= np.asarray(geometry.source_shape) - 0.5)).all(axis=1))
    known = array != np.broadcast_to(np.asarray(inputs.baseline, np.float32), array.shape)
    return np.asarray(inside.reshape(geometry.model_shape)[None] & known)


def on_model_grid(study: Study, inputs: ModelInput) -> FloatArray:
    """Resample a study's pixels to the model's grid ``(C, *shape)``."""
    geometry = inputs.geometry
    pixels = study.pixels.reshape(*geometry.source_shape, -1)
    try:
        return sample_to_model(pixels, geometry)
    except GeometryError:  # turned
        return np.stack([_turned(pixels[..., channel], geometry) for channel in range(pixels.shape[-1])])


def _turned(values: FloatArray, geometry: Geometry) -> FloatArray:
    d, matrix = len(geometry.model_shape), geometry.to_source
    shape, offset = geometry.model_shape, matrix[:d, d]
    part = ndimage.affine_transform(values, matrix[:d, :d], offset, shape, order=1, mode="nearest")
    return np.asarray(part, np.float32)


def on_image(study: Study, inputs: ModelInput, share: FloatArray, value_range: tuple[float, float]) -> FloatArray:
    """Lay a change on the study's pixels.

    Parameters
    ----------
    study : Study
    inputs : ModelInput
    share : ndarray of float32 (C, *shape)
        On the model's grid, in shares of the value range.
    value_range : (float, float)

    Returns
    -------
    ndarray of float32
        The study's pixels, changed; within the range, or where they were outside of it, no further.
    """
    span = value_range[1] - value_range[0]
    parts = [map_to_source(np.ascontiguousarray(part), inputs.geometry) * np.float32(span) for part in share]
    change = np.stack(parts, axis=-1)
    if not study.is_colour:
        change = change.mean(axis=-1)
    change = change.reshape(study.pixels.shape)
    low, high = np.minimum(study.pixels, value_range[0]), np.maximum(study.pixels, value_range[1])
    return np.asarray(np.clip(study.pixels + change, low, high), np.float32)
