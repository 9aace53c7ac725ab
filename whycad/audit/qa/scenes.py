"""Simulated images of four looks: a lesion with streaks, of which the direction tells the label.

The genuine sign leaves size, brightness, colour and sharpness alone, so that nothing trivial tells
the label and whatever else does was planted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.audit.qa.plan import TaskName

SIDE = 64
# Share of images whose streaks go the way of their label: alone they give an AUC of about this.
SIGN_HOLDS = 0.8
STREAK_PERIOD_PX = 9.0
STREAK_CONTRAST = 0.14
WOBBLE_DEG = 15.0
# Amplitude of the blotches of each size, px.
BLOTCHES = {4: 0.05, 2: 0.05}

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scene:
    """One simulated image before artefacts.

    Attributes
    ----------
    pixels : ndarray of float32 (64, 64) or (64, 64, 3)
        0..1.
    lesion : ndarray of bool (64, 64)
    """

    pixels: FloatArray
    lesion: BoolArray


def draw_scene(task: TaskName, label: int, rng: np.random.Generator) -> Scene:
    """Draw one image.

    Parameters
    ----------
    task : str
    label : int
        0 (streaks mostly along rows) or 1 (mostly along columns).
    rng : Generator
    """
    weight, lesion = _lesion(rng)
    streaks = _streaks(label, rng) * weight
    match task:
        case "skin":
            pixels = _skin(weight, streaks, rng)
        case "oct":
            pixels = _oct(weight, streaks, rng)
        case "ct":
            pixels = _ct(weight, streaks, rng)
        case "mr":
            pixels = _mr(weight, streaks, rng)
    return Scene(np.clip(pixels, 0, 1).astype(np.float32), lesion)


def is_colour(task: TaskName) -> bool:
    """Tell whether a task's images are in colour."""
    return task == "skin"


def _lesion(rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    """Return a soft ellipse ``(64, 64)``, 0..1, and its outline filled."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    centre = SIDE / 2 + rng.uniform(-5, 5, 2)
    radii = rng.uniform(12, 18, 2)
    angle = rng.uniform(0, np.pi)
    u = (rows - centre[0]) * np.cos(angle) + (columns - centre[1]) * np.sin(angle)
    v = (columns - centre[1]) * np.cos(angle) - (rows - centre[0]) * np.sin(angle)
    distance = np.hypot(u / radii[0], v / radii[1])
    return np.asarray(1 / (1 + np.exp((distance - 1) * 12)), np.float32), np.asarray(distance <= 1)


def _streaks(label: int, rng: np.random.Generator) -> FloatArray:
    along = label if rng.random() < SIGN_HOLDS else 1 - label
    angle = np.deg2rad(90.0 * along + rng.normal(0, WOBBLE_DEG))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    phase = rng.uniform(0, 2 * np.pi)
    wave = np.sin(2 * np.pi / STREAK_PERIOD_PX * (rows * np.cos(angle) + columns * np.sin(angle)) + phase)
    return np.asarray(STREAK_CONTRAST * wave, np.float32)


def _blotches(rng: np.random.Generator) -> FloatArray:
    """Return uneven light, coarse and fine: what makes every image one of its own."""
    layers = [
        amplitude * ndimage.zoom(rng.standard_normal((SIDE // px, SIDE // px), np.float32), px, order=1)
        for px, amplitude in BLOTCHES.items()
    ]
    return np.asarray(sum(layers), np.float32)


def _skin(weight: FloatArray, streaks: FloatArray, rng: np.random.Generator) -> FloatArray:
    skin = np.array([0.85, 0.67, 0.58]) + rng.normal(0, 0.03, 3)
    lesion = np.array([0.52, 0.34, 0.26]) + rng.normal(0, 0.04, 3)
    colour = skin + weight[..., None] * (lesion - skin) + (streaks + _blotches(rng))[..., None]
    return np.asarray(colour + 0.03 * rng.standard_normal((SIDE, SIDE, 3), np.float32), np.float32)


def _oct(weight: FloatArray, streaks: FloatArray, rng: np.random.Generator) -> FloatArray:
    depth = np.arange(SIDE)[:, None] + 2 * np.sin(np.arange(SIDE) / 20 + rng.uniform(0, 6))[None]
    layers = 0.18 + 0.3 * np.exp(-(((depth - 14) / 4) ** 2)) + 0.35 * np.exp(-(((depth - 54) / 4) ** 2))
    clean = layers + weight * (0.34 - layers) + streaks + _blotches(rng)
    return np.asarray(clean * rng.gamma(16, 1 / 16, (SIDE, SIDE)), np.float32)


def _ct(weight: FloatArray, streaks: FloatArray, rng: np.random.Generator) -> FloatArray:
    vessels = 1.5 * _blotches(rng)
    return np.asarray(0.2 + vessels + 0.35 * weight + streaks + rng.normal(0, 0.03, (SIDE, SIDE)), np.float32)


def _mr(weight: FloatArray, streaks: FloatArray, rng: np.random.Generator) -> FloatArray:
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    slope = rng.normal(0, 0.08, 2)
    field = 1 + slope[0] * rows + slope[1] * columns
    return np.asarray(
        (0.55 - 0.15 * weight + streaks + _blotches(rng)) * field + rng.normal(0, 0.035, (SIDE, SIDE)), np.float32
    )
