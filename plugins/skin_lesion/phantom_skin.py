"""Skin around the lesion, the optics of pigment and blood, and the camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from plugins.skin_lesion.phantom_texture import (
    Shape,
    blobs,
    draw_strokes,
    fractal_noise,
    scatter,
    smooth_noise,
    smoothstep,
    vessel_tree,
)
from whycad.types import FloatArray

REFERENCE_WIDTH = 600
Rgb = tuple[float, float, float]

# Red, green and blue as a dermatoscope shows them under polarised light and its own white balance.
SKIN_TONES: Mapping[str, Rgb] = {
    "rose": (0.85, 0.61, 0.66),
    "salmon": (0.87, 0.62, 0.56),
    "pale": (0.84, 0.72, 0.74),
    "lilac": (0.71, 0.60, 0.67),
    "ivory": (0.83, 0.70, 0.60),
    "tan": (0.74, 0.58, 0.49),
    "brown": (0.60, 0.44, 0.37),
    "dark": (0.42, 0.29, 0.24),
}
# Extinction per unit of density: melanin absorbs less towards red, blood most in the green.
MELANIN: Rgb = (0.36, 0.82, 1.08)
DENSE_MELANIN: Rgb = (0.72, 0.88, 0.92)
BLOOD: Rgb = (0.18, 1.00, 0.58)
DEEP_PIGMENT: Rgb = (0.40, 0.40, 0.50)
SCAR: Rgb = (0.93, 0.86, 0.88)
KERATIN: Rgb = (0.95, 0.89, 0.82)
CLOT: Rgb = (0.15, 0.10, 0.17)
DENSE_FROM = 0.85


@dataclass
class Layers:
    """What lies in and under the skin, each ``(H, W)`` float32.

    Attributes
    ----------
    melanin, blood : ndarray
        Densities from 0; about 0.6 melanin makes a brown nevus, 0.8 blood a red lacuna.
    deep, white, keratin, clot : ndarray
        Shares 0..1 of blue-grey dermal pigment, scar, keratin and clotted blood.
    """

    melanin: FloatArray
    blood: FloatArray
    deep: FloatArray
    white: FloatArray
    keratin: FloatArray
    clot: FloatArray

    @classmethod
    def empty(cls, shape: Shape) -> Layers:
        """Make layers without any pigment."""
        return cls(*(np.zeros(shape, np.float32) for _ in range(6)))


@dataclass(frozen=True)
class SkinSpec:
    """Skin of one case.

    Attributes
    ----------
    tone : str
        Key of ``SKIN_TONES``.
    mottling : float
        0 (even) to 1 (sun-damaged): patches of pigment and redness.
    vessels : int
        Number of fine vessel trees in the surroundings.
    freckles : int
    shift : tuple of float
        Factors on the tone: white balance and person.
    """

    tone: str
    mottling: float = 0.4
    vessels: int = 0
    freckles: int = 0
    shift: Rgb = field(default=(1.0, 1.0, 1.0))


def paint_skin(rng: np.random.Generator, shape: Shape, spec: SkinSpec) -> Layers:
    """Lay out the pigment and blood of lesion-free skin."""
    scale = shape[1] / REFERENCE_WIDTH
    layers = Layers.empty(shape)
    mottle = np.float32(0.02 + 0.09 * spec.mottling)
    patches = 0.6 * fractal_noise(rng, shape, 60 * scale, 4) + 0.6 * fractal_noise(rng, shape, 16 * scale, 3)
    layers.melanin += mottle * np.maximum(patches + 0.3, -1.0)
    flush = 0.6 * smooth_noise(rng, shape, 60 * scale) + 0.4 * fractal_noise(rng, shape, 18 * scale, 3)
    layers.blood += mottle * np.maximum(flush, -1.0) + 0.5 * mottle * capillaries(rng, shape)
    layers.melanin += np.float32(0.045 + 0.03 * spec.mottling) * skin_lines(rng, shape)
    pores = scatter(rng, np.ones(shape, np.float32), 140, apart=14 * scale)
    dots = blobs(shape, pores, rng.uniform(1.2, 3.0, len(pores)) * scale, softness=0.8)
    layers.white += np.float32(0.12) * dots
    if spec.freckles:
        at = scatter(rng, np.ones(shape, np.float32), spec.freckles, apart=18 * scale)
        spots = blobs(shape, at, rng.uniform(4, 13, len(at)) * scale, softness=0.6)
        layers.melanin += np.float32(0.22) * spots * smoothstep(1.5 + smooth_noise(rng, shape, 9 * scale), 0, 2)
    layers.blood += surface_vessels(rng, shape, spec.vessels)
    return layers


def skin_lines(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Give the fine relief of the skin surface, about -1..1: criss-cross furrows of changing depth."""
    scale = shape[1] / REFERENCE_WIDTH
    fine, middle = smooth_noise(rng, shape, 4 * scale), smooth_noise(rng, shape, 9 * scale)
    furrows = np.exp(-((middle / np.float32(0.35)) ** 2)) - 0.5
    relief = 0.6 * furrows + 0.35 * fine
    return np.asarray(relief * smoothstep(smooth_noise(rng, shape, 80 * scale), -1.8, 1.0), np.float32)


