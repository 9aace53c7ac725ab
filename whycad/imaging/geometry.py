"""From source pixels to the model's grid and back, with one convention for both.

A pixel is a little square whose centre lies at its index, so an axis of n pixels runs from
edge -0.5 to edge n - 0.5. Boxes are given in *edge coordinates*: the whole axis is ``(0, n)``
and pixel i covers ``(i, i + 1)``. Resampling is separable with a triangle filter that widens
when shrinking, the same as PIL's ``BILINEAR`` and torch's ``antialias=True`` with half-pixel centres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from whycad.errors import GeometryError
from whycad.types import FloatArray, Geometry, Study

Padding = Literal["edge", "reflect"]


def resize_geometry(
    source_shape: Sequence[int], model_shape: Sequence[int], box: Sequence[float] | None = None
) -> Geometry:
    """Describe a box of the source that is resized to the model's grid.

    Parameters
    ----------
    source_shape, model_shape : sequence of int (d,)
        Spatial shapes, without channels; d = 2 or 3.
    box : sequence of float (2 d,), optional
        First corner, then opposite corner, in edge coordinates, such as
        ``(row0, col0, row1, col1)``; it may reach outside the image. Default: the whole image.

    Raises
    ------
    GeometryError
        When the shapes do not fit each other or the box is empty or not finite.
    """
    d = len(model_shape)
    if len(source_shape) != d or min(*source_shape, *model_shape) < 1:
        raise GeometryError(f"geometry: source shape {tuple(source_shape)} cannot become {tuple(model_shape)}")
    corners = np.asarray([*[0.0] * d, *source_shape] if box is None else box, dtype=np.float64)
    if corners.shape != (2 * d,) or not np.isfinite(corners).all() or np.any(corners[d:] - corners[:d] < 1e-6):
        raise GeometryError(
            f"geometry: a {d}-D box needs {2 * d} finite numbers, first corner before the opposite one",
            remedy="give (row0, col0, row1, col1) in edge coordinates",
        )
    step = (corners[d:] - corners[:d]) / np.asarray(model_shape)
    matrix = np.diag([*step, 1.0])
    matrix[:d, d] = corners[:d] + 0.5 * step - 0.5
    return Geometry(matrix, tuple(int(n) for n in model_shape), tuple(int(n) for n in source_shape))


def sample_to_model(image: FloatArray, geometry: Geometry, *, padding: Padding = "edge") -> FloatArray:
    """Resample an image onto the model's grid, antialiased when shrinking.

    Parameters
    ----------
    image : ndarray of float32 (H, W), (H, W, C), (Z, H, W) or (Z, H, W, C)
        On the geometry's source grid.
    geometry : Geometry
        Axis-aligned; flipped axes are followed.
    padding : {"edge", "reflect"}
        What lies outside the image where the model's field of view reaches there.

    Returns
    -------
    ndarray of float32 (C, *model_shape)
        C = 1 for an image without a channel axis.

    Raises
    ------
    GeometryError
        When the image is not on the source grid or the geometry turns or shears.
    """
    d = len(geometry.model_shape)
    if image.shape[:d] != geometry.source_shape or image.ndim not in (d, d + 1):
        raise GeometryError(f"geometry: an image of shape {image.shape} is not on grid {geometry.source_shape}")
    if not _is_axis_aligned(geometry):
        raise GeometryError("geometry: only boxes along the image's axes can be resampled")
    result = np.asarray(image, dtype=np.float32).reshape(*image.shape[:d], -1)
    for axis in range(d):
        step, start = float(geometry.to_source[axis, axis]), float(geometry.to_source[axis, d])
        weights = _axis_weights((start, step), geometry.model_shape[axis], image.shape[axis], padding)
        result = _apply_along(weights, result, axis)
    return np.ascontiguousarray(np.moveaxis(result, -1, 0), dtype=np.float32)


def map_to_source(values: FloatArray, geometry: Geometry) -> FloatArray:
    """Bring a map from the model's grid back onto the source's.

    Parameters
    ----------
    values : ndarray (*model_shape)
        A map on the model's grid.
    geometry : Geometry
        The one that the model's input was made with.

    Returns
    -------
    ndarray of float32 (*source_shape)
        Linear interpolation (antialiased where the source is coarser); 0 outside the model's
        field of view.

    Raises
    ------
    GeometryError
        When the map is not on the model's grid.
    """
    if values.shape != geometry.model_shape:
        raise GeometryError(f"geometry: a map of shape {values.shape} is not on grid {geometry.model_shape}")
    inverse = np.asarray(np.linalg.inv(geometry.to_source), dtype=np.float64)
    if not _is_axis_aligned(geometry):
        return _map_turned(values, geometry, inverse)
    d = values.ndim
    result = np.asarray(values, dtype=np.float32)
    for axis, n in enumerate(values.shape):
        step = float(inverse[axis, axis])
        centres = _axis_centres(float(inverse[axis, d]), step, geometry.source_shape[axis])
        inside = sparse.diags_array(((centres >= -0.5) & (centres <= n - 0.5)).astype(np.float32))
        result = _apply_along(inside @ _triangle_weights(centres, abs(step), n, (0, n), "edge"), result, axis)
    return np.ascontiguousarray(result, dtype=np.float32)


def to_patient_mm(study: Study, index: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map pixel coordinates to the patient's coordinates.

    Parameters
    ----------
    study : Study
        With spacing, orientation and position.
    index : ndarray (n, d)
        ``(row, column)`` of an image or ``(slice, row, column)`` of a volume; fractions are allowed.

    Returns
    -------
    ndarray of float64 (n, 3)
        x (to the patient's left), y (to the back), z (to the head), in mm.

    Raises
    ------
    GeometryError
        When the study does not say where it lies, or the coordinates are of another dimension.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1.
    """
    axes, origin = _patient_axes(study)
    return np.asarray(origin + _points(index, len(axes)) @ axes)


