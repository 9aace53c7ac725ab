"""Painters of the pigmented lesions: nevus, melanoma, benign keratosis."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from plugins.skin_lesion.phantom_scene import Scene, network, pigment
from plugins.skin_lesion.phantom_texture import smooth_noise, smoothstep
from whycad.types import FloatArray


def _ring(depth: FloatArray, low: float, high: float) -> FloatArray:
    return (smoothstep(depth, low - 0.08, low) * (1 - smoothstep(depth, high, high + 0.15))).astype(np.float32)


def paint_nevus(scene: Scene) -> None:
    """Even brown, with a regular network, globules, or neither; redder than other pigment."""
    layers, cover = scene.layers, scene.cover
    level = scene.rng.uniform(0.34, 0.56)
    layers.melanin += pigment(scene, level, 0.12)
    layers.blood += np.float32(scene.rng.uniform(0.04, 0.14)) * cover
    if scene.pattern == "globular":
        crowd = cover * smoothstep(scene.patches(0.35), -1.2, 1.0)
        globules = scene.spots(crowd, int(420 * scene.network), (2.5, 6.5), 0.7)
        layers.melanin += np.float32(0.34) * globules * np.clip(1 + 0.4 * scene.patches(0.4), 0.2, 2)
    elif scene.pattern == "reticular":
        outward = 1 - 0.6 * smoothstep(scene.outline.depth, 0.25, 0.8)
        lines = network(scene, scene.rng.uniform(10, 13)) * outward
        layers.melanin += np.float32(0.6 * scene.network) * (lines - 0.3 * cover)
    centre = scene.patch(np.asarray(scene.outline.centre), scene.rng.uniform(0.4, 0.65))
    layers.melanin += np.float32(scene.rng.uniform(0.05, 0.4)) * centre


def _blue_white_veil(scene: Scene) -> None:
    veil = scene.patch(scene.point(0.3, 0.7), scene.rng.uniform(0.4, 0.6))
    veil = ndimage.gaussian_filter(veil, 4 * scene.scale) * np.clip(0.85 + 0.2 * scene.grain(24), 0, 1)
    layers = scene.layers
    layers.melanin *= 1 - 0.45 * veil
    layers.blood *= 1 - 0.5 * veil
    layers.deep = np.maximum(layers.deep, 0.68 * veil)
    layers.white = np.maximum(layers.white, 0.35 * veil * smoothstep(scene.grain(24), -0.5, 2))


def _regression(scene: Scene) -> None:
    scar = scene.patch(scene.point(0.1, 0.5), scene.rng.uniform(0.25, 0.4))
    layers = scene.layers
    layers.melanin *= 1 - 0.7 * scar
    layers.white = np.maximum(layers.white, 0.3 * scar)
    peppering = scene.spots(scar, 60, (1.5, 3.0))
    layers.deep = np.maximum(layers.deep, 0.5 * peppering)


def _streaks(scene: Scene) -> FloatArray:
    """Radial streaks on part of the border."""
    angle, depth = scene.outline.angle, scene.outline.depth
    rays = np.cos(angle * scene.rng.integers(50, 70) + 3 * scene.patches(0.2)) + 0.5 * scene.patches(0.1)
    side = smoothstep(np.cos(angle - scene.rng.uniform(0, 2 * np.pi)).astype(np.float32), 0.1, 0.8)
    return np.asarray(smoothstep(rays.astype(np.float32), 0.0, 0.8) * side * _ring(depth, 0.02, 0.16), np.float32)


def paint_melanoma(scene: Scene) -> None:
    """Several browns and black, broken network, eccentric blotches, dots, streaks; veil or regression."""
    layers, cover, rng = scene.layers, scene.cover, scene.rng
    layers.melanin += pigment(scene, rng.uniform(0.38, 0.55), 0.18)
    layers.melanin *= 1 + 0.35 * scene.variegation * smoothstep(scene.patches(0.2), -0.3, 0.9)
    layers.blood += np.float32(0.07) * cover * np.maximum(1 + scene.patches(0.5), 0)
    lines = network(scene, rng.uniform(12, 15), thick=0.3, jitter=0.26)
    layers.melanin += np.float32(0.5 * scene.network) * (lines - 0.25 * cover)
    for _ in range(int(rng.integers(1, 4))):
        blotch = scene.patch(scene.point(0.08, 0.55), rng.uniform(0.22, 0.42), 0.45)
        layers.melanin += np.float32(0.3 + 0.5 * scene.variegation) * blotch * np.clip(1 + 0.25 * scene.grain(), 0, 2)
    dots = scene.spots(_ring(scene.outline.depth, 0.02, 0.3) * cover, 80, (1.5, 5.5), 0.7)
    layers.melanin += 0.6 * dots + 0.24 * _streaks(scene)
    if scene.pattern == "veil":
        _blue_white_veil(scene)
    else:
        _regression(scene)


def _moth_eaten(scene: Scene) -> FloatArray:
    """Share of pigment left after bites out of the border."""
    bites = scene.outline.depth + 0.12 * scene.patches(0.16)
    return smoothstep(np.asarray(bites, np.float32), 0.0, 0.12)


def paint_keratosis(scene: Scene) -> None:
    """Stuck-on plaque with milia-like cysts and comedo-like openings, or a flat solar lentigo."""
    layers, cover, rng = scene.layers, scene.cover, scene.rng
    if scene.pattern == "lentigo":
        wave = scene.patches(0.9) * 6 + smooth_noise(rng, scene.shape, 9 * scene.scale)
        prints = smoothstep(np.sin(3.5 * wave).astype(np.float32), -0.4, 0.9)
        layers.melanin += pigment(scene, rng.uniform(0.28, 0.42), 0.2) * _moth_eaten(scene)
        layers.melanin += np.float32(0.12) * prints * cover + np.float32(0.25) * network(scene, 13)
        return
    body = pigment(scene, rng.uniform(0.36, 0.56), 0.2) * (0.6 + 0.4 * _moth_eaten(scene))
    tissue = scene.cells(rng.uniform(20, 28), jitter=0.25, warp=0.6)
    gyri = ndimage.gaussian_filter(smoothstep(tissue.wall, 0.0, 0.6), 2 * scene.scale)
    layers.melanin += body * (1.3 - 0.4 * gyri + 0.3 * (tissue.value - 0.5)) * np.clip(1 + 0.2 * scene.grain(8), 0, 2)
    layers.deep = np.maximum(layers.deep, 0.3 * cover * smoothstep(scene.patches(0.5), 0.2, 1.6))
    layers.white = np.maximum(layers.white, 0.16 * cover)
    milia = scene.spots(cover, int(rng.integers(22, 36)), (1.8, 6.0), 0.8)
    layers.keratin = np.maximum(layers.keratin, 0.55 * milia)
    openings = scene.spots(cover * (scene.outline.depth > 0.08), int(rng.integers(14, 26)), (2.5, 10.0), 0.7)
    layers.melanin += np.float32(1.1) * openings * (1 + 0.2 * scene.grain(8))
