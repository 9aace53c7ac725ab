"""The stage on which the lesion painters work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from plugins.skin_lesion.phantom_shape import Outline
from plugins.skin_lesion.phantom_skin import REFERENCE_WIDTH, Layers
from plugins.skin_lesion.phantom_texture import (
    Cells,
    Points,
    Shape,
    blobs,
    cells,
    fractal_noise,
    scatter,
    smooth_noise,
    smoothstep,
)
from whycad.types import FloatArray


@dataclass(frozen=True, eq=False)
class Scene:
    """A lesion in its skin, about to be painted.

    Attributes
    ----------
    rng : Generator
    outline : Outline
    layers : Layers
        Painted in place.
    pattern : str
        Which of the label's looks.
    variegation, network : float
        0..1: how uneven the colour is, how plain the pigment network.
    """

    rng: np.random.Generator
    outline: Outline
    layers: Layers
    pattern: str
    variegation: float
    network: float

    @property
    def shape(self) -> Shape:
        """Height and width in pixels."""
        return (self.outline.mask.shape[0], self.outline.mask.shape[1])

    @property
    def scale(self) -> float:
        """Pixels per pixel of a 600-pixel-wide image."""
        return self.shape[1] / REFERENCE_WIDTH

    @property
    def cover(self) -> FloatArray:
        """Soft lesion mask, 0..1."""
        return self.outline.coverage

    def patches(self, size: float) -> FloatArray:
        """Noise whose patches are ``size`` lesion radii wide."""
        return smooth_noise(self.rng, self.shape, max(size * self.outline.radius, 2.0))

    def grain(self, scale: float = 16) -> FloatArray:
        """Fractal noise from ``scale`` reference pixels downwards."""
        return fractal_noise(self.rng, self.shape, scale * self.scale, 3)

    def cells(self, spacing: float, jitter: float = 0.18, warp: float = 0.25) -> Cells:
        """Cells ``spacing`` reference pixels wide over the lesion."""
        return cells(self.rng, self.cover > 0, spacing * self.scale, jitter, warp)

    def spots(self, weight: FloatArray, n: int, radii: tuple[float, float], softness: float = 0.4) -> FloatArray:
        """About ``n`` blobs with radii in reference pixels, placed with density ``weight``."""
        at = scatter(self.rng, weight, n, apart=1.1 * radii[1] * self.scale)
        size = np.asarray(radii[0] + (radii[1] - radii[0]) * self.rng.beta(1.3, 2.5, len(at))) * self.scale
        found = blobs(self.shape, at, size, softness=softness, heights=self.rng.uniform(0.55, 1, len(at)))
        return found * (self.cover > 0.3)

    def point(self, low: float, high: float) -> Points:
        """Pick a random point of the lesion whose depth lies between ``low`` and ``high``."""
        depth = self.outline.depth
        weight = ((depth > low) & (depth < high)).astype(np.float32)
        found = scatter(self.rng, weight, 1)
        return found[0] if len(found) else np.asarray(self.outline.centre)

    def patch(self, at: Points, size: float, ragged: float = 0.35) -> FloatArray:
        """Give a ragged soft patch around ``at``, ``size`` lesion radii wide, inside the lesion."""
        r, c = np.ogrid[: self.shape[0], : self.shape[1]]
        distance = np.hypot(r - at[0], c - at[1]) / (size * self.outline.radius)
        edge = distance.astype(np.float32) + np.float32(ragged) * self.patches(0.7 * size)
        return (1 - smoothstep(edge, 0.6, 1.25)) * self.cover


def pigment(scene: Scene, level: float, grain: float = 0.1) -> FloatArray:
    """Melanin of the lesion's body: ``level`` on average, uneven by the scene's variegation."""
    uneven = np.exp(grain * scene.grain() + 0.55 * scene.variegation * scene.patches(0.45))
    inward = 0.85 + 0.3 * smoothstep(scene.outline.depth, 0, 0.6)
    return np.asarray(level * scene.cover * uneven * inward, np.float32)


def network(scene: Scene, spacing: float, thick: float = 0.24, jitter: float = 0.16) -> FloatArray:
    """Lines of a pigment network, 0..1, fading out unevenly."""
    tissue = scene.cells(spacing, jitter, warp=0.45)
    width = thick * np.exp(0.3 * scene.patches(0.3))
    lines = np.exp(-((tissue.wall / width) ** 2)) * (0.75 + 0.35 * tissue.value)
    lines = ndimage.gaussian_filter(lines, 0.11 * spacing * scene.scale)
    lines = lines * np.clip(1 + 0.3 * scene.grain(10), 0, 2)
    return np.asarray(lines * scene.cover * smoothstep(scene.patches(0.5), -1.6, 0.6), np.float32)
