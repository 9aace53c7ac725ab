"""From a B-scan to the network's input; the same code trains and serves."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from plugins.retinal_oct.align import (
    INPUT_SHAPE,
    field_matrix,
    level_borders,
    level_geometry,
    sample_levelled,
    scale_greys,
)
from plugins.retinal_oct.gate import layout_problems
from plugins.retinal_oct.layers import Borders
from plugins.retinal_oct.model import MEAN, STD
from plugins.retinal_oct.survey import ScanSurvey, survey, survey_scan
from whycad.errors import PredictionError
from whycad.imaging.geometry import resize_geometry, sample_to_model
from whycad.types import FloatArray, Geometry, ModelInput, Region, Study

# Every scan loses this much sharpness, so that the source's resolution tells less.
COMMON_BLUR = 0.6


def level(pixels: FloatArray) -> tuple[FloatArray, Geometry, Borders]:
    """Level a grey image ``(H, W)`` in 0..1.

    Returns
    -------
    (ndarray of float32 (112, 192), Geometry, Borders)
        Grey values 0..1.2, the map to the source, and the retina's borders on the new grid. Where
        no retina is found the whole image is resized, and the borders are its edges.
    """
    return level_found(survey_scan(pixels))


def level_found(found: ScanSurvey) -> tuple[FloatArray, Geometry, Borders]:
    """Level a scan that was surveyed; returns what ``level`` does."""
    if layout_problems(found.layout):
        return _whole(found.pixels)
    field, borders = found.field, found.borders
    geometry = level_geometry(field, borders)
    matrix = field_matrix(field, geometry)
    seen = ndimage.gaussian_filter(field.pixels, COMMON_BLUR).clip(0, None)
    image = sample_levelled(seen, matrix)
    levelled = level_borders(borders, matrix)
    return scale_greys(image, levelled), geometry, levelled


def _whole(pixels: FloatArray) -> tuple[FloatArray, Geometry, Borders]:
    geometry = resize_geometry((pixels.shape[0], pixels.shape[1]), INPUT_SHAPE)
    edge = np.zeros(INPUT_SHAPE[1])
    return sample_to_model(pixels, geometry)[0], geometry, Borders(edge, edge + INPUT_SHAPE[0] - 1)


def preprocess(study: Study, region: Region | None, found: ScanSurvey | None = None) -> ModelInput:
    """Level the retina, resample to 112 x 192 px and scale the greys by the retina itself.

    Parameters
    ----------
    study : Study
        One grey B-scan.
    region : Region or None
        Ignored: the whole scan is read.
    found : ScanSurvey or None
        The study's survey; made here where there is none.

    Returns
    -------
    ModelInput
        ``(1, 112, 192)``; the baseline is empty vitreous.

    Raises
    ------
    PredictionError
        When the image is in colour or not a single B-scan.
    """
    found = found or survey(study, region)
    if found is None:
        raise PredictionError("task 'retinal_oct' reads one grey B-scan at a time")
    image, geometry, _ = level_found(found)
    normalised = np.asarray((image - MEAN) / STD, np.float32)
    return ModelInput(normalised[None], geometry, -MEAN / STD)
