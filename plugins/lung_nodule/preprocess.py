"""From a CT volume or a single slice, and a seed, to the patch that the network reads."""

from __future__ import annotations

import math

import numpy as np

from plugins.lung_nodule.grid import (
    ASSUMED_PIXEL_MM,
    CENTRE,
    LUNG_HU,
    LUNG_RANGE_HU,
    MIDDLE,
    PICTURE_RANGES_HU,
    SENTINEL,
    SHAPE,
    SPACING_MM,
    scale_hu,
)
from whycad.errors import GeometryError, PredictionError
from whycad.imaging.geometry import sample_to_model
from whycad.types import FloatArray, Geometry, ModelInput, Region, Study


def hounsfield(study: Study) -> FloatArray:
    """Return the study as a volume in Hounsfield units, float32 ``(Z, H, W)``, Z = 1 for one slice.

    A plain picture in 0..1 is read through ``picture_hu``.

    Raises
    ------
    PredictionError
        When the study is in colour.
    """
    if study.is_colour:
        raise PredictionError("task 'lung_nodule' reads grey CT images, and this one is in colour")
    volume = study.pixels if study.pixels.ndim == 3 else study.pixels[None]
    return picture_hu(volume) if study.unit == "normalised" else volume


def lung_share(hu: FloatArray) -> float:
    """Return the share of voxels as dense as aerated lung."""
    return float(np.mean((hu > LUNG_RANGE_HU[0]) & (hu < LUNG_RANGE_HU[1])))


def picture_hu(picture: FloatArray) -> FloatArray:
    """Guess the Hounsfield units of a grey picture in 0..1.

    It is in the lung window (-1350 to 150 HU) or spans the full range (-1000 to 1250 HU, what crops
    scaled from their darkest to their brightest pixel come near to): whichever makes more of it lung.
    """
    guesses = [np.asarray(low + (high - low) * picture, np.float32) for low, high in PICTURE_RANGES_HU]
    return max(guesses, key=lung_share)


def voxel_mm(study: Study) -> tuple[float, float, float]:
    """Return the distance between voxel centres along slices, rows and columns, in mm.

    Unknown distances are taken for 0.7 mm in plane and, of a single slice, for the patch's own
    across it.

    Raises
    ------
    GeometryError
        When a volume does not say how far apart its slices are.
    """
    known = study.spacing_mm
    if study.pixels.ndim == 3 and not study.is_colour:
        if known is None or len(known) != 3:
            raise GeometryError("the series does not say how far apart its slices are, so sizes cannot be known")
        return known[0], known[1], known[2]
    in_plane = known[-2:] if known is not None else (ASSUMED_PIXEL_MM, ASSUMED_PIXEL_MM)
    return SPACING_MM[0], in_plane[0], in_plane[1]


def seed_of(study: Study, region: Region | None) -> tuple[float, float, float]:
    """Return the seed ``(slice, row, column)``: a point, a box's centre, or the middle of a single slice.

    The slice is the nearest one, so that the axial view is a slice of the study.

    Raises
    ------
    GeometryError
        When the region is not on the study, or a volume comes without one.
    """
    shape = study.spatial_shape
    if region is None:
        if len(shape) == 3:
            raise GeometryError("a volume needs a seed", remedy="click the nodule")
        return 0.0, (shape[0] - 1) / 2, (shape[1] - 1) / 2
    start = np.asarray(region.start, float)
    point = start if region.stop is None else (start + np.asarray(region.stop, float)) / 2
    if point.shape != (len(shape),) or not np.isfinite(point).all():
        raise GeometryError(f"the seed has {point.size} coordinates, and the image {len(shape)}")
    if np.any(point < -0.5) or np.any(point > np.asarray(shape) - 0.5):
        raise GeometryError("the seed lies outside the image", remedy="click the nodule")
    row, column = (float(v) for v in point[-2:])
    # Halves go up, so that equal clicks on neighbouring slices are treated alike.
    return (math.floor(point[0] + 0.5) if len(shape) == 3 else 0.0), row, column


def patch_geometry(source_shape: tuple[int, ...], seed: tuple[float, ...], spacing: tuple[float, ...]) -> Geometry:
    """Return the map from the patch about a seed to the source ``(Z, H, W)``."""
    step = np.asarray(SPACING_MM) / np.asarray(spacing)
    matrix = np.diag([*step, 1.0])
    matrix[:3, 3] = np.asarray(seed) - step * np.asarray(CENTRE)
    return Geometry(matrix, SHAPE, tuple(int(n) for n in source_shape))


def known_voxels(geometry: Geometry) -> np.ndarray:
    """Return which voxels of the patch lie in the source, bool ``SHAPE``.

    Unless the source covers the patch from its first slice to its last, only the middle slice
    counts as known: how far a stack reaches tells how large somebody thought the nodule was.
    """
    inside = []
    for axis, side in enumerate(geometry.model_shape):
        centres = geometry.to_source[axis, axis] * np.arange(side) + geometry.to_source[axis, 3]
        inside.append((centres >= -0.5) & (centres <= geometry.source_shape[axis] - 0.5))
    if not inside[0].all():
        inside[0] = np.arange(SHAPE[0]) == MIDDLE
    return np.asarray(inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :])


def _sampled(volume: FloatArray, geometry: Geometry) -> FloatArray:
    """Resample only the part of the volume that the patch can see."""
    step, start = np.diag(geometry.to_source)[:3], geometry.to_source[:3, 3]
    reach = np.maximum(step, 1.0) + 1
    first = np.clip(np.floor(start - reach), 0, np.asarray(volume.shape) - 1).astype(int)
    last = np.clip(np.ceil(start + step * (np.asarray(SHAPE) - 1) + reach), first, np.asarray(volume.shape) - 1)
    part = volume[tuple(slice(a, int(b) + 1) for a, b in zip(first, last, strict=True))]
    matrix = geometry.to_source.copy()
    matrix[:3, 3] -= first
    return np.asarray(sample_to_model(part, Geometry(matrix, SHAPE, part.shape))[0], np.float32)


def preprocess(study: Study, region: Region | None) -> ModelInput:
    """Cut a patch of 40 x 58 x 58 mm about the seed.

    Parameters
    ----------
    study : Study
        ``(Z, H, W)`` or ``(H, W)``; Hounsfield units, or a grey picture in 0..1.
    region : Region or None
        The seed, or a box about the nodule; None reads the middle of a single slice.

    Returns
    -------
    ModelInput
        ``(1, 25, 96, 96)`` in -1..1, ``SENTINEL`` where nothing is known; the baseline is lung
        tissue where something is known.

    Raises
    ------
    PredictionError, GeometryError
    """
    volume = hounsfield(study)
    geometry = patch_geometry(volume.shape, seed_of(study, region), voxel_mm(study))
    known = known_voxels(geometry)
    patch = np.where(known, scale_hu(_sampled(volume, geometry)), np.float32(SENTINEL))
    lung = float(scale_hu(np.array(LUNG_HU, np.float32)))
    baseline = np.where(known, np.float32(lung), np.float32(SENTINEL))
    return ModelInput(patch[None].astype(np.float32), geometry, baseline[None].astype(np.float32))
