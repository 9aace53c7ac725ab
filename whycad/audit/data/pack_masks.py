"""Outlines that packs hold of their images, on the grid of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whycad.datasets.pack import Pack

BoolArray = NDArray[np.bool_]
# An outline that holds so much of the border marks what lies around the finding, or the whole picture.
MOST_BORDER = 0.9


def pack_mask(pack: Pack, row: int) -> BoolArray | None:
    """Return the outline of one row's picture, or None where there is none.

    Read are ``mask`` ``(n, H, W)``; ``<x>_mask_packed`` ``(n, h, ceil(w / 8))``, bits along the rows, on a
    coarser grid of the same shape; ``<x>_masks_packed`` ``(n, readers, ceil(H * W / 8))``, where at least half of
    the readers who drew something must agree; and ``votes`` beside ``vol``. Outlines that hold the border are
    left out: some packs mark the surroundings in a few rows.
    """
    found = _stored(pack, row)
    return None if found is None or not found.any() or border_share(found) >= MOST_BORDER else found


def _stored(pack: Pack, row: int) -> BoolArray | None:
    plain = pack.column("mask")
    if plain is not None and plain.ndim == 3:
        return np.asarray(plain[row] > 0)
    for name in pack.arrays:
        packed = pack.column(name)
        if packed is None or packed.ndim != 3 or packed.dtype != np.uint8:
            continue
        if name.endswith("_mask_packed"):
            return coarse_mask(packed[row].astype(np.uint8), pack.image(row).shape[:2])
        if name.endswith("_masks_packed"):
            return readers_mask(packed[row].astype(np.uint8), pack.image(row).shape[:2])
    return _voted(pack, row)


def coarse_mask(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> BoolArray | None:
    """Unpack ``(h, ceil(w / 8))`` bits and bring them to a picture's grid, each bit a block of pixels."""
    height, n_bytes = packed.shape
    width = round(shape[1] * height / shape[0])
    if -(-width // 8) != n_bytes:
        return None
    bits = np.unpackbits(packed, axis=1)[:, :width].astype(bool)
    rows = np.arange(shape[0]) * height // shape[0]
    columns = np.arange(shape[1]) * width // shape[1]
    return np.asarray(bits[np.ix_(rows, columns)])


def readers_mask(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> BoolArray | None:
    """Unpack the outlines of several readers ``(r, ceil(H * W / 8))`` and keep what half of them drew."""
    if packed.shape[1] != -(-shape[0] * shape[1] // 8):
        return None
    bits = np.unpackbits(packed, axis=1)[:, : shape[0] * shape[1]].reshape(-1, *shape[:2])
    drawn = bits[bits.any(axis=(1, 2))]
    return None if not len(drawn) else np.asarray(drawn.mean(axis=0) >= 0.5)


def _voted(pack: Pack, row: int) -> BoolArray | None:
    votes = pack.arrays.get("votes")
    if pack.layout != "stacks" or votes is None or votes.shape != pack.arrays["vol"].shape:
        return None
    start, stop = int(pack.arrays["offset"][row]), int(pack.arrays["offset"][row + 1])
    middle = votes[start + (stop - start) // 2].astype(np.int64)
    return np.asarray((middle > 0) & (2 * middle >= middle.max()))


def border_share(mask: BoolArray) -> float:
    """Return how much of the outermost pixels a mask holds, 0..1."""
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())
