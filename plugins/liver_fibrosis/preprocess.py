"""From a slice to the network's input: the body's box, log signal; the same code trains and serves.

Scanners differ in scale, field of view and coil. The box takes out the field of view, division by
the body's mean takes out the scale, and in the logarithm what is left of the coil is a smooth offset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.errors import PredictionError
from whycad.imaging.geometry import resize_geometry, sample_to_model
from whycad.types import FloatArray, Geometry, ModelInput, Region, Study

INPUT_SHAPE = (112, 144)
MARGIN = 0.04
LOG_FLOOR = 0.08
MEAN, STD = -0.7, 0.9
SEARCH_SIDE = 192
MIN_BODY_SHARE = 0.12


@dataclass(frozen=True)
class BodyBox:
    """Where the body lies.

    Attributes
    ----------
    box : tuple of float
        First row, first column, end row, end column, as pixel edges.
    found : bool
        False where nothing stands out of the background; the box is then the whole image.
    filling : float
        Body's share of its box, 0..1.
    touching : int
        Sides of the image that the body reaches, 0..4.
    """

    box: tuple[float, float, float, float]
    found: bool
    filling: float = 1.0
    touching: int = 4


def find_body(pixels: FloatArray) -> BodyBox:
    """Find the body as the largest thing that stands out of the image's border.

    Parameters
    ----------
    pixels : ndarray of float32 (H, W)
        Any scale; 0 is no signal.
    """
    height, width = pixels.shape
    step = max(1, min(height, width) // SEARCH_SIDE)
    small = np.maximum(pixels[::step, ::step], 0)
    smooth = ndimage.uniform_filter(small, 3, mode="nearest")
    edge = max(2, min(small.shape) // 40)
    border = np.concatenate(
        [smooth[:edge].ravel(), smooth[-edge:].ravel(), smooth[:, :edge].ravel(), smooth[:, -edge:].ravel()]
    )
    bright = float(np.percentile(smooth, 98))
    above = smooth > 1.8 * float(np.median(border)) + 0.02 * bright
    body = ndimage.binary_fill_holes(_largest(above))
    whole = (0.0, 0.0, float(height), float(width))
    if body is None or body.mean() < MIN_BODY_SHARE:
        return BodyBox(whole, found=False)
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    ends = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    touching = [rows[0] == 0, columns[0] == 0, rows[-1] == body.shape[0] - 1, columns[-1] == body.shape[1] - 1]
    area = (ends[2] - ends[0]) * (ends[3] - ends[1])
    limits = (height, width, height, width)
    box = tuple(float(min(end * step, limit)) for end, limit in zip(ends, limits, strict=True))
    return BodyBox((box[0], box[1], box[2], box[3]), True, float(body.sum() / area), int(sum(touching)))


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected part of a mask, the mask itself where it is empty."""
    labels, n = ndimage.label(mask)
    if n == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    return np.asarray(labels == 1 + int(np.argmax(sizes[1:])))


def body_geometry(pixels: FloatArray) -> Geometry:
    """Return the map from the body's box, with a margin and at the network's aspect, to the network's grid."""
    r0, c0, r1, c1 = find_body(pixels).box
    height, width = (r1 - r0) * (1 + 2 * MARGIN), (c1 - c0) * (1 + 2 * MARGIN)
    scale = max(height / INPUT_SHAPE[0], width / INPUT_SHAPE[1])
    half = (scale * INPUT_SHAPE[0] / 2, scale * INPUT_SHAPE[1] / 2)
    row, column = (r0 + r1) / 2, (c0 + c1) / 2
    box = (row - half[0], column - half[1], row + half[0], column + half[1])
    return resize_geometry(pixels.shape, INPUT_SHAPE, box)


def normalise(values: FloatArray) -> FloatArray:
    """Return the standardised logarithm of a signal ``(..., H, W)`` of any positive scale."""
    positive = np.maximum(values, 0)
    scale = np.maximum(positive.mean(axis=(-2, -1), keepdims=True), 1e-12)
    return np.asarray((np.log(positive / scale + LOG_FLOOR) - MEAN) / STD, np.float32)


def preprocess(study: Study, region: Region | None) -> ModelInput:
    """Cut out the body, resample it to 112 x 144 px and take the logarithm.

    Parameters
    ----------
    study : Study
        One grey slice, of any scale.
    region : Region or None
        Ignored: the task looks at the whole slice.

    Returns
    -------
    ModelInput
        ``(1, 112, 144)``; the baseline is the body's mean signal.

    Raises
    ------
    PredictionError
        When the study is in colour or a volume.
    """
    del region
    if study.is_colour or study.pixels.ndim != 2:
        raise PredictionError("task 'liver_fibrosis' reads one grey slice", remedy="choose a single slice")
    geometry = body_geometry(study.pixels)
    array = normalise(sample_to_model(study.pixels, geometry))
    baseline = np.float32((np.log(1 + LOG_FLOOR) - MEAN) / STD)
    return ModelInput(array, geometry, float(baseline))
