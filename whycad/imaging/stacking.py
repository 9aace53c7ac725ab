"""Where slices lie, and how they become an even stack.

A volume has one spacing and one first position, so whatever measures in it believes that slice k
lies at ``first + k * dz`` along the normal. A stack of slices with a gap, or with uneven steps, is
therefore brought to even steps by linear interpolation, and says so; it is never handed on as if it
were even.

References
----------
DICOM PS3.3 C.7.6.2.1.1 (image position and orientation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from whycad.errors import CorruptImageError, UnsupportedFormatError
from whycad.imaging.remarks import Remark, gap_remark
from whycad.types import FloatArray

SAME_PLACE_MM = 1e-3
SAME_DIRECTION = 1e-3
TOLERANCE = 0.1
EXACT = 1e-3
GAP_STEPS = 1.75
MOST_SIDEWAYS_PIXELS = 1.0


@dataclass(frozen=True, eq=False)
class Stack:
    """An even stack made of slices.

    Attributes
    ----------
    order : ndarray of int (n,)
        Indices that sort the slices along the normal.
    lower : ndarray of int (m,)
        Per slice of the stack: position in ``order`` of the slice at or below it.
    weight : ndarray of float (m,)
        How much of the next slice above goes in; 0 where a slice is taken as it is.
    spacing_mm : float
        Distance of the stack's slices.
    remarks : frozenset of str
    """

    order: NDArray[np.intp]
    lower: NDArray[np.intp]
    weight: NDArray[np.float64]
    spacing_mm: float
    remarks: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def is_plain(self) -> bool:
        """Whether every slice is taken once, as it is."""
        return len(self.lower) == len(self.order) and not self.weight.any()


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Return the unit normal (3,) of direction cosines (6,): rows, then columns."""
    normal = np.cross(orientation[:3], orientation[3:])
    return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)


def same_direction(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two direction cosines (6,) agree."""
    return len(one) == len(other) and all(abs(a - b) <= SAME_DIRECTION for a, b in zip(one, other, strict=True))


def sideways_mm(positions: NDArray[np.float64], orientation: Sequence[float]) -> float:
    """Return how far slices are shifted against each other within their planes.

    Parameters
    ----------
    positions : ndarray (n, 3)
        Patient coordinates of each slice's first pixel, in mm.
    orientation : sequence of float (6,)

    Returns
    -------
    float
        Largest distance of a position from the line along the normal through the lowest one, in mm.
    """
    normal = normal_of(orientation)
    away = positions - positions[np.argmin(positions @ normal)]
    return float(np.linalg.norm(away - np.outer(away @ normal, normal), axis=1).max())


def check_straight(
    positions: NDArray[np.float64], orientation: Sequence[float], pixel_mm: float, tilt_deg: float = 0.0
) -> None:
    """Refuse slices that do not lie straight above each other, as under a tilted gantry.

    Parameters
    ----------
    positions : ndarray (n, 3)
    orientation : sequence of float (6,)
    pixel_mm : float
        Slices may be shifted by one pixel in all.
    tilt_deg : float
        What the header says of the gantry.

    Raises
    ------
    UnsupportedFormatError
    """
    shift = sideways_mm(positions, orientation)
    if shift <= MOST_SIDEWAYS_PIXELS * pixel_mm:
        return
    along = np.ptp(positions @ normal_of(orientation))
    angle = float(np.degrees(np.arctan2(shift, along)))
    cause = "was scanned with a tilted gantry" if tilt_deg else "has slices that are shifted against each other"
    raise UnsupportedFormatError(
        f"The series {cause}: its slices lean by {angle:.1f} degrees against the direction in which they follow "
        "each other, so they do not form a straight volume, and lengths and shapes in it would be wrong",
        remedy="have the series resampled without tilt (most CT consoles can), or open single slices of it",
    )


def fit_stack(distances: NDArray[np.float64]) -> Stack:
    """Fit an even stack to slices at given places along the normal.

    Parameters
    ----------
    distances : ndarray (n,)
        In mm, no two within ``SAME_PLACE_MM``; n is 2 or more.

    Raises
    ------
    CorruptImageError
        If more slices are missing than there are.
    """
    order = np.argsort(distances, kind="stable")
    places = distances[order] - distances[order[0]]
    steps = np.diff(places)
    # The lower median: of two steps, the smaller is the true one and the other a gap.
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    # Only a gap that is named as one has slices missing in it.
    jumps = np.where(steps >= GAP_STEPS * usual, np.rint(steps / usual), 1.0)
    index = np.concatenate([[0], np.cumsum(jumps.astype(np.int64))])
    spacing = float(places[-1] / index[-1])
    even = bool(np.abs(places - index * spacing).max() <= TOLERANCE * spacing)
    remarks = _gaps(steps, usual) if even else {str(Remark.UNEVEN_SLICES)} | _gaps(steps, float(np.median(steps)))
    count = int(index[-1]) + 1 if even else round(places[-1] / float(np.median(steps))) + 1
    if count > 2 * len(order):
        raise CorruptImageError(
            "The slices of the series lie too far apart to form one volume: more are missing than are there",
            remedy="check that the whole series was opened, or open single slices of it",
        )
    grid = np.linspace(0.0, places[-1], count)
    lower, weight = _between(places, grid, TOLERANCE if even else EXACT)
    return Stack(order, lower, weight, float(places[-1] / (count - 1)), frozenset(remarks))


def _gaps(steps: NDArray[np.float64], usual: float) -> set[str]:
    wide = steps[steps >= GAP_STEPS * usual]
    missing = int(np.rint(wide / usual).sum()) - len(wide)
    return {gap_remark(missing, len(wide), float(wide.max()))} if len(wide) else set()


def _between(
    places: NDArray[np.float64], grid: NDArray[np.float64], tolerance: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Per grid place: the slice at or below it and the share of the next; slices close by are taken whole."""
    lower = np.clip(np.searchsorted(places, grid, side="right") - 1, 0, len(places) - 2)
    below, above = places[lower], places[lower + 1]
    weight = np.clip((grid - below) / (above - below), 0.0, 1.0)
    near = tolerance * (grid[1] - grid[0])
    weight[grid - below <= near] = 0.0
    upper = (above - grid <= near) & (weight > 0.0)
    lower[upper] += 1
    weight[upper] = 0.0
    return lower, weight


def fill_volume(out: FloatArray, stack: Stack, read: Callable[[int], FloatArray]) -> None:
    """Write the even stack into an array, reading each slice once.

    Parameters
    ----------
    out : ndarray of float32 (m, H, W)
    stack : Stack
    read : callable
        Takes the number of a slice, before sorting, and returns its pixels (H, W).
    """
    near = lru_cache(maxsize=2)(read)
    for target, lower, weight in zip(out, stack.lower, stack.weight, strict=True):
        below = near(int(stack.order[lower]))
        if weight == 0.0:
            target[...] = below
        else:
            above = near(int(stack.order[lower + 1]))
            target[...] = (1.0 - np.float32(weight)) * below + np.float32(weight) * above
