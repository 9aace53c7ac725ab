"""Superpixels that fit the resolution.

Common defaults cut a 64-pixel image into two to four segments, which explain nothing. Here the
number follows the image's size, half the square root of its pixels within 25..100: 25 at 28 px,
32 at 64 px, 63 at 112x144, 100 at 224 px. Labels run from 0 without gaps. Segmentation is done
in float64, whatever the image's type, so that one image always has one segmentation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.types import FloatArray

FEWEST, MOST = 25, 100
ENOUGH = 0.6
COMPACTNESS_LAB, COMPACTNESS_GREY = 10.0, 0.1

Segments = NDArray[np.int64]


def fitted_segments(shape: Sequence[int]) -> int:
    """Return how many superpixels an image of this spatial shape is cut into, never more than its pixels."""
    pixels = math.prod(shape)
    return min(pixels, max(FEWEST, min(MOST, round(math.sqrt(pixels) / 2))))


def superpixels(image: FloatArray, n_segments: int = 0) -> tuple[Segments, str]:
    """Cut an image into superpixels by SLIC, or by a grid where SLIC finds too few.

    Parameters
    ----------
    image : ndarray (C, *shape)
        Any range; two or three spatial axes.
    n_segments : int
        How many are wanted; 0 fits the resolution.

    Returns
    -------
    segments : ndarray of int64 (*shape)
        Labels 0 .. K - 1, each in use.
    kind : {"SLIC", "grid"}

    References
    ----------
    Achanta et al., SLIC superpixels compared to state-of-the-art superpixel methods, PAMI 2012.
    """
    shape = image.shape[1:]
    wanted = n_segments or fitted_segments(shape)
    segments = _slic(image, wanted)
    if len(np.unique(segments)) >= ENOUGH * wanted:
        return _renumbered(segments), "SLIC"
    return grid_segments(shape, wanted), "grid"


def superpixels_within(image: FloatArray, box: Sequence[slice], n_segments: int = 0) -> tuple[Segments, str]:
    """Cut one box of an image into superpixels; what lies outside belongs to none.

    Parameters
    ----------
    image : ndarray (C, *shape)
    box : sequence of slice
        Axes on which it is one pixel wide are left out of the cutting.
    n_segments : int
        How many are wanted; 0 fits the box's resolution.

    Returns
    -------
    segments : ndarray of int64 (*shape)
        Labels 0 .. K - 1, each in use; -1 outside the box.
    kind : {"SLIC", "grid"}
    """
    part = image[(slice(None), *box)]
    wide = [side for side in part.shape[1:] if side > 1] or [1]
    segments, kind = superpixels(part.reshape(len(image), *wide), n_segments)
    whole = np.full(image.shape[1:], -1, np.int64)
    whole[tuple(box)] = segments.reshape(part.shape[1:])
    return whole, kind


def grid_segments(shape: Sequence[int], n_segments: int) -> Segments:
    """Cut a shape into near-square boxes, at least ``n_segments`` of them where there are pixels enough."""
    side = (math.prod(shape) / max(1, n_segments)) ** (1 / len(shape))
    counts = [min(n, max(1, math.ceil(n / side - 1e-9))) for n in shape]
    axes = [np.arange(n) * count // n for n, count in zip(shape, counts, strict=True)]
    mesh = np.meshgrid(*axes, indexing="ij")
    return np.ravel_multi_index([np.asarray(m) for m in mesh], counts).astype(np.int64)


def _slic(image: FloatArray, wanted: int) -> Segments:
    from skimage.segmentation import slic

    values = np.moveaxis(np.asarray(image, dtype=np.float64), 0, -1)
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:
        return np.zeros(image.shape[1:], np.int64)
    colour = values.shape[-1] == 3 and values.ndim == 3
    labels = slic(
        (values - low) / (high - low),
        n_segments=wanted,
        compactness=COMPACTNESS_LAB if colour else COMPACTNESS_GREY,
        start_label=0,
        channel_axis=-1,
        convert2lab=colour,
    )
    return np.asarray(labels, dtype=np.int64)


def _renumbered(segments: Segments) -> Segments:
    _, inverse = np.unique(segments, return_inverse=True)
    return np.asarray(inverse.reshape(segments.shape), dtype=np.int64)