def from_patient_mm(study: Study, mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map the patient's coordinates to pixel coordinates, as the inverse of ``to_patient_mm``.

    Parameters
    ----------
    study : Study
        With spacing, orientation and position.
    mm : ndarray (n, 3)
        x, y, z in mm.

    Returns
    -------
    ndarray of float64 (n, d)
        ``(slice, row, column)``, or ``(row, column)`` of the point's foot on an image's plane; points
        outside of the study have coordinates outside of its shape.

    Raises
    ------
    GeometryError
        When the study does not say where it lies, or the coordinates are no triples.
    """
    axes, origin = _patient_axes(study)
    away = _points(mm, 3) - origin
    # The axes are at right angles but for the rounding of the file, so this is an inverse, not a fit.
    return np.asarray(away @ np.linalg.pinv(axes))


def _patient_axes(study: Study) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return steps in mm per index (d, 3), one row per array axis, and the place of index 0."""
    spacing, orientation, position = study.spacing_mm, study.orientation, study.position_mm
    if spacing is None or orientation is None or position is None or study.metadata.get("spacing_is_relative"):
        raise GeometryError(
            "The image does not say where it lies in the patient: spacing, orientation or position is missing",
            remedy="point at pixels instead of millimetres",
        )
    along_rows, along_columns = np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    directions = np.stack([np.cross(along_rows, along_columns), along_columns, along_rows])[-len(spacing) :]
    # Files round their cosines; a step must be as long as the spacing says all the same.
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions * np.asarray(spacing)[:, None], np.asarray(position, dtype=np.float64)


def _points(values: NDArray[np.float64], d: int) -> NDArray[np.float64]:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != d or not np.isfinite(points).all():
        raise GeometryError(f"geometry: points of this study are rows of {d} finite numbers")
    return points


def _is_axis_aligned(geometry: Geometry) -> bool:
    linear = geometry.to_source[:-1, :-1]
    return bool(np.count_nonzero(linear - np.diag(np.diag(linear))) == 0)


def _axis_centres(start: float, step: float, n: int) -> NDArray[np.float64]:
    return np.asarray(start + step * np.arange(n), dtype=np.float64)


def _padded_extent(centres: NDArray[np.float64], step: float, n: int) -> tuple[int, int]:
    """First and one-past-last source pixel that the field of view touches, at least the image's own."""
    edges = (centres[0] - 0.5 * step + 0.5, centres[-1] + 0.5 * step + 0.5)
    return min(0, math.floor(min(edges) + 1e-9)), max(n, math.ceil(max(edges) - 1e-9))


@lru_cache(maxsize=32)  # the slices of a volume all have the same
def _axis_weights(line: tuple[float, float], n_model: int, n_source: int, padding: Padding) -> sparse.csr_array:
    """Weights that resample one axis; model pixel i lies at ``start + step * i``. Not to be changed in place."""
    start, step = line
    centres = _axis_centres(start, step, n_model)
    extent = _padded_extent(centres, step, n_source)
    return _triangle_weights(centres, abs(step), n_source, extent, padding)


def _triangle_weights(
    centres: NDArray[np.float64], step: float, n: int, extent: tuple[int, int], padding: Padding
) -> sparse.csr_array:
    """Sparse (len(centres), n) matrix of normalised triangle filters of half-width max(step, 1)."""
    width = max(step, 1.0)
    # A centre in the outer half pixel still sees its nearest pixel with weight >= 0.5.
    first = np.floor(centres - width).astype(np.int64)
    taps = first[:, None] + np.arange(math.ceil(2 * width) + 2)
    weights = np.maximum(0.0, 1.0 - np.abs(taps - centres[:, None]) / width)
    weights[(taps < extent[0]) | (taps >= extent[1])] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    rows = np.broadcast_to(np.arange(len(centres))[:, None], taps.shape)
    keep = weights > 0
    entries = (weights[keep].astype(np.float32), (rows[keep], _fold(taps[keep], n, padding)))
    return sparse.csr_array(entries, shape=(len(centres), n))


def _fold(index: NDArray[np.int64], n: int, padding: Padding) -> NDArray[np.int64]:
    """Bring indices outside 0..n-1 back inside, by repeating the edge or mirroring about it."""
    if padding == "edge" or n == 1:
        return np.clip(index, 0, n - 1)
    folded = np.mod(index, 2 * (n - 1))
    return np.asarray(np.minimum(folded, 2 * (n - 1) - folded), dtype=np.int64)


def _apply_along(weights: sparse.csr_array, values: FloatArray, axis: int) -> FloatArray:
    moved = np.moveaxis(values, axis, 0)
    result = weights @ np.ascontiguousarray(moved).reshape(len(moved), -1)
    return np.moveaxis(np.asarray(result).reshape(-1, *moved.shape[1:]), 0, axis)


def _map_turned(values: FloatArray, geometry: Geometry, inverse: NDArray[np.float64]) -> FloatArray:
    d = values.ndim
    mapped = ndimage.affine_transform(
        np.asarray(values, dtype=np.float32),
        inverse[:d, :d],
        offset=inverse[:d, d],
        output_shape=geometry.source_shape,
        order=1,
        mode="nearest",
    )
    index = np.moveaxis(np.indices(geometry.source_shape), 0, -1).reshape(-1, d).astype(np.float64)
    centres = geometry.points_to_model(index).reshape(*geometry.source_shape, d)
    inside = ((centres >= -0.5) & (centres <= np.asarray(geometry.model_shape) - 0.5)).all(axis=-1)
    return np.where(inside, mapped, 0.0).astype(np.float32)
