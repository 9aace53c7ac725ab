"""How much of a map lies inside an outline, and where in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray

Box = tuple[slice, ...]
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


def mass_inside(values: FloatArray, outline: NDArray[np.bool_], seen: Box | None = None) -> MassInside | None:
    """Measure how much of a map lies inside an outline.

    Parameters
    ----------
    values : ndarray of float32
        The map ``(H, W)`` or ``(Z, H, W)``; what speaks against the target, below zero, is left out.
    outline : ndarray of bool
        On the same grid.
    seen : tuple of slice or None
        The part that the network saw; by default what holds everything but zeros.

    Returns
    -------
    MassInside or None
        None where the map has no positive part or the outline is empty.
    """
    seen = seen or covered(values)
    if seen is None or not outline.any():
        return None
    # Large volumes are looked at in this part alone.
    positive, part = np.maximum(values[seen], 0).astype(np.float64), outline[seen]
    total = float(positive.sum())
    if total <= 0:
        return None
    peak = np.where(positive >= PEAK * positive.max(), positive, 0)
    inside = np.where(part, positive, 0)
    return MassInside(
        share=float(inside.sum()) / total,
        peak_share=float(peak[part].sum() / peak.sum()),
        area_share=float(part.mean()),
        place=_place(inside, outline, seen) if inside.any() else "",
    )


def covered(*maps: FloatArray) -> Box | None:
    """Return the smallest box outside which every map is zero, such as the patch that the network saw."""
    boxes = [ndimage.find_objects((values != 0).view(np.uint8))[:1] for values in maps]
    found = [box[0] for box in boxes if box and box[0] is not None]
    if not found:
        return None
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides)) for sides in zip(*found, strict=True)
    )


def _place(inside: NDArray[np.float64], outline: NDArray[np.bool_], seen: Box) -> str:
    """Say where in the outline most of the mass lies; in a volume, in the slice that holds most of it."""
    if inside.ndim == 3:
        index = int(inside.sum(axis=(1, 2)).argmax())
        inside, outline = inside[index], outline[seen[0].start + index]
    spread = np.zeros(outline.shape)
    spread[seen[-2:]] = inside
    inside = spread
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
