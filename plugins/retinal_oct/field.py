"""The part of a B-scan that shows tissue: black bars and white fill corners found and taken away.

Scanners and exports leave traces that tell where an image came from and nothing about the eye:
black bars above and below, white or black wedges where the picture was turned, the size of the
picture. Everything downstream sees only a canonical grid without them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.imaging.geometry import resize_geometry, sample_to_model
from whycad.types import FloatArray, Geometry

# A scan's depth (about 1.9 mm) becomes this many rows, its width this many columns.
FIELD_SHAPE = (192, 192)
DEPTH_MM = 1.9
BLACK = 0.03
# A row is lit where this percentile of its greys is above black.
LIT_SHARE = 98
PLACE_MARGIN = 1e-3
# Fill is this bright, relative to the brightest.
WHITE = 0.9
RIM = 4
# Bars are never more than a quarter of the height on each side: a dark scan is not cut away.
MAX_BAR = 0.25
SPOILT = 0.032
# Fill is looked for in this outer share of the image, and must run along this share of its side.
BORDER = 0.035
MIN_WEDGE = 0.05
# What is left of fill after interpolation and compression lies in these outer shares.
# Empty vitreous fills at least this share of a scan, and lies in its darker part.
EMPTY, DARKER = 0.2, 0.7
NOISE_SIZE = 0.03
ROW_GAP = 16
SIDE_CUT = 0.012
END_CUT = 0.025


@dataclass(frozen=True, eq=False)
class Field:
    """A B-scan on the canonical grid.

    Attributes
    ----------
    pixels : ndarray of float32 (192, 192)
        Grey value above the background, 0 in fill corners; the source's unit (0..1). Noise
        makes empty places go below 0, so that smoothing brings them to 0.
    valid : ndarray of bool (192, 192)
        False in fill corners.
    geometry : Geometry
        From this grid to the source.
    background : float
        Grey value of empty vitreous in the source.
    """

    pixels: FloatArray
    valid: NDArray[np.bool_]
    geometry: Geometry
    background: float


def bar_height(image: FloatArray) -> int:
    """Return the height in rows of the black bars that lie both above and below the scan."""
    lit = _lit_rows(image)
    if not lit.any():
        return 0
    above, below = int(np.argmax(lit)), int(np.argmax(lit[::-1]))
    # Compression spoils up to a block of rows beside white fill; bars of a letterbox are equal.
    alike = abs(above - below) <= SPOILT * len(image)
    return min(max(above, below) if alike else min(above, below), int(MAX_BAR * len(image)))


def _lit_rows(image: FloatArray) -> NDArray[np.bool_]:
    """Tell in which rows the 98th percentile is above black; counted, and sorted only where that leaves it open."""
    width = image.shape[1]
    n_bright = np.count_nonzero(image > BLACK, axis=1)
    place = LIT_SHARE / 100 * (width - 1)
    lit = np.asarray(n_bright >= width - int(place - PLACE_MARGIN))
    open_rows = np.flatnonzero(~lit & (n_bright >= width - int(place + PLACE_MARGIN) - 1))
    if open_rows.size:
        lit[open_rows] = np.percentile(image[open_rows], LIT_SHARE, axis=1) > BLACK
    return lit


def _may_hold_fill(image: FloatArray, band: list[int]) -> bool:
    """Tell cheaply whether enough of the image's border can be as bright as fill; never wrong where it says no."""
    ends = np.concatenate([image[: band[0]], image[-band[0] :]]).max(axis=0)
    sides = np.concatenate([image[:, : band[1]], image[:, -band[1] :]], axis=1).max(axis=1)
    levels = []
    for line, share in ((ends, MIN_WEDGE), (sides, 3 * MIN_WEDGE)):
        # Fill must run along at least so many lines, and they are all as bright as this one.
        n = max(1, math.ceil(share * len(line) - 1e-6))
        levels.append(float(np.partition(line, len(line) - n)[len(line) - n]))
    # More than a thousandth is brighter: so is the percentile that white is measured by.
    brighter = int(np.count_nonzero(image > max(levels) / (WHITE - 0.01)))
    return brighter <= 0.0011 * image.size + 3


