"""Lay the retina level and scale its grey values: what makes normal retinas alike.

Only shift, shear and scale are used, so that a map on the model's grid goes back to the source
by one affine matrix; a curved eye stays curved.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugins.retinal_oct.field import FIELD_SHAPE, Field
from plugins.retinal_oct.layers import Borders
from whycad.types import FloatArray, Geometry

INPUT_SHAPE = (112, 192)
# Row of the levelled pigment epithelium on the model's grid.
OUTER_ROW = 76.0
MAX_SLOPE = 0.6
# Grey of the retina's median and 99th percentile on the model's grid.
MIDDLE, TOP = 0.4, 1.0
GAMMA_LIMITS = (0.5, 1.8)


def robust_line(path: NDArray[np.float64], n_rounds: int = 8) -> tuple[float, float]:
    """Fit ``row = centre + slope * (column - middle)`` with Cauchy weights.

    Returns
    -------
    (float, float)
        Row at the middle column, and rows per column, within the slope that is corrected.
    """
    columns = np.arange(len(path)) - (len(path) - 1) / 2
    design = np.stack([np.ones_like(columns), columns], axis=1)
    weight = np.ones(len(path))
    centre, slope = float(np.median(path)), 0.0
    for _ in range(n_rounds):
        centre, slope = np.linalg.lstsq(design * weight[:, None], path * weight, rcond=None)[0]
        rest = path - design @ np.array([centre, slope])
        spread = 1.5 * float(np.median(np.abs(rest))) + 0.5
        weight = np.sqrt(1 / (1 + (rest / (2 * spread)) ** 2))
    held = float(np.clip(slope, -MAX_SLOPE, MAX_SLOPE))
    return (float(centre), held) if held == slope else (float(np.median(path - held * columns)), held)


def level_geometry(field: Field, borders: Borders) -> Geometry:
    """Return the map from the model's grid to the source that lays the retina level."""
    centre, slope = robust_line(borders.outer)
    middle = (FIELD_SHAPE[1] - 1) / 2
    shear = np.array([[1.0, slope, centre - OUTER_ROW - slope * middle], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    return Geometry(field.geometry.to_source @ shear, INPUT_SHAPE, field.geometry.source_shape)


def field_matrix(field: Field, geometry: Geometry) -> NDArray[np.float64]:
    """Return the matrix from the model's grid to the field's."""
    return np.asarray(np.linalg.inv(field.geometry.to_source) @ geometry.to_source)


def sample_levelled(pixels: FloatArray, matrix: NDArray[np.float64]) -> FloatArray:
    """Sample ``(192, 192)`` onto the model's grid: linear along columns, 0 outside."""
    columns = np.arange(INPUT_SHAPE[1])
    rows = matrix[0, 0] * np.arange(INPUT_SHAPE[0])[:, None] + matrix[0, 1] * columns + matrix[0, 2]
    low = np.floor(rows).astype(np.int64)
    weight = (rows - low).astype(np.float32)
    padded = np.pad(pixels, ((1, 1), (0, 0)))
    first = np.clip(low + 1, 0, len(padded) - 1)
    second = np.clip(low + 2, 0, len(padded) - 1)
    return np.asarray((1 - weight) * padded[first, columns] + weight * padded[second, columns], np.float32)


def level_borders(borders: Borders, matrix: NDArray[np.float64]) -> Borders:
    """Bring the borders onto the model's grid."""
    columns = np.arange(INPUT_SHAPE[1])
    offset = matrix[0, 1] * columns + matrix[0, 2]
    return Borders((borders.inner - offset) / matrix[0, 0], (borders.outer - offset) / matrix[0, 0])


def scale_greys(image: FloatArray, borders: Borders) -> FloatArray:
    """Scale the retina's 99th percentile to 1 and its median to 0.4 by a gamma.

    Scanners differ in gain and in how they compress the signal; the retina itself is the standard.
    """
    rows = np.arange(len(image))[:, None]
    retina = image[(rows >= borders.inner) & (rows <= borders.outer + 3)]
    if retina.size == 0:
        retina = image.ravel()
    top = max(float(np.percentile(retina, 99)), 1e-4)
    middle = float(np.clip(np.median(retina) / top, 1e-3, 0.99))
    gamma = float(np.clip(np.log(MIDDLE) / np.log(middle), *GAMMA_LIMITS))
    return np.asarray(np.clip(image / top, 0, 1.2) ** gamma, np.float32)
