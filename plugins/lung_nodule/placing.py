"""Puts the feature maps of views and scales where they lie in the patch, keeping their sums.

The coarse grid has 9 x 12 x 12 cells of about 4.4 x 4.8 x 4.8 mm over the patch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from plugins.lung_nodule.grid import SHAPE, SPACING_MM
from plugins.lung_nodule.views import AXIAL, CORONAL

CELLS = (9, 12, 12)
MAP_SIDE = 12
_EXTENT_MM = tuple(side * step for side, step in zip(SHAPE, SPACING_MM, strict=True))


def spread_matrix(n_from: int, from_mm: float, n_to: int, to_mm: float) -> np.ndarray:
    """Share cells of one axis among those of another with the same centre, ``(n_from, n_to)``; rows add up to 1.

    What reaches beyond the other axis goes to its end cells.
    """
    starts = np.linspace(-from_mm / 2, from_mm / 2, n_from + 1)
    edges = np.linspace(-to_mm / 2, to_mm / 2, n_to + 1)
    edges[0], edges[-1] = -np.inf, np.inf
    low = np.maximum(starts[:-1, None], edges[None, :-1])
    high = np.minimum(starts[1:, None], edges[None, 1:])
    return np.asarray(np.clip(high - low, 0, None) / (from_mm / n_from))


@lru_cache(maxsize=1)
def _spreads() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return per scale (fine, coarse) how map cells share the patch's slices and its columns; float32."""
    found = []
    for extent in (_EXTENT_MM[1] / 2, _EXTENT_MM[1]):
        pair = (
            spread_matrix(MAP_SIDE, extent, CELLS[0], _EXTENT_MM[0]),
            spread_matrix(MAP_SIDE, extent, CELLS[1], _EXTENT_MM[1]),
        )
        found.append((pair[0].astype(np.float32), pair[1].astype(np.float32)))
    return tuple(found)


def _middle(n: int) -> Tensor:
    weights = torch.zeros(n)
    weights[(n - 1) // 2 : n // 2 + 1] = 1.0
    return weights / weights.sum()


def place(maps: Tensor) -> Tensor:
    """Place maps of both scales and all views on the coarse grid.

    Parameters
    ----------
    maps : Tensor (2, n, v, c, 12, 12)
        v = 1 (axial) or 3 (axial, coronal, sagittal).

    Returns
    -------
    Tensor (n, v * 2 c, 9, 12, 12)
        View by view, fine channels, then coarse ones; sums over cells stay what they were.
    """
    views = [
        torch.cat([_placed(maps[scale][:, view], scale, view) for scale in range(len(maps))], dim=1)
        for view in range(maps.shape[2])
    ]
    return torch.cat(views, dim=1)


def _placed(maps: Tensor, scale: int, view: int) -> Tensor:
    """Place maps ``(n, c, 12, 12)`` of one view and scale."""
    along, across = (torch.from_numpy(matrix).to(maps) for matrix in _spreads()[scale])
    middle_z, middle_xy = _middle(CELLS[0]).to(maps), _middle(CELLS[1]).to(maps)
    if view == AXIAL:
        return torch.einsum("ncij,iy,jx,z->nczyx", maps, across, across, middle_z)
    if view == CORONAL:
        return torch.einsum("ncij,iz,jx,y->nczyx", maps, along, across, middle_xy)
    return torch.einsum("ncij,iz,jy,x->nczyx", maps, along, across, middle_xy)