def capillaries(rng: np.random.Generator, shape: Shape) -> FloatArray:
    """Give the faint red lace of the superficial plexus, 0..1."""
    scale = shape[1] / REFERENCE_WIDTH
    ridge = smooth_noise(rng, shape, 12 * scale) + 0.5 * smooth_noise(rng, shape, 6 * scale)
    return np.exp(-((ridge / np.float32(0.3)) ** 2)) * smoothstep(smooth_noise(rng, shape, 50 * scale), -0.8, 1.2)


def surface_vessels(rng: np.random.Generator, shape: Shape, n: int) -> FloatArray:
    """Draw ``n`` fine, slightly blurred vessel trees; density 0..0.4."""
    if n == 0:
        return np.zeros(shape, np.float32)
    scale = shape[1] / REFERENCE_WIDTH
    strokes = []
    for start in rng.uniform((0, 0), shape, (n, 2)):
        length, width = rng.uniform(60, 130) * scale, rng.uniform(1.5, 3.0) * scale
        strokes += vessel_tree(rng, start, rng.uniform(0, 2 * np.pi), length, width, depth=2)
    lines = ndimage.gaussian_filter(draw_strokes(shape, strokes), 1.0 * scale)
    return np.asarray(0.4 * lines * smoothstep(1 + smooth_noise(rng, shape, 60 * scale), 0, 2), np.float32)


def _blend(image: FloatArray, share: FloatArray, colour: Rgb) -> FloatArray:
    part = np.clip(share, 0, 1)[..., None]
    return np.asarray(image * (1 - part) + part * np.asarray(colour, np.float32), np.float32)


def develop(layers: Layers, spec: SkinSpec) -> FloatArray:
    """Turn layers into reflected light ``(H, W, 3)``: blends from the depth up, then absorption."""
    tone = np.asarray(SKIN_TONES[spec.tone], np.float32) * np.asarray(spec.shift, np.float32)
    image = np.broadcast_to(tone, (*layers.melanin.shape, 3)).astype(np.float32)
    image = _blend(image, layers.white, SCAR)
    image = _blend(image, layers.deep, DEEP_PIGMENT)
    dense = np.maximum(layers.melanin - DENSE_FROM, 0)
    light = layers.melanin - dense
    density = np.multiply.outer(light, np.asarray(MELANIN, np.float32))
    density += np.multiply.outer(dense, np.asarray(DENSE_MELANIN, np.float32))
    density += np.multiply.outer(layers.blood, np.asarray(BLOOD, np.float32))
    image = image * np.exp(-density)
    image = _blend(image, layers.clot, CLOT)
    return _blend(image, layers.keratin, KERATIN)


@dataclass(frozen=True)
class CameraSpec:
    """Blur in pixels of a 600-pixel-wide image, strengths of falling light and noise."""

    blur: float = 1.0
    gradient: float = 0.05
    vignette: float = 0.08
    noise: float = 0.006


def photograph(rng: np.random.Generator, image: FloatArray, spec: CameraSpec) -> FloatArray:
    """Blur, light unevenly and darken towards the corners; without noise."""
    shape = (image.shape[0], image.shape[1])
    scale = shape[1] / REFERENCE_WIDTH
    out = ndimage.gaussian_filter(image, (spec.blur * scale, spec.blur * scale, 0))
    r, c = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    heading = rng.uniform(0, 2 * np.pi)
    light = 1 + spec.gradient * (np.sin(heading) * r + np.cos(heading) * c)
    light = light - spec.vignette * ((r**2 + c**2) / 2) ** 1.5
    light = light * (1 + 0.01 * smooth_noise(rng, shape, 150 * scale))
    return np.asarray(out * light[..., None], np.float32)


def sensor_noise(rng: np.random.Generator, shape: Shape, strength: float) -> FloatArray:
    """Give additive noise ``(H, W, 3)``, mostly shared by the colours."""
    shared = rng.standard_normal((*shape, 1), np.float32)
    own = rng.standard_normal((*shape, 3), np.float32)
    grain = ndimage.gaussian_filter(0.85 * shared + 0.5 * own, (0.6, 0.6, 0))
    return np.asarray(2 * strength * grain, np.float32)
