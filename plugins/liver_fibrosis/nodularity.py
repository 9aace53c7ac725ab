"""How far the liver's surface departs from a smooth course, from where its edge is seen in the image.

References
----------
Smith et al., Radiology 2016;280:771-781: liver surface nodularity as the distance between the detected edge
and a smooth curve through it, on CT. Here on simulated MR, with the outline as the starting point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from whycad.types import FloatArray

# In pixels: how far from the outline the edge is sought, and in what steps.
REACH, STEP = 4.0, 0.25
# Length of outline over which the surface is taken for smooth, in mm and where pixels have no size.
SMOOTH_MM, SMOOTH_PX = 16.0, 6.5
LEAST_POINTS = 40
# Where the image is flat, there is no edge to be seen: vessels, neighbours of the same brightness.
LEAST_STEEPNESS = 0.35
# One standard deviation in median absolute deviations.
MAD = 1.4826


def surface_nodularity(
    pixels: FloatArray, mask: NDArray[np.bool_], pixel_mm: float | None, smooth_mm: float = SMOOTH_MM
) -> float | None:
    """Return the spread of the seen edge about its smooth course.

    Parameters
    ----------
    pixels : ndarray of float32 (H, W)
    mask : ndarray of bool (H, W)
        Outline of the liver.
    pixel_mm : float or None
        Side of a pixel; None gives the answer in pixels.
    smooth_mm : float
        Length of outline over which the surface is taken for smooth.

    Returns
    -------
    float or None
        In mm, or pixels; None where too little of an edge is seen.
    """
    points = _outline(mask)
    if len(points) < LEAST_POINTS:
        return None
    offsets, steepness = _edges(pixels, points, _normals(mask, points))
    smooth_px = SMOOTH_PX if pixel_mm is None else smooth_mm / pixel_mm
    seen = (steepness >= LEAST_STEEPNESS * np.median(steepness)) & (np.abs(offsets) < REACH - STEP)
    if seen.sum() < LEAST_POINTS:
        return None
    course = _smooth(offsets, seen, smooth_px)
    rest = (offsets - course)[seen]
    return float(MAD * np.median(np.abs(rest - np.median(rest)))) * (pixel_mm or 1.0)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the longest outline as points a pixel apart, ``(n, 2)``."""
    smooth = ndimage.gaussian_filter(np.pad(mask, 1).astype(np.float32), 1.5)
    contours = find_contours(smooth, 0.5)
    if not contours:
        return np.empty((0, 2))
    longest = max(contours, key=len) - 1
    along = np.concatenate([[0], np.hypot(*np.diff(longest, axis=0).T).cumsum()])
    places = np.arange(0, along[-1], 1.0)
    return np.stack([np.interp(places, along, axis) for axis in longest.T], axis=1)


def _normals(mask: NDArray[np.bool_], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors that point out of the mask, ``(n, 2)``."""
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), 3.0)
    slopes = [ndimage.map_coordinates(-slope, points.T, order=1, mode="nearest") for slope in np.gradient(smooth)]
    normals = np.stack(slopes, axis=1).astype(np.float64)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9))


def _edges(
    pixels: FloatArray, points: NDArray[np.float64], normals: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each point, where along its normal the signal falls most steeply, and how steeply."""
    reach = np.arange(-REACH, REACH + STEP / 2, STEP)
    places = points[:, :, None] + normals[:, :, None] * reach
    smooth = ndimage.gaussian_filter(pixels, 0.7)
    profiles = ndimage.map_coordinates(smooth, np.moveaxis(places, 1, 0), order=1, mode="nearest")
    fall = -np.gradient(ndimage.gaussian_filter1d(profiles, 2.0, axis=1), axis=1)
    return reach[fall.argmax(axis=1)], fall.max(axis=1)


def _smooth(values: NDArray[np.float64], seen: NDArray[np.bool_], width: float) -> NDArray[np.float64]:
    """Return the smooth course of values along a closed outline, from the places where an edge is seen."""
    weight = seen.astype(np.float64)
    total = ndimage.gaussian_filter1d(values * weight, width, mode="wrap")
    return np.asarray(total / np.maximum(ndimage.gaussian_filter1d(weight, width, mode="wrap"), 1e-6))
