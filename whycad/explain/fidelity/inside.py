"""How much of a map lies inside an outline, against the same map shifted to other places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.types import FloatArray, Geometry

SHIFTS_PER_AXIS = 4

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Inside:
    """A map beside an outline.

    Attributes
    ----------
    mass, mass_shifted : float
        Share of the map's positive mass inside, as it is and shifted.
    peak, peak_shifted : float
        Whether the largest value lies inside (0 or 1), and how often that of the shifted maps does.
    area : float
        Share of the field of view that the outline takes.
    """

    mass: float
    mass_shifted: float
    peak: float
    peak_shifted: float
    area: float


def mask_on_model_grid(mask: Mask, geometry: Geometry) -> Mask:
    """Look an outline up at the centres of the model's pixels.

    Parameters
    ----------
    mask : ndarray of bool
        On the source's grid, or of a single slice.
    geometry : Geometry

    Returns
    -------
    ndarray of bool (*model_shape)
        False outside the source.
    """
    source = np.asarray(mask, bool).reshape(geometry.source_shape)
    grid = np.indices(geometry.model_shape).reshape(len(geometry.model_shape), -1).T.astype(np.float64)
    index = np.rint(geometry.points_to_source(grid)).astype(np.int64)
    within = ((index >= 0) & (index < np.asarray(source.shape))).all(axis=1)
    found = np.zeros(len(index), bool)
    found[within] = source[tuple(index[within].T)]
    return found.reshape(geometry.model_shape)


def inside(values: FloatArray, mask: Mask, box: tuple[slice, ...]) -> Inside | None:
    """Compare a map with an outline, both ``(*shape)``, within a box; None where there is no mass or no outline.

    Shifted maps are the same map rolled round within the box by every combination of quarters of
    its sides (axes of one pixel stay), the map itself left out.
    """
    positive, where = np.clip(np.asarray(values, np.float64)[box], 0, None), mask[box]
    total = float(positive.sum())
    if total <= 0 or not where.any():
        return None
    shifted = [_share(np.roll(positive, shift, axis=tuple(range(positive.ndim))), where) for shift in _shifts(where)]
    mass, peak = _share(positive, where)
    others = np.array(shifted) if shifted else np.array([[mass, peak]])
    return Inside(
        mass=mass / total,
        mass_shifted=float(others[:, 0].mean()) / total,
        peak=peak,
        peak_shifted=float(others[:, 1].mean()),
        area=float(where.mean()),
    )


def _share(positive: NDArray[np.float64], where: Mask) -> tuple[float, float]:
    return float(positive[where].sum()), float(where.flat[int(positive.argmax())])


def _shifts(where: Mask) -> list[tuple[int, ...]]:
    axes = [[side * i // SHIFTS_PER_AXIS for i in range(SHIFTS_PER_AXIS)] if side > 1 else [0] for side in where.shape]
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, where.ndim)
    return [tuple(int(n) for n in shift) for shift in mesh if shift.any()]
