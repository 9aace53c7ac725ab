"""Building blocks of the simulator: a grid in millimetres, soft shapes and random fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Grid:
    """Where each pixel lies in the body.

    Attributes
    ----------
    x, y : ndarray of float32 (H, W)
        Millimetres from the body's centre: x towards the patient's left (image right), y backwards
        (image down).
    pixel_mm : float
    """

    x: FloatArray
    y: FloatArray
    pixel_mm: float


def make_grid(side: int, pixel_mm: float, shift_mm: tuple[float, float], turn_deg: float) -> Grid:
    """Lay a square grid over a body that is shifted by (x, y) and turned in the picture."""
    axis = (np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)) * np.float32(pixel_mm)
    x, y = axis[None, :] - np.float32(shift_mm[0]), axis[:, None] - np.float32(shift_mm[1])
    cos, sin = np.float32(np.cos(np.deg2rad(turn_deg))), np.float32(np.sin(np.deg2rad(turn_deg)))
    return Grid(cos * x + sin * y, cos * y - sin * x, pixel_mm)


def ellipse(
    grid: Grid, centre: tuple[float, float], radii: tuple[float, float], turn_deg: float = 0.0, power: float = 2.0
) -> FloatArray:
    """Return the approximate signed distance in mm ``(H, W)`` to a (super)ellipse, negative inside.

    Parameters
    ----------
    grid : Grid
    centre, radii : tuple of float
        (x, y) in mm.
    turn_deg : float
        Turn of the axes.
    power : float
        2 is an ellipse; larger is squarer.
    """
    x, y = grid.x - np.float32(centre[0]), grid.y - np.float32(centre[1])
    if turn_deg:
        cos, sin = np.float32(np.cos(np.deg2rad(turn_deg))), np.float32(np.sin(np.deg2rad(turn_deg)))
        x, y = cos * x + sin * y, cos * y - sin * x
    u, v = x / np.float32(radii[0]), y / np.float32(radii[1])
    if power == 2.0:
        r = np.sqrt(u * u + v * v)
    else:
        r = (np.abs(u) ** np.float32(power) + np.abs(v) ** np.float32(power)) ** np.float32(1 / power)
    return np.asarray((r - 1) * np.float32(min(radii)), np.float32)


def union(shapes: list[FloatArray], softness_mm: float) -> FloatArray:
    """Join signed distances; corners between shapes are rounded by ``softness_mm``."""
    k = np.float32(softness_mm)
    lowest = np.minimum.reduce(shapes)
    total = sum(np.exp((lowest - shape) / k) for shape in shapes)
    return np.asarray(lowest - k * np.log(total), np.float32)


def coverage(distance: FloatArray, pixel_mm: float) -> FloatArray:
    """Return how much of each pixel lies inside a shape, 0..1, from its signed distance."""
    return np.asarray(np.clip(np.float32(0.5) - distance / np.float32(pixel_mm), 0, 1), np.float32)


def tubes(grid: Grid, segments: NDArray[np.float32], radii: NDArray[np.float32]) -> FloatArray:
    """Return the signed distance in mm ``(H, W)`` to the nearest of some round-ended tubes.

    Parameters
    ----------
    grid : Grid
    segments : ndarray of float32 (k, 4)
        x and y of both ends, in mm.
    radii : ndarray of float32 (k, 2)
        At both ends, in mm.
    """
    out = np.full(grid.x.shape, np.float32(1e6))
    for (x0, y0, x1, y1), (r0, r1) in zip(segments, radii, strict=True):
        dx, dy = x1 - x0, y1 - y0
        length2 = max(dx * dx + dy * dy, np.float32(1e-6))
        along = np.clip(((grid.x - x0) * dx + (grid.y - y0) * dy) / length2, 0, 1)
        away = np.hypot(grid.x - x0 - along * dx, grid.y - y0 - along * dy)
        np.minimum(out, away - r0 - along * (r1 - r0), out=out)
    return out


def band_noise(rng: np.random.Generator, grid: Grid, wavelength_mm: float, width: float = 0.35) -> FloatArray:
    """Return a random field ``(H, W)`` around one wavelength, mean 0 and deviation 1."""
    side = grid.x.shape[0]
    noise = rng.standard_normal(grid.x.shape, dtype=np.float32)
    fy = np.abs(fft.fftfreq(side, grid.pixel_mm).astype(np.float32))[:, None]
    fx = fft.rfftfreq(side, grid.pixel_mm).astype(np.float32)[None, :]
    octaves = np.log(np.maximum(np.hypot(fx, fy) * np.float32(wavelength_mm), np.float32(1e-6)))
    spectrum = np.asarray(fft.rfft2(noise)) * np.exp(-((octaves / np.float32(width)) ** 2) / 2)
    field = np.asarray(fft.irfft2(spectrum, s=grid.x.shape), np.float32)
    return np.asarray((field - field.mean()) / (field.std() + np.float32(1e-9)), np.float32)
