"""Painters of the lesions that are not mainly pigment: keratinocyte, vascular, fibrous."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from plugins.skin_lesion.phantom_scene import Scene, network, pigment
from plugins.skin_lesion.phantom_texture import (
    blobs,
    draw_strokes,
    smoothstep,
    vessel_tree,
)
from whycad.types import FloatArray


def _arborising_vessels(scene: Scene) -> FloatArray:
    """Sharp branching vessels that run from the border inwards; coverage 0..1."""
    strokes = []
    for _ in range(int(scene.rng.integers(3, 6))):
        start = scene.point(-0.02, 0.2)
        inward = np.asarray(scene.outline.centre) - start
        heading = float(np.arctan2(inward[0], inward[1])) + scene.rng.normal(0, 0.5)
        length = scene.outline.radius * scene.rng.uniform(0.5, 0.9)
        strokes += vessel_tree(scene.rng, start, heading, length, scene.rng.uniform(2.6, 4.2) * scene.scale, depth=2)
    lines = ndimage.gaussian_filter(draw_strokes(scene.shape, strokes), 0.5 * scene.scale)
    return np.asarray(lines * smoothstep(scene.outline.depth, -0.2, 0.02), np.float32)


def _leaf(scene: Scene) -> FloatArray:
    """Finger-like lobes that spread from one base near the border, 0..1."""
    base = scene.point(0.08, 0.35)
    outward = base - np.asarray(scene.outline.centre)
    heading = np.arctan2(outward[0], outward[1])
    centres, radii = [base], [scene.rng.uniform(6, 9)]
    for turn in np.linspace(-1.0, 1.0, int(scene.rng.integers(3, 6))):
        angle = heading + turn + scene.rng.normal(0, 0.15)
        for step in (1.0, 1.9, 2.7):
            reach = 9 * step * scene.scale
            centres.append(base + reach * np.array([np.sin(angle), np.cos(angle)]))
            radii.append(scene.rng.uniform(4.5, 7.5))
    return blobs(scene.shape, np.asarray(centres), np.asarray(radii) * scene.scale, softness=0.45)


def paint_basal_cell(scene: Scene) -> None:
    """Pink translucent plaque, arborising vessels, leaf-like areas and blue-grey nests."""
    layers, cover, rng = scene.layers, scene.cover, scene.rng
    layers.blood += np.float32(rng.uniform(0.14, 0.22)) * cover * np.maximum(1 + 0.4 * scene.patches(0.4), 0)
    layers.white = np.maximum(layers.white, 0.3 * cover * smoothstep(scene.patches(0.6), -0.8, 1.5))
    layers.melanin += pigment(scene, 0.1, 0.2)
    nests = 0 if scene.pattern == "nodular" else int(rng.integers(9, 16))
    crowd = cover * (scene.outline.depth > 0.05) * smoothstep(scene.patches(0.5), -0.2, 1.0)
    at = scene.spots(crowd, 2 * nests, (4, 17), 0.8)
    at = at * smoothstep(scene.grain(10), -1.6, 0.6)
    layers.deep = np.maximum(layers.deep, 0.75 * at)
    layers.melanin += np.float32(0.4) * at
    leaves = [_leaf(scene) for _ in range(1 if scene.pattern == "nodular" else int(rng.integers(3, 6)))]
    leaf = np.max(leaves, axis=0) * (scene.outline.depth > -0.05)
    leaf = ndimage.gaussian_filter(leaf, 1.5 * scene.scale) * smoothstep(scene.grain(8), -2.2, 0.4)
    layers.melanin += 0.75 * leaf
    layers.deep = np.maximum(layers.deep, 0.4 * leaf)
    layers.blood += np.float32(0.75) * _arborising_vessels(scene)
    sore = scene.patch(scene.point(0.2, 0.8), 0.16, ragged=0.2) * smoothstep(scene.grain(9), -1.5, 0.8)
    layers.blood += np.float32(0.6) * ndimage.gaussian_filter(sore, 1.5 * scene.scale)
    layers.melanin += np.float32(0.25) * sore


def paint_dermatofibroma(scene: Scene) -> None:
    """White scar in the centre, a delicate network around it, everything fading into the skin."""
    layers, cover, rng = scene.layers, scene.cover, scene.rng
    depth = scene.outline.depth
    rim = cover * (1 - 0.75 * smoothstep(depth, 0.3, 0.65))
    layers.melanin += pigment(scene, rng.uniform(0.16, 0.24), 0.15) * (0.4 + rim)
    layers.melanin += np.float32(0.4 * scene.network) * network(scene, 13, thick=0.16) * rim
    layers.blood += np.float32(rng.uniform(0.14, 0.22)) * cover * (1 + 0.3 * scene.patches(0.5))
    ragged = 0.16 * scene.patches(0.35) + 0.08 * scene.patches(0.12)
    scar = smoothstep(np.asarray(depth + ragged, np.float32), 0.2, 0.95)
    tissue = scene.cells(17, jitter=0.3, warp=0.7)
    streaks = 0.6 + 0.4 * np.exp(-((tissue.wall / 0.3) ** 2)) * smoothstep(scene.grain(20), -1.5, 0.5)
    layers.white = np.maximum(layers.white, 0.8 * scar * ndimage.gaussian_filter(streaks, scene.scale))
    layers.melanin *= 1 - 0.7 * scar
    layers.blood *= 1 - 0.45 * scar


def paint_actinic(scene: Scene) -> None:
    """Strawberry pattern: red pseudo-network around pale follicles; scale, some brown when pigmented."""
    layers, cover, rng = scene.layers, scene.cover, scene.rng
    redness = np.maximum(1 + 0.35 * scene.patches(0.35) + 0.15 * scene.grain(), 0.2)
    layers.blood += np.float32(rng.uniform(0.17, 0.23)) * cover * redness
    tissue = scene.cells(rng.uniform(19, 24), jitter=0.24, warp=0.3)
    size = 0.6 + 0.5 * tissue.value
    follicle = (1 - smoothstep(tissue.centre / size, 0.05, 0.42)) * cover * (tissue.value > 0.3)
    follicle = follicle * smoothstep(scene.patches(0.4), -1.3, 0.8)
    layers.blood += np.float32(0.14) * cover * smoothstep(tissue.centre, 0.2, 0.5)
    layers.blood *= 1 - 0.5 * follicle
    layers.keratin = np.maximum(layers.keratin, 0.3 * follicle)
    brown = 0.3 if scene.pattern == "pigmented" else 0.1
    layers.melanin += pigment(scene, brown, 0.25) * smoothstep(scene.patches(0.4), -0.9, 1.1) * 1.5
    at = scene.patch(scene.point(0.2, 0.8), rng.uniform(0.3, 0.5), 0.5)
    flakes = smoothstep(scene.grain(16), 0.1, 1.7) * at * smoothstep(scene.grain(5), -1.6, 0.8)
    layers.keratin = np.maximum(layers.keratin, 0.8 * flakes)


def paint_vascular(scene: Scene) -> None:
    """Red lacunae with pale septa (cherry angioma), or dark clotted ones under a veil (angiokeratoma)."""
    layers, cover, rng = scene.layers, scene.cover, scene.rng
    tissue = scene.cells(rng.uniform(26, 36), jitter=0.22, warp=0.45)
    ragged = tissue.wall + 0.06 * scene.grain(12)
    lacuna = ndimage.gaussian_filter(smoothstep(ragged, -0.05, 0.55), 1.6 * scene.scale)
    lacuna = 1 - (1 - lacuna) * smoothstep(scene.patches(0.4), -1.3, 0.7)
    fill = 0.7 + 0.6 * ndimage.gaussian_filter(tissue.value, 4 * scene.scale)
    if scene.pattern == "angiokeratoma":
        layers.blood += cover * (0.7 + 0.5 * lacuna * fill)
        dark = lacuna * smoothstep(fill + 0.3 * scene.patches(0.4), 0.7, 1.2)
        layers.clot = np.maximum(layers.clot, 0.8 * cover * dark)
        layers.deep = np.maximum(layers.deep, cover * (0.35 + 0.3 * smoothstep(scene.patches(0.5), 0, 1.5)))
    else:
        layers.blood += (
            np.float32(rng.uniform(0.62, 0.85))
            * cover
            * (0.66 + 0.5 * lacuna * fill)
            * np.clip(1 + 0.12 * scene.grain(10), 0, 2)
        )
        layers.melanin += np.float32(0.06) * cover * (1 + 0.4 * scene.patches(0.5))
        layers.white = np.maximum(layers.white, 0.22 * cover * (1 - lacuna))
    halo = smoothstep(scene.outline.depth, -0.5, 0.0) * (1 - cover)
    layers.blood += np.float32(0.06) * halo
