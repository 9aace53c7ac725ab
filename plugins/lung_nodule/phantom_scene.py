"""Parts of a simulated chest CT, in mm about the nodule: lung, chest wall, vessels, noise.

Nothing here comes from a picture; densities and sizes are textbook values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray

Shape3 = tuple[int, int, int]
Vector = NDArray[np.float64]

LUNG_HU, VESSEL_HU, MUSCLE_HU, FAT_HU, BONE_HU, MARROW_HU = -860.0, 35.0, 45.0, -95.0, 650.0, 180.0
PLEURA_MM, FAT_MM = 1.5, 5.0


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel centres in mm about the middle of the grid.

    Attributes
    ----------
    shape : tuple of int
        ``(Z, H, W)``.
    spacing_mm : tuple of float
    """

    shape: Shape3
    spacing_mm: tuple[float, float, float]

    def axes(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the three coordinates, each broadcasting to ``shape``."""
        found = []
        for axis, (n, step) in enumerate(zip(self.shape, self.spacing_mm, strict=True)):
            values = ((np.arange(n) - (n - 1) / 2) * step).astype(np.float32)
            found.append(values.reshape([-1 if a == axis else 1 for a in range(3)]))
        return found[0], found[1], found[2]

    def half_mm(self) -> Vector:
        """Return half the extent along each axis."""
        return np.asarray([n * step / 2 for n, step in zip(self.shape, self.spacing_mm, strict=True)])


def soft_step(x: FloatArray, width: float) -> FloatArray:
    """Rise from 0 to 1 about x = 0 over ``width``."""
    return np.asarray(np.clip(x / np.float32(width) + np.float32(0.5), 0, 1), np.float32)


def smooth_noise(rng: np.random.Generator, grid: Grid, scale_mm: float) -> FloatArray:
    """Give noise of mean 0 and standard deviation 1 that varies over ``scale_mm``."""
    coarse = Grid(tuple(max(4, math.ceil(2 * h / (scale_mm / 2)) + 2) for h in grid.half_mm()), (1.0, 1.0, 1.0))
    field = rng.standard_normal(coarse.shape).astype(np.float32)
    zoom = [n / m for n, m in zip(grid.shape, coarse.shape, strict=True)]
    field = ndimage.zoom(field, zoom, order=1, mode="nearest", grid_mode=True)
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)


def lung(rng: np.random.Generator, grid: Grid) -> FloatArray:
    """Give aerated lung: denser towards the back, uneven over centimetres and millimetres."""
    _, y, _ = grid.axes()
    hu = LUNG_HU + 0.5 * y + 12 * smooth_noise(rng, grid, 15) + 10 * smooth_noise(rng, grid, 4)
    return np.asarray(hu, np.float32)


@dataclass(frozen=True)
class Wall:
    """The chest wall: how far its pleura is from the middle, and which way, in radians from +x."""

    distance_mm: float
    direction: float
    radius_mm: float = 110.0
    rib_mm: float = 6.0


def add_wall(hu: FloatArray, grid: Grid, wall: Wall) -> FloatArray:
    """Put muscle, fat and a rib beyond a curved pleura."""
    z, y, x = grid.axes()
    along = x * math.cos(wall.direction) + y * math.sin(wall.direction)
    across = -x * math.sin(wall.direction) + y * math.cos(wall.direction)
    depth = np.asarray(along + across**2 / (2 * wall.radius_mm) - wall.distance_mm + 0 * z, np.float32)
    out = hu + soft_step(depth, 1.0) * (MUSCLE_HU - hu)
    inside, outside = (np.asarray(d, np.float32) for d in (depth - PLEURA_MM, PLEURA_MM + FAT_MM - depth))
    fat = soft_step(inside, 1.0) * soft_step(outside, 1.0)
    out = out + fat * (FAT_HU - out)
    rib = wall.rib_mm - np.sqrt(((depth - 14) / 1.0) ** 2 + ((across - 8 + 0.3 * z) / 2.2) ** 2)
    out = out + soft_step(rib, 1.0) * (BONE_HU - out)
    return np.asarray(out + soft_step(rib - 2.0, 1.0) * (MARROW_HU - out), np.float32)


def _unit(rng: np.random.Generator) -> Vector:
    direction = rng.standard_normal(3)
    return np.asarray(direction / np.linalg.norm(direction))


def vessel_path(rng: np.random.Generator, start: Vector, length_mm: float) -> Vector:
    """Give points ``(n, 3)`` half a millimetre apart along a winding vessel."""
    n = max(int(length_mm / 0.5), 2)
    heading, turns = _unit(rng), rng.standard_normal((n, 3)) * 0.06
    steps = heading + np.cumsum(turns, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    return np.asarray(start + np.cumsum(0.5 * steps, axis=0))


def add_tube(cover: FloatArray, grid: Grid, points: Vector, radii: Vector) -> None:
    """Raise ``cover`` (0..1) to 1 inside balls of these radii about these points, in place."""
    spacing = np.asarray(grid.spacing_mm)
    for point, radius in zip(points, radii, strict=True):
        centre = (point + grid.half_mm()) / spacing - 0.5
        reach = (radius + 0.8) / spacing
        low = np.maximum(np.ceil(centre - reach), 0).astype(int)
        high = np.minimum(np.floor(centre + reach) + 1, grid.shape).astype(int)
        if np.any(high <= low):
            continue
        block = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        offsets = np.ogrid[block]
        squared = sum(((o - c) * s) ** 2 for o, c, s in zip(offsets, centre, spacing, strict=True))
        ball = soft_step(np.asarray(radius - np.sqrt(squared), np.float32), 0.8)
        cover[block] = np.maximum(cover[block], ball)


def add_vessels(rng: np.random.Generator, hu: FloatArray, grid: Grid, n: int, clear_mm: float) -> FloatArray:
    """Draw ``n`` vessels that stay ``clear_mm`` from the middle."""
    cover = np.zeros(grid.shape, np.float32)
    for _ in range(n):
        start = rng.uniform(-1, 1, 3) * grid.half_mm()
        path = vessel_path(rng, start, float(rng.uniform(25, 60)))
        first = float(rng.choice([0.35, 0.55, 0.9, 1.7], p=[0.45, 0.32, 0.17, 0.06]))
        radii = np.linspace(first, 0.6 * first, len(path))
        away = np.linalg.norm(path, axis=1) > clear_mm + radii
        add_tube(cover, grid, path[away], radii[away])
    return np.asarray(hu + cover * (VESSEL_HU - hu), np.float32)


@dataclass(frozen=True)
class Scanner:
    """Blur in mm and noise in HU of a reconstruction."""

    blur_mm: float = 0.45
    noise_hu: float = 28.0


def scan(rng: np.random.Generator, hu: FloatArray, grid: Grid, scanner: Scanner) -> FloatArray:
    """Blur as a reconstruction does, add correlated noise, and round to whole units."""
    sigma = [scanner.blur_mm / step for step in grid.spacing_mm]
    sigma[0] = 0.0 if grid.shape[0] == 1 else sigma[0]
    image = ndimage.gaussian_filter(hu, sigma, mode="nearest")
    grain = ndimage.gaussian_filter(rng.standard_normal(grid.shape).astype(np.float32), (0, 0.7, 0.7))
    grain *= np.float32(scanner.noise_hu) / (grain.std() + np.float32(1e-6))
    return np.asarray(np.rint(np.clip(image + grain, -1024, 3071)), np.float32)
