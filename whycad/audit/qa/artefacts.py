"""Artefacts drawn into simulated images, and plain detectors of them.

Each has a look that nothing else in the phantom has, so that its detector is sure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.audit.qa.scenes import SIDE, BoolArray, FloatArray

Draw = Callable[[FloatArray, np.random.Generator], FloatArray]
Detect = Callable[[FloatArray], BoolArray]

VIOLET = np.array([0.35, 0.15, 0.60], np.float32)
PLASTERS = np.array([[0.10, 0.45, 0.80], [0.15, 0.70, 0.55]], np.float32)
DARK = 0.05
LONGEST_TICK_PX = 20


def draw_artefact(name: str, pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return an image ``(64, 64[, 3])`` with an artefact drawn into it."""
    return np.asarray(np.clip(DRAWN[name](pixels.copy(), rng), 0, 1), np.float32)


def found_in(name: str, pixels: FloatArray) -> BoolArray:
    """Return where an artefact is, ``(64, 64)``; nowhere where it has no detector."""
    detect = DETECTED.get(name)
    return np.zeros(pixels.shape[:2], bool) if detect is None else detect(pixels)


def _ruler(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw dark ticks along one side."""
    turned = np.rot90(pixels, int(rng.integers(4)))
    turned[:2] = 0.97
    step, short, long = int(rng.integers(4, 8)), int(rng.integers(4, 7)), int(rng.integers(7, 11))
    for index, column in enumerate(range(int(rng.integers(2, 6)), SIDE - 1, step)):
        turned[: long if index % 4 == 0 else short, column : column + 2] = DARK
    return pixels


def _ink(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw a violet arc beside the lesion."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    start = rng.uniform(0, 2 * np.pi)
    angle = (np.arctan2(rows - SIDE / 2, columns - SIDE / 2) - start) % (2 * np.pi)
    ring = np.abs(np.hypot(rows - SIDE / 2, columns - SIDE / 2) - rng.uniform(23, 28)) < 2.2
    pixels[ring & (angle < 1.8)] = VIOLET + rng.normal(0, 0.02, 3)
    return pixels


def _patches(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw a coloured plaster in a corner."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    corner = rng.integers(0, 2, 2) * (SIDE - 1)
    near = np.hypot(rows - corner[0], columns - corner[1]) < rng.uniform(15, 20)
    pixels[near] = PLASTERS[rng.integers(2)] + rng.normal(0, 0.02, 3)
    return pixels


def _dark_corner(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Darken all corners, as the edge of a round field of view does."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    centre = SIDE / 2 + rng.uniform(-3, 3, 2)
    outside = np.hypot(rows - centre[0], columns - centre[1]) > rng.uniform(32, 37)
    pixels[outside] = 0.02
    return pixels


def _hair(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw dark curved hairs across the image."""
    along = np.arange(-20, 2 * SIDE)
    for _ in range(int(rng.integers(5, 8))):
        angle, start, bend = rng.uniform(0, np.pi), rng.uniform(5, SIDE - 5, 2), rng.normal(0, 0.004)
        across = bend * (along - SIDE / 2) ** 2
        rows = start[0] + (along - 40) * np.sin(angle) + across * np.cos(angle)
        columns = start[1] + (along - 40) * np.cos(angle) - across * np.sin(angle)
        r, c = np.rint(rows).astype(int), np.rint(columns).astype(int)
        inside = (r >= 0) & (r < SIDE) & (c >= 0) & (c < SIDE)
        pixels[r[inside], c[inside]] = DARK
    return pixels


def _white_corner(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Blank two corners, as a scan that was turned upright has them."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    near, far = rng.uniform(10, 20, 2)
    pixels[(rows + columns < near) | ((SIDE - 1 - rows) + (SIDE - 1 - columns) < far)] = 1.0
    return pixels


def _orig_size(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Lose sharpness, as an image that was enlarged from a smaller one."""
    small = ndimage.zoom(pixels, 0.5, order=1)
    return np.asarray(ndimage.zoom(small, SIDE / small.shape[0], order=1), np.float32)


def _burned_in_text(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw a row of bright letter-like strokes near the top or the bottom."""
    top = 3 if rng.random() < 0.5 else SIDE - 9
    for left in range(4, 40, 5):
        glyph = rng.random((6, 3)) < 0.6
        glyph[:, 0] = True
        pixels[top : top + 6, left : left + 3][glyph] = 1.0
    return pixels


def _table_edge(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw the bright curved line of a table."""
    columns = np.arange(SIDE)
    rows = np.rint(SIDE - rng.uniform(4, 8) - ((columns - SIDE / 2) / 20) ** 2).astype(int)
    for thick in range(2):
        pixels[np.clip(rows + thick, 0, SIDE - 1), columns] = 0.95
    return pixels


def _scanner(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Sharpen, with the noise that goes with it."""
    sharp = pixels + 1.2 * (pixels - ndimage.gaussian_filter(pixels, 1.0))
    return np.asarray(sharp + rng.normal(0, 0.04, pixels.shape), np.float32)


def _padding(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Blank a band on two opposite sides."""
    width = int(rng.integers(6, 10))
    pixels[:, :width] = 0.0
    pixels[:, -width:] = 0.0
    return pixels


DRAWN: dict[str, Draw] = {
    "ruler": _ruler,
    "ink": _ink,
    "patches": _patches,
    "dark_corner": _dark_corner,
    "hair": _hair,
    "white_corner": _white_corner,
    "orig_size": _orig_size,
    "burned_in_text": _burned_in_text,
    "table_edge": _table_edge,
    "scanner": _scanner,
    "padding": _padding,
}


def _near(pixels: FloatArray, colour: NDArray[np.float32], within: float = 0.15) -> BoolArray:
    return np.asarray(np.linalg.norm(pixels - colour, axis=-1) < within)


def _at_side(mask: BoolArray, margin: int) -> BoolArray:
    inside = np.zeros(mask.shape, bool)
    inside[margin:-margin, margin:-margin] = True
    return np.asarray(mask & ~inside)


def _large(mask: BoolArray, least_px: int) -> BoolArray:
    """Keep connected parts of at least this size."""
    parts, n = ndimage.label(mask, structure=np.ones((3, 3)))
    if n == 0:
        return mask
    sizes = np.bincount(parts.ravel())
    return np.asarray(mask & (sizes[parts] >= least_px))


def _corners(mask: BoolArray) -> BoolArray:
    """Keep connected parts that reach a corner of the image."""
    parts, _ = ndimage.label(mask)
    ends = {int(parts[row, column]) for row in (0, -1) for column in (0, -1)} - {0}
    return np.asarray(np.isin(parts, list(ends)))


def _ruler_mask(pixels: FloatArray) -> BoolArray:
    """Find the white scale with its ticks along one side."""
    found = np.zeros(pixels.shape[:2], bool)
    for turn in range(4):
        turned = np.rot90(pixels, turn)
        scale = turned[0].min(axis=-1) > 0.9
        if (scale | (turned[0].max(axis=-1) < 0.15)).mean() > 0.95 and scale.mean() > 0.4:
            np.rot90(found, turn)[:10] |= (turned[:10].max(axis=-1) < 0.15) | (turned[:10].min(axis=-1) > 0.9)
    return found


DETECTED: dict[str, Detect] = {
    "ruler": _ruler_mask,
    "ink": lambda p: _large(_near(p, VIOLET), 12),
    "patches": lambda p: _large(_near(p, PLASTERS[0]) | _near(p, PLASTERS[1]), 40),
    "dark_corner": lambda p: _corners(p.max(axis=-1) < 0.1),
    "hair": lambda p: _large(np.asarray((p.max(axis=-1) < 0.1) & ~_corners(p.max(axis=-1) < 0.1)), LONGEST_TICK_PX + 1),
    "white_corner": lambda p: _corners(p > 0.97),
    "table_edge": lambda p: _large(_at_side(p > 0.9, 14), 30),
}
