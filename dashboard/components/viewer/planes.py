"""The three planes of a volume: which array axis runs where on the screen, and what the edges are called."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from whycad.types import JsonObject

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
X, Y, Z = range(3)  # patient axes: to the left, to the back, to the head


@dataclass(frozen=True)
class Plane:
    """One plane through a volume in array order (slice, row, column).

    Attributes
    ----------
    id, name : str
    axis : int
        Array axis that the slices of this plane are counted along.
    right, down : int
        Array axes that run to the right and downwards on the screen.
    flip_right, flip_down : bool
        Whether they run against their index.
    forward : int
        Step of the index that goes to the feet, to the back, to the left, or to the next scan: 1 or -1.
    edges : tuple of str
        Letters at the left, right, upper and lower edge; empty where directions are unknown.
    """

    id: str
    name: str
    axis: int
    right: int
    down: int
    flip_right: bool = False
    flip_down: bool = False
    forward: int = 1
    edges: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the plane as the browser gets it."""
        return {**asdict(self), "edges": list(self.edges)}


SCANS = (
    Plane("slices", "B-scan", 0, 2, 1),
    Plane("enface", "En face", 1, 2, 0),
    Plane("across", "Across scans", 2, 0, 1),
)
# Radiological convention: id, patient axis of the slices, to the right, downwards, forwards; the edges' letters.
_PATIENT = (
    ("axial", Z, (X, 1), (Y, 1), -1, "RLAP"),
    ("coronal", Y, (X, 1), (Z, -1), 1, "RLHF"),
    ("sagittal", X, (Y, 1), (Z, -1), 1, "APHF"),
)


def patient_planes(direction: tuple[float, ...]) -> tuple[Plane, ...]:
    """Return axial, coronal and sagittal planes, that of the acquisition first.

    Parameters
    ----------
    direction : tuple of float
        DICOM ImageOrientationPatient: cosines of the rows, then of the columns. Oblique volumes are
        shown along their own axes under the name of the nearest plane.
    """
    axes, signs = _nearest_axes(direction)
    planes = [_plane(spec, axes, signs) for spec in _PATIENT]
    return tuple(sorted(planes, key=lambda plane: plane.axis != 0))


def _nearest_axes(direction: tuple[float, ...]) -> tuple[list[int], list[int]]:
    """Array axis of each patient axis, and 1 or -1 for whether they run the same way."""
    row, column = np.reshape(np.asarray(direction, dtype=np.float64), (2, 3))
    cosines: NDArray[np.float64] = np.stack([np.cross(row, column), column, row])
    best = max(permutations(range(3)), key=lambda order: sum(abs(cosines[order[p], p]) for p in range(3)))
    return list(best), [1 if cosines[best[p], p] >= 0 else -1 for p in range(3)]


def _plane(
    spec: tuple[str, int, tuple[int, int], tuple[int, int], int, str], axes: list[int], signs: list[int]
) -> Plane:
    name, through, (right, to_right), (down, to_down), forward, letters = spec
    return Plane(
        id=name,
        name=name.capitalize(),
        axis=axes[through],
        right=axes[right],
        down=axes[down],
        flip_right=signs[right] != to_right,
        flip_down=signs[down] != to_down,
        forward=forward * signs[through],
        edges=tuple(letters),
    )
