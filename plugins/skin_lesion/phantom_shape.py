"""Lesion outlines: an oval, one-sided bulges for asymmetry, fine waves for an irregular border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plugins.skin_lesion.phantom_texture import Shape, smooth_noise, smoothstep
from whycad.types import FloatArray

WAVES = np.arange(5, 17)


@dataclass(frozen=True)
class OutlineSpec:
    """What an outline should be like.

    Attributes
    ----------
    area : float
        Share of the image.
    centre : tuple of float
        Row and column as shares of height and width.
    irregularity, asymmetry : float
        0 (smooth, symmetric) to 1.
    elongation : float
        Longer over shorter axis.
    edge : float
        Width of the fading border, as a share of the lesion's radius.
    """

    area: float
    centre: tuple[float, float] = (0.5, 0.5)
    irregularity: float = 0.3
    asymmetry: float = 0.2
    elongation: float = 1.2
    edge: float = 0.1


@dataclass(frozen=True, eq=False)
class Outline:
    """A lesion's place in the image.

    Attributes
    ----------
    mask : ndarray of bool (H, W)
    coverage : ndarray of float32 (H, W)
        0 outside, 1 well inside, 0.5 on the border.
    depth : ndarray of float32 (H, W)
        Signed distance from the border as a share of the radius, about 1 at the centre.
    angle : ndarray of float32 (H, W)
        Direction from the lesion's centre, radians.
    radius : float
        Of a disc of the same area, in pixels.
    centre : tuple of float
        Row and column in pixels.
    """

    mask: NDArray[np.bool_]
    coverage: FloatArray
    depth: FloatArray
    angle: FloatArray
    radius: float
    centre: tuple[float, float]


def _rim(rng: np.random.Generator, spec: OutlineSpec, angle: FloatArray) -> FloatArray:
    """Radius of the border, relative to the oval, in every direction."""
    rim = np.ones_like(angle)
    heading = rng.uniform(0, 2 * np.pi)
    bulges = ((0.75, 2.2, 0.0), (-0.4, 3.0, rng.uniform(1.8, 4.2)), (0.35, 5.0, rng.uniform(0.8, 2.0)))
    for height, sharpness, turn in bulges:
        bump = np.exp(sharpness * (np.cos(angle - heading - turn) - 1))
        rim += np.float32(spec.asymmetry * height) * bump
    phases, gains = rng.uniform(0, 2 * np.pi, len(WAVES)), rng.standard_normal(len(WAVES))
    for wave, phase, gain in zip(WAVES, phases, gains, strict=True):
        rim += np.float32(0.2 * spec.irregularity * gain / wave) * np.cos(wave * angle + phase)
    return np.asarray(rim, np.float32)


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, n = ndimage.label(mask)
    if n > 1:
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        mask = parts == sizes.argmax()
    return np.asarray(ndimage.binary_fill_holes(mask), bool)


def make_outline(rng: np.random.Generator, shape: Shape, spec: OutlineSpec) -> Outline:
    """Draw an outline whose area is about ``spec.area`` of an image of ``shape``."""
    row, column = spec.centre[0] * shape[0], spec.centre[1] * shape[1]
    r, c = np.ogrid[: shape[0], : shape[1]]
    radius = float(np.sqrt(spec.area * shape[0] * shape[1] / np.pi))
    tilt, stretch = rng.uniform(0, np.pi), np.sqrt(spec.elongation)
    dr, dc = (r - row).astype(np.float32), (c - column).astype(np.float32)
    u = (np.cos(tilt) * dc + np.sin(tilt) * dr) / np.float32(radius * stretch)
    v = (np.cos(tilt) * dr - np.sin(tilt) * dc) / np.float32(radius / stretch)
    distance, angle = np.hypot(u, v), np.arctan2(v, u)
    ragged = smooth_noise(rng, shape, 0.3 * radius) + 0.6 * smooth_noise(rng, shape, 0.12 * radius)
    height = _rim(rng, spec, angle) - distance + np.float32(0.09 * spec.irregularity) * ragged
    depth = height - np.quantile(height[::2, ::2], 1 - spec.area)
    mask = _largest_part(depth > 0)
    depth = np.where(mask, np.abs(depth), -np.abs(depth)).astype(np.float32)
    softness = spec.edge * np.exp(0.55 * smooth_noise(rng, shape, 0.7 * radius))
    coverage = smoothstep(depth / softness, -0.5, 0.5)
    return Outline(mask, coverage, depth, np.asarray(angle, np.float32), radius, (row, column))
