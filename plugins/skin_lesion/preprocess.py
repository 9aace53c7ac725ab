"""From a dermoscopy image to the network's input; the same code trains and serves."""

from __future__ import annotations

import numpy as np

from plugins.skin_lesion.model import MEAN, STD
from whycad.errors import PredictionError
from whycad.imaging.geometry import resize_geometry, sample_to_model
from whycad.types import ModelInput, Region, Study

INPUT_SHAPE = (112, 144)
# Wider or taller pictures are cropped about their centre; inside, the aspect ratio is squeezed
# into the network's, which training made it indifferent to.
ASPECT_LIMITS = (0.9, 1.6)


def field_of_view(height: int, width: int) -> tuple[float, float, float, float]:
    """Return the part of the image that is looked at: the whole, unless it is a strip.

    Returns
    -------
    (float, float, float, float)
        First row, first column, end row, end column, as pixel edges.
    """
    aspect = width / height
    low, high = ASPECT_LIMITS
    if aspect > high:
        spare = width - height * high
        return 0.0, spare / 2, float(height), width - spare / 2
    if aspect < low:
        spare = height - width / low
        return spare / 2, 0.0, height - spare / 2, float(width)
    return 0.0, 0.0, float(height), float(width)


def preprocess(study: Study, region: Region | None) -> ModelInput:
    """Resample to 112 x 144 px and normalise the colours.

    Parameters
    ----------
    study : Study
        In colour, 0..1.
    region : Region or None
        A box to look at instead of the whole image; a point is ignored.

    Returns
    -------
    ModelInput
        ``(3, 112, 144)``; the baseline is the image's mean colour.

    Raises
    ------
    PredictionError
        When the image is not in colour.
    """
    if not study.is_colour:
        raise PredictionError("task 'skin_lesion' reads colour images, and this one is grey")
    height, width = study.spatial_shape
    box = field_of_view(height, width)
    if region is not None and region.stop is not None:
        (r0, c0), (r1, c1) = region.start, region.stop
        box = (min(r0, r1), min(c0, c1), max(r0, r1) + 1.0, max(c0, c1) + 1.0)
    geometry = resize_geometry((height, width), INPUT_SHAPE, box)
    array = sample_to_model(study.pixels, geometry)
    mean = np.asarray(MEAN, np.float32)[:, None, None]
    std = np.asarray(STD, np.float32)[:, None, None]
    normalised = ((array - mean) / std).astype(np.float32)
    baseline = normalised.mean(axis=(1, 2), keepdims=True)
    return ModelInput(normalised, geometry, np.asarray(baseline, np.float32))
