"""Procedural textures: smooth noise, cell walls, blobs, strokes, branching vessels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree

from whycad.types import FloatArray

Points = NDArray[np.float64]
Shape = tuple[int, int]
SUPERSAMPLING = 2
STROKE_PIECES = 4


@dataclass(frozen=True, eq=False)
class Stroke:
    """A line ``(n, 2)`` of (row, column) points with a width in pixels at either end."""

    points: Points
    width: float
    width_end: float


@dataclass(frozen=True, eq=False)
class Cells:
    """A cellular tissue on the image grid.

    Attributes
    ----------
    wall : ndarray of float32 (H, W)
        Gap between the distances to the nearest two seeds, in cell spacings: 0 on a wall.
    centre : ndarray of float32 (H, W)
        Distance to the nearest seed, in cell spacings.
    value : ndarray of float32 (H, W)
        A random number in 0..1, the same all over a cell.
    """

    wall: FloatArray
    centre: FloatArray
    value: FloatArray


def smoothstep(x: FloatArray, low: float, high: float) -> FloatArray:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def smooth_noise(rng: np.random.Generator, shape: Shape, scale: float) -> FloatArray:
    """Give noise ``(H, W)`` of mean 0 and standard deviation 1 that varies over ``scale`` pixels."""
    step = max(scale / 3, 1.0)
    height, width = shape[0] / step, shape[1] / step
    grid = rng.standard_normal((math.ceil(height) + 4, math.ceil(width) + 4)).astype(np.float32)
    grid = ndimage.gaussian_filter(grid, scale / (2 * step), mode="wrap")
    grid = (grid - grid.mean()) / (grid.std() + 1e-6)
    box = (2.0, 2.0, 2.0 + width, 2.0 + height)
    picture = Image.fromarray(grid).resize(shape[::-1], Image.Resampling.BICUBIC, box=box)
    return np.asarray(picture, np.float32)


def fractal_noise(rng: np.random.Generator, shape: Shape, scale: float, octaves: int = 4) -> FloatArray:
    """Sum octaves of `smooth_noise` from ``scale`` pixels downwards; standard deviation about 1."""
    gains = 0.6 ** np.arange(octaves)
    total = np.zeros(shape, np.float32)
    for octave, gain in enumerate(gains):
        total += np.float32(gain) * smooth_noise(rng, shape, scale / 2**octave)
    return np.asarray(total / np.sqrt((gains**2).sum()), np.float32)


def _jittered_seeds(rng: np.random.Generator, shape: Shape, spacing: float, jitter: float) -> Points:
    rows = np.arange(-2 * spacing, shape[0] + 2 * spacing, spacing * 0.87)
    columns = np.arange(-2 * spacing, shape[1] + 2 * spacing, spacing)
    r, c = np.meshgrid(rows, columns, indexing="ij")
    c = c + (np.arange(len(rows)) % 2)[:, None] * spacing / 2
    seeds = np.stack([r.ravel(), c.ravel()], axis=1)
    return np.asarray(seeds + rng.normal(0, jitter * spacing, seeds.shape))


def cells(
    rng: np.random.Generator, where: NDArray[np.bool_], spacing: float, jitter: float = 0.18, warp: float = 0.25
) -> Cells:
    """Fill the pixels of ``where`` with cells about ``spacing`` pixels wide; elsewhere all is 0.

    ``jitter`` and ``warp`` (in spacings) make the honeycomb irregular.
    """
    shape = (where.shape[0], where.shape[1])
    seeds = _jittered_seeds(rng, shape, spacing, jitter)
    values = rng.random(len(seeds)).astype(np.float32)
    at = np.argwhere(where).astype(np.float32)
    bend = [smooth_noise(rng, shape, 3 * spacing) + 0.4 * smooth_noise(rng, shape, 0.8 * spacing) for _ in range(2)]
    bent = at + np.stack([b[where] for b in bend], axis=1) * warp * spacing
    distance, index = cKDTree(seeds).query(bent, k=2)
    out = [np.zeros(shape, np.float32) for _ in range(3)]
    found = ((distance[:, 1] - distance[:, 0]) / spacing, distance[:, 0] / spacing, values[index[:, 0]])
    for array, value in zip(out, found, strict=True):
        array[where] = value
    return Cells(*out)


def blobs(
    shape: Shape,
    centres: Points,
    radii: NDArray[np.float64],
    *,
    softness: float = 0.4,
    heights: NDArray[np.float64] | None = None,
) -> FloatArray:
    """Draw roundish soft blobs of ``heights`` (1 where not given); overlaps take the larger value."""
    out = np.zeros(shape, np.float32)
    heights = np.ones(len(radii)) if heights is None else heights
    for index, ((row, column), radius, height) in enumerate(zip(centres, radii, heights, strict=True)):
        reach = math.ceil(radius * (1 + softness)) + 1
        r0, r1 = max(int(row) - reach, 0), min(int(row) + reach + 1, shape[0])
        c0, c1 = max(int(column) - reach, 0), min(int(column) + reach + 1, shape[1])
        if r0 >= r1 or c0 >= c1:
            continue
        rr, cc = np.ogrid[r0:r1, c0:c1]
        # The index turns the ovals: no draw, so that heights and radii alone fix the picture.
        lean = 0.22 * np.cos(2 * np.arctan2(rr - row, cc - column) + 2.4 * index)
        distance = (np.hypot(rr - row, cc - column) / radius * (1 + lean)).astype(np.float32)
        patch = np.float32(height) * (1 - smoothstep(distance, 1 - softness, 1 + softness))
        out[r0:r1, c0:c1] = np.maximum(out[r0:r1, c0:c1], patch)
    return out


def scatter(rng: np.random.Generator, weight: FloatArray, n: int, apart: float = 0.0) -> Points:
    """Draw at most ``n`` points ``(m, 2)`` with density ``weight``, no two nearer than ``apart`` pixels."""
    total = float(weight.sum())
    if total <= 0 or n <= 0:
        return np.zeros((0, 2))
    cumulative = np.cumsum(weight.ravel(), dtype=np.float64)
    flat = np.searchsorted(cumulative, rng.random(n) * cumulative[-1])
    points = np.stack(np.unravel_index(np.minimum(flat, weight.size - 1), weight.shape), axis=1) + rng.random((n, 2))
    if apart <= 0:
        return points
    kept: list[NDArray[np.float64]] = []
    for point in points:
        if not kept or np.min(np.hypot(*(np.asarray(kept) - point).T)) >= apart:
            kept.append(point)
    return np.asarray(kept)


def draw_strokes(shape: Shape, strokes: Sequence[Stroke]) -> FloatArray:
    """Draw tapering strokes with smooth edges; coverage ``(H, W)`` in 0..1."""
    size = (shape[1] * SUPERSAMPLING, shape[0] * SUPERSAMPLING)
    canvas = Image.new("L", size, 0)
    pen = ImageDraw.Draw(canvas)
    for stroke in strokes:
        cuts = np.linspace(0, len(stroke.points) - 1, STROKE_PIECES + 1).round().astype(int)
        for piece, (start, stop) in enumerate(itertools.pairwise(cuts)):
            part = stroke.width + (stroke.width_end - stroke.width) * piece / max(STROKE_PIECES - 1, 1)
            xy = (stroke.points[start : stop + 1, ::-1] * SUPERSAMPLING).ravel().tolist()
            pen.line(xy, fill=255, width=max(round(part * SUPERSAMPLING), 1), joint="curve")
    small = canvas.resize(shape[::-1], Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def curve(start: Points, stop: Points, bend: float, n: int = 24) -> Points:
    """Give ``(n, 2)`` points of an arc from ``start`` to ``stop`` that swerves by ``bend`` of its length."""
    t = np.linspace(0, 1, n)[:, None]
    along = stop - start
    middle = (start + stop) / 2 + bend * np.array([-along[1], along[0]])
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * stop)


def wander(rng: np.random.Generator, start: Points, heading: float, length: float, wiggle: float) -> Points:
    """Give a winding path ``(n, 2)`` of ``length`` pixels from ``start``; ``wiggle`` in radians per step."""
    n = max(int(length / 4), 4)
    angles = heading + np.cumsum(rng.normal(0, wiggle, n))
    steps = np.stack([np.sin(angles), np.cos(angles)], axis=1) * (length / n)
    return np.vstack([start, start + np.cumsum(steps, axis=0)])


def vessel_tree(
    rng: np.random.Generator, start: Points, heading: float, length: float, width: float, depth: int = 3
) -> list[Stroke]:
    """Grow a branching vessel: a stem, then twigs of about 0.65 of its length and width."""
    path = wander(rng, start, heading, length, 0.2)
    strokes = [Stroke(path, width, width * 0.75)]
    if depth == 0:
        return strokes
    for _ in range(int(rng.integers(2, 4))):
        at = path[int(rng.integers(len(path) // 3, len(path)))]
        turn = float(rng.choice([-1, 1]) * rng.uniform(0.4, 1.1))
        scale = float(rng.uniform(0.5, 0.8))
        strokes += vessel_tree(rng, at, heading + turn, length * scale, width * 0.68, depth - 1)
    return strokes
