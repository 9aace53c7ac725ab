"""Fill a region of an image from its surroundings: a smooth surface, and noise like that around it.

The surface is the membrane that the surroundings span (Laplace's equation, solved from coarse to
fine); noise with the surroundings' variance, colour covariance and correlation length is laid on
it. Structure that would have gone on through the region is not made up.

References
----------
Perez, Gangnet, Blake, Poisson image editing, SIGGRAPH 2003.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.errors import GeometryError
from whycad.types import FloatArray

METHOD = "smooth fill from the surroundings, with noise like theirs"
MARGIN, MARGIN_SHARE = 12, 0.35
RING = 6
RELAXATIONS = 24
SMOOTHING = 2.0
LONGEST_GRAIN = 3.0
OUTLYING = 3.0

BoolArray = NDArray[np.bool_]


def inpaint(image: FloatArray, mask: BoolArray, seed: int = 0) -> FloatArray:
    """Fill the masked part of an image or volume.

    Parameters
    ----------
    image : ndarray of float32 (*shape) or (*shape, C)
        ``shape`` is the mask's.
    mask : ndarray of bool (*shape)
        What to fill; two or three axes.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray of float32
        A copy that differs inside the mask alone; within the range of the surroundings.

    Raises
    ------
    GeometryError
        When the mask does not fit, or nothing is left to fill it from.
    """
    if image.shape[: mask.ndim] != mask.shape or image.ndim - mask.ndim not in (0, 1):
        raise GeometryError(f"a mask of shape {mask.shape} does not fit an image of shape {image.shape}")
    if mask.all():
        raise GeometryError("nothing is left to fill the region from")
    filled = np.array(image, np.float32)
    if not mask.any():
        return filled
    box = _box_about(mask)
    inside = mask[box]
    if inside.all():
        box, inside = tuple(slice(None) for _ in mask.shape), mask
    part = filled[box].reshape(*inside.shape, -1)
    surface = membrane(part, ~inside)
    surface += _grain(part, inside, np.random.default_rng(seed))
    known = part[~inside]
    surface = np.clip(surface, known.min(axis=0), known.max(axis=0))
    part = np.where(inside[..., None], surface, part)
    filled[box] = part.reshape(filled[box].shape)
    return filled


def _box_about(mask: BoolArray) -> tuple[slice, ...]:
    """Return the mask's bounding box with a margin to fill it from."""
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    box = []
    for part, side in zip(found, mask.shape, strict=True):
        margin = max(MARGIN, round(MARGIN_SHARE * (part.stop - part.start)))
        box.append(slice(max(0, part.start - margin), min(side, part.stop + margin)))
    return tuple(box)


def membrane(values: FloatArray, known: BoolArray) -> FloatArray:
    """Return the smooth surface through the known values, coarse to fine.

    Parameters
    ----------
    values : ndarray of float32 (*shape, C)
    known : ndarray of bool (*shape)
        True somewhere.
    """
    if known.all():
        return values
    if max(known.shape) <= 2:
        mean = values[known].mean(axis=0)
        return np.where(known[..., None], values, mean).astype(np.float32)
    small, some = _halved(values, known)
    start = _doubled(membrane(small, some), known.shape)
    surface = np.where(known[..., None], values, start).astype(np.float32)
    free = ~known
    for _ in range(RELAXATIONS):
        surface[free] = _neighbour_mean(surface)[free]
    return surface


def _halved(values: FloatArray, known: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Average known values over blocks of two along every axis; a block with none stays unknown."""
    weights = known.astype(np.float32)[..., None]
    total = values * weights
    for axis in range(known.ndim):
        starts = np.arange(0, total.shape[axis], 2)
        total = np.add.reduceat(total, starts, axis=axis)
        weights = np.add.reduceat(weights, starts, axis=axis)
    return (total / np.maximum(weights, 1)).astype(np.float32), weights[..., 0] > 0


def _doubled(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    for axis, side in enumerate(shape):
        values = np.repeat(values, 2, axis=axis).take(range(side), axis=axis)
    return values


def _neighbour_mean(values: FloatArray) -> FloatArray:
    """Return the mean of each place's direct neighbours; the border is repeated."""
    d = values.ndim - 1
    total = np.zeros_like(values)
    for axis in range(d):
        n = values.shape[axis]
        before = np.clip(np.arange(n) - 1, 0, n - 1)
        after = np.clip(np.arange(n) + 1, 0, n - 1)
        total += values.take(before, axis=axis) + values.take(after, axis=axis)
    return np.asarray(total / (2 * d), np.float32)


def _grain(part: FloatArray, mask: BoolArray, rng: np.random.Generator) -> FloatArray:
    """Return noise ``(*shape, C)`` with the covariance and correlation of what lies around the mask."""
    known = ~mask
    ring = ndimage.binary_dilation(mask, iterations=RING) & known
    smooth = _smoothed(part, known)
    rest = np.where(known[..., None], part - smooth, 0)
    samples = _inlying(rest[ring])
    if len(samples) < 16:
        return np.zeros_like(part)
    grain = rng.standard_normal(part.shape).astype(np.float32)
    width = _grain_width(rest, ring)
    if width > 0:
        sigma = (*[width] * mask.ndim, 0)
        grain = ndimage.gaussian_filter(grain, sigma)
        grain /= max(float(grain.std()), 1e-6)
    covariance = np.atleast_2d(np.cov(samples, rowvar=False)) + 1e-12 * np.eye(samples.shape[1])
    return np.asarray(grain @ np.linalg.cholesky(covariance).T, np.float32)


def _smoothed(part: FloatArray, known: BoolArray) -> FloatArray:
    sigma = (*[SMOOTHING] * known.ndim, 0)
    weights = known.astype(np.float32)[..., None]
    above = ndimage.gaussian_filter(part * weights, sigma)
    return np.asarray(above / np.maximum(ndimage.gaussian_filter(weights, sigma), 1e-6), np.float32)


def _inlying(samples: FloatArray) -> FloatArray:
    """Leave out edges: samples further from 0 than three times the usual deviation."""
    usual = 1.4826 * np.median(np.abs(samples), axis=0)
    return np.asarray(samples[(np.abs(samples) <= OUTLYING * usual + 1e-12).all(axis=1)])


def _grain_width(rest: FloatArray, ring: BoolArray) -> float:
    """Return the width of the blur that gives white noise the correlation of neighbours along the last axis."""
    both = ring[..., 1:] & ring[..., :-1]
    left, right = rest[..., :-1, :][both], rest[..., 1:, :][both]
    spread = float((left * left).mean() + (right * right).mean()) / 2 if len(left) else 0.0
    alike = float((left * right).mean()) / spread if spread > 0 else 0.0
    # Noise blurred by s correlates by exp(-1 / (4 s**2)) from one pixel to the next.
    return 0.0 if alike < 0.05 else float(min(LONGEST_GRAIN, np.sqrt(-1 / (4 * np.log(min(alike, 0.97))))))
