"""The control of a removed region: a region of the same shape elsewhere, changed in the same way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray, Geometry

CLEARANCE = 3
STEPS = 16
RING = 4
MOST_SAMPLES = 4000

BoolArray = NDArray[np.bool_]


def seen_box(geometry: Geometry, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the box of a study's grid that the network's field of view reaches.

    Parameters
    ----------
    geometry : Geometry
    shape : tuple of int
        The study's; ``(H, W)`` where the geometry is of one slice ``(1, H, W)``.
    """
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in geometry.model_shape], indexing="ij"), axis=-1)
    reach = geometry.points_to_source(corners.reshape(-1, len(geometry.model_shape)))[:, -len(shape) :]
    low, high = reach.min(axis=0), reach.max(axis=0)
    return tuple(
        slice(int(np.clip(np.ceil(a), 0, n)), int(np.clip(np.floor(b) + 1, 0, n)))
        for a, b, n in zip(low, high, shape, strict=True)
    )


def sham_mask(image: FloatArray, mask: BoolArray, seen: tuple[slice, ...], avoid: BoolArray | None) -> BoolArray | None:
    """Move a mask to where its surroundings look most like those of the original.

    It is moved within the plane, stays in what the network sees, and touches neither the original
    nor ``avoid``.

    Parameters
    ----------
    image : ndarray of float32 (*shape) or (*shape, C)
    mask : ndarray of bool (*shape)
    seen : tuple of slice
        See ``seen_box``.
    avoid : ndarray of bool or None
        Such as the outline of what was found.

    Returns
    -------
    ndarray of bool or None
        None where there is no room.
    """
    places = np.stack(np.nonzero(mask), axis=1)
    taken = mask if avoid is None else mask | avoid
    taken = ndimage.binary_dilation(taken, iterations=CLEARANCE)
    ring = np.stack(np.nonzero(ndimage.binary_dilation(mask, iterations=RING) & ~mask), axis=1)
    around = _sample(ring)
    wanted = _colour(image, around)
    best, chosen = np.inf, None
    for shift in _shifts(places, seen):
        if taken[tuple((places + shift).T)].any():
            continue
        moved = around + shift
        inside = ((moved >= 0) & (moved < mask.shape)).all(axis=1)
        unlike = float(np.abs(_colour(image, moved[inside]) - wanted).sum()) if inside.any() else np.inf
        if unlike < best:
            best, chosen = unlike, shift
    if chosen is None:
        return None
    found = np.zeros_like(mask)
    found[tuple((places + chosen).T)] = True
    return found


def _sample(places: NDArray[np.int64]) -> NDArray[np.int64]:
    return places[:: max(1, len(places) // MOST_SAMPLES)]


def _colour(image: FloatArray, places: NDArray[np.int64]) -> FloatArray:
    """Return the middle value of each channel at places ``(n, d)``."""
    return np.asarray(np.atleast_1d(np.median(image[tuple(places.T)], axis=0)), np.float32)


def _shifts(places: NDArray[np.int64], seen: tuple[slice, ...]) -> list[NDArray[np.int64]]:
    """Return shifts within the plane that keep every place inside the box."""
    low, high = places.min(axis=0), places.max(axis=0)
    axes = []
    for axis in (-2, -1):
        first, last = seen[axis].start - low[axis], seen[axis].stop - 1 - high[axis]
        if last < first:
            return []
        axes.append(np.unique(np.linspace(first, last, STEPS).round().astype(int)))
    flat = [np.array([row, column]) for row in axes[0] for column in axes[1]]
    depth = np.zeros(places.shape[1] - 2, int)
    return [np.concatenate([depth, shift]) for shift in flat]
