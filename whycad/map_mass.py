"""How much of a map lies inside an outline, and where in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray

PEAK = 0.5
MOST = 0.5
DEEP = 0.5


@dataclass(frozen=True)
class MassInside:
    """A map held against an outline.

    Attributes
    ----------
    share : float
        Of the map's positive part, how much lies inside, 0..1.
    peak_share : float
        The same of the places that reach half of the map's largest value.
    area_share : float
        How much of the area that the map covers is inside: what a map without a preference has there.
    place : str
        Where most of the mass inside lies, such as ``at its upper edge``; empty where it is spread.
    """

    share: float
    peak_share: float
    area_share: float
    place: str


def mass_inside(values: FloatArray, outline: NDArray[np.bool_]) -> MassInside | None:
    """Measure how much of a map lies inside an outline.

    Parameters
    ----------
    values : ndarray of float32
        The map ``(H, W)`` or ``(Z, H, W)``; what speaks against the target, below zero, is left out.
    outline : ndarray of bool
        On the same grid.

    Returns
    -------
    MassInside or None
        None where the map has no positive part or the outline is empty.
    """
    positive = np.where(values > 0, values, 0).astype(np.float64)
    total = float(positive.sum())
    if total <= 0 or not outline.any():
        return None
    peak = np.where(positive >= PEAK * positive.max(), positive, 0)
    covered = _covered(values != 0)
    inside = np.where(outline, positive, 0)
    return MassInside(
        share=float(inside.sum()) / total,
        peak_share=float(peak[outline].sum() / peak.sum()),
        area_share=float(outline[covered].mean()),
        place=_place(inside, outline) if inside.any() else "",
    )


def _covered(there: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the box outside which the map is zero: a patch or slice that the network saw."""
    return ndimage.find_objects(there.astype(np.uint8))[0]  # type: ignore[no-any-return]


def _place(inside: NDArray[np.float64], outline: NDArray[np.bool_]) -> str:
    """Say where most of the mass lies; in a volume, in the slice that holds most of it."""
    if inside.ndim == 3:
        index = int(inside.sum(axis=(1, 2)).argmax())
        inside, outline = inside[index], outline[index]
    depth = ndimage.distance_transform_edt(np.pad(outline, 1))[1:-1, 1:-1]
    deep = depth > DEEP * depth.max()
    total = inside.sum()
    if inside[deep].sum() > MOST * total:
        return "in its middle"
    for name, sector in _sectors(outline).items():
        if inside[sector].sum() > MOST * total:
            at_the_edge = inside[sector & ~deep].sum() > MOST * total
            return f"at its {name} edge" if at_the_edge else f"in its {name} part"
    return ""


def _sectors(outline: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Cut an outline into four quarters about its centre, each as wide as the outline is high or wide."""
    rows, columns = np.nonzero(outline)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    down = (np.arange(outline.shape[0])[:, None] - rows.mean()) / height
    right = (np.arange(outline.shape[1])[None] - columns.mean()) / width
    return {
        "upper": outline & (-down >= np.abs(right)),
        "lower": outline & (down > np.abs(right)),
        "left": outline & (-right > np.abs(down)),
        "right": outline & (right > np.abs(down)),
    }