def fill_mask(image: FloatArray) -> NDArray[np.bool_]:
    """Find plateaus of the brightest grey at the border, ``(H, W)``; the blurred rim around them included."""
    band = [max(2, round(BORDER * side)) for side in image.shape]
    if not _may_hold_fill(image, band):
        return np.zeros(image.shape, bool)
    white = WHITE * float(np.percentile(image, 99.9))
    labels, n = ndimage.label(image >= white)
    if n == 0 or white <= 0:
        return np.zeros(image.shape, bool)
    # The retina itself may reach a side of the image, but only with its few bright rows.
    ends = np.concatenate([labels[: band[0]], labels[-band[0] :]])
    sides = np.concatenate([labels[:, : band[1]], labels[:, -band[1] :]], axis=1)
    wide = _largest_extent(ends, n, axis=0) >= MIN_WEDGE * image.shape[1]
    high = _largest_extent(sides, n, axis=1) >= 3 * MIN_WEDGE * image.shape[0]
    fill = wide | high
    fill[0] = False
    found = fill[labels]
    if not found.any():
        return np.asarray(found)
    rim = ndimage.binary_dilation(found, iterations=RIM, mask=image >= 0.3 * white)
    return np.asarray(ndimage.binary_dilation(rim, np.ones((3, 3)), iterations=2))


def _largest_extent(labels: NDArray[np.int32], n: int, axis: int) -> NDArray[np.int64]:
    """Return per label ``(n + 1,)`` how many lines along ``axis`` hold it; 0 for the background."""
    lines = np.moveaxis(labels, axis, 0)
    place, line = np.nonzero(lines)
    pairs = np.unique(lines[place, line].astype(np.int64) * lines.shape[1] + line)
    return np.bincount(pairs // lines.shape[1], minlength=n + 1)


def _near_fill(fill: NDArray[np.bool_], ends: int, reach: int) -> NDArray[np.bool_]:
    """Tell what lies within ``reach`` steps of fill or of the ``ends`` rows above and below."""
    near = np.asarray(ndimage.binary_dilation(fill, iterations=reach)) if fill.any() else fill.copy()
    if ends:
        near[: ends + reach], near[max(0, len(fill) - ends - reach) :] = True, True
    return near


def _box_mean(image: FloatArray, size: int) -> FloatArray:
    """Return ``uniform_filter``, along rows that are not a power of two apart: those share their place in the cache."""
    height, width = image.shape
    apart = np.empty((2, height, width + ROW_GAP), np.float32)
    source, columns = apart[0, :, :width], apart[1, :, :width]
    source[:] = image
    ndimage.uniform_filter1d(source, size, axis=0, output=columns)
    return np.asarray(ndimage.uniform_filter1d(columns, size, axis=1))


def _background(image: FloatArray, fill: NDArray[np.bool_], ends: int) -> float:
    """Return the grey of empty vitreous: where most of the darker values, without their noise, lie."""
    size = max(3, round(NOISE_SIZE * image.shape[1]))
    seen = _box_mean(image, size)[~_near_fill(fill, ends, size // 2 + 1)]
    values = np.sort(seen[:: max(1, seen.size // 8192)])
    n, share = int(DARKER * len(values)), int(EMPTY * len(values))
    if share < 1:
        return 0.0
    densest = int(np.argmin(values[share:n] - values[: n - share]))
    return float(values[densest + share // 2])


def take_field(image: FloatArray) -> Field:
    """Bring a grey image ``(H, W)`` in 0..1 onto the canonical grid.

    The scan's whole depth becomes 192 rows and its whole width 192 columns, whatever the number
    of pixels, so that the size of the source and its letterbox are gone.
    """
    height, width = image.shape
    bar = bar_height(image)
    inside = image[bar : height - bar]
    fill = fill_mask(inside)
    ends = round(END_CUT * len(inside))
    background = _background(inside, fill, ends)
    fill[:ends], fill[len(inside) - ends :] = True, True
    emptied = np.zeros((height, width), np.float32)
    emptied[bar : height - bar] = np.where(fill, 0.0, inside - background)
    hidden = np.ones((height, width), np.float32)
    hidden[bar : height - bar] = fill
    cut = SIDE_CUT * width
    geometry = resize_geometry(image.shape, FIELD_SHAPE, (bar, cut, height - bar, width - cut))
    pixels = sample_to_model(np.stack([emptied, hidden], axis=-1), geometry)
    return Field(pixels[0], pixels[1] < 0.5, geometry, background)
