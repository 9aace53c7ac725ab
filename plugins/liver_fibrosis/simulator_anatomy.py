"""The body of the simulator: outlines of an axial slice through the upper abdomen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugins.liver_fibrosis.simulator_fields import (
    FloatArray,
    Grid,
    band_noise,
    ellipse,
    make_grid,
    tubes,
    union,
)

SIDE = 160
NODULE_MM = 15.0
WALL_MM = 9.0
VENA_CAVA = (-23.0, 15.0)


@dataclass(frozen=True)
class Habitus:
    """The patient and the slice, apart from the liver's signs.

    Attributes
    ----------
    half_width_mm : float
        Of the body, fat included.
    depth_share : float
        Front-to-back over side-to-side.
    fat_mm : float
        Under the skin.
    level : float
        Height of the slice: 0 at the dome, 1 at the lower edge of the liver.
    turn_deg : float
    shift_mm : tuple of float
    margin : float
        Field of view over body width.
    """

    half_width_mm: float
    depth_share: float
    fat_mm: float
    level: float
    turn_deg: float
    shift_mm: tuple[float, float]
    margin: float

    @property
    def half_depth_mm(self) -> float:
        """Half the body's front-to-back extent."""
        return self.half_width_mm * self.depth_share


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Signed distances in mm ``(H, W)``, negative inside, of everything that is painted.

    Attributes
    ----------
    grid : Grid
    outlines : mapping of str to ndarray
    widths_mm : mapping of str to float
        Widths of the lobes as they came out.
    """

    grid: Grid
    outlines: Mapping[str, FloatArray]
    widths_mm: Mapping[str, float]


def draw_habitus(rng: np.random.Generator) -> Habitus:
    """Draw a patient and a slice; nothing here depends on the stage."""
    return Habitus(
        half_width_mm=float(np.clip(rng.normal(168, 13), 138, 205)),
        depth_share=float(np.clip(rng.normal(0.68, 0.04), 0.58, 0.8)),
        fat_mm=float(rng.uniform(7, 28)),
        level=float(rng.uniform(0, 1)),
        turn_deg=float(np.clip(rng.normal(0, 2.5), -7, 7)),
        shift_mm=(float(rng.normal(0, 5)), float(rng.normal(0, 5))),
        margin=float(rng.uniform(1.1, 1.3)),
    )


def build_anatomy(rng: np.random.Generator, habitus: Habitus, signs: Mapping[str, float]) -> Anatomy:
    """Outline every organ of one slice.

    Parameters
    ----------
    rng : numpy.random.Generator
    habitus : Habitus
    signs : mapping of str to float
        As `plugins.liver_fibrosis.effects.draw_signs` gives them.
    """
    side_mm = 2 * habitus.half_width_mm * habitus.margin
    grid = make_grid(SIDE, side_mm / SIDE, habitus.shift_mm, habitus.turn_deg)
    body = ellipse(grid, (0, 0), (habitus.half_width_mm, habitus.half_depth_mm), power=2.35)
    body = body + np.float32(2.5) * band_noise(rng, grid, 180.0, 0.3)
    wall = body + np.float32(habitus.fat_mm)
    cavity = wall + np.float32(WALL_MM)
    lobes, widths = _lobes(rng, grid, habitus, signs)
    liver = union([lobes["right"], lobes["middle"], lobes["left"], lobes["caudate"]], 5.0)
    liver = np.maximum(liver, cavity + np.float32(4.0))
    nodules = np.float32(signs["nodularity_mm"]) * band_noise(rng, grid, NODULE_MM)
    outlines = {
        "body": body,
        "wall": wall,
        "cavity": cavity,
        "liver": liver + nodules,
        "fissure": _fissure(grid, lobes["caudate"], habitus),
        "vessels": _vessels(rng, grid, habitus, signs["vein_scale"]),
        **{name: lobes[name] for name in ("right", "left", "caudate")},
        **_other_organs(rng, grid, habitus, signs, cavity),
    }
    return Anatomy(grid, outlines, widths)


def _lobes(
    rng: np.random.Generator, grid: Grid, habitus: Habitus, signs: Mapping[str, float]
) -> tuple[dict[str, FloatArray], dict[str, float]]:
    """Place the lobes: the right one shrinks towards the wall, left and caudate grow to the left."""
    a, b = habitus.half_width_mm - habitus.fat_mm - WALL_MM, habitus.half_depth_mm - habitus.fat_mm - WALL_MM
    lower = 0.22 * habitus.level
    own = 1 + rng.normal(0, 0.03, 3)
    rx, ry = 0.47 * a * signs["right_scale"] * own[0], (0.76 - lower / 2) * b * signs["right_scale"]
    right_x = -0.97 * a + rx
    lx = 0.5 * a * signs["left_scale"] * own[1] * (1 - lower)
    ly = 0.32 * b * signs["left_scale"]
    right_width = 2 * rx * 0.78
    caudate = signs["caudate_ratio"] * right_width
    cx, cy = -27.0 + caudate / 2, -0.06 * b * own[2]
    shapes = {
        "right": ellipse(grid, (right_x, -0.02 * b), (rx, ry), -8, 2.3),
        "middle": ellipse(grid, (right_x + 0.75 * rx, -0.42 * b), (0.32 * a, 0.34 * b), 10),
        "left": ellipse(grid, (-0.38 * a + lx, -0.56 * b), (lx, ly), 9, 2.1),
        "caudate": ellipse(grid, (cx, cy), (caudate / 2, 11.0 + 0.22 * caudate), 6, 2.2),
    }
    widths = {"right": float(right_width), "caudate": float(caudate), "left": float(2 * lx)}
    return shapes, widths


def _fissure(grid: Grid, caudate: FloatArray, habitus: Habitus) -> FloatArray:
    """Outline the fat between caudate and left lobe: a thin band along the caudate's front."""
    band = np.abs(caudate - np.float32(2.0)) - np.float32(1.6)
    behind = grid.y + np.float32(0.1 * habitus.half_depth_mm)
    return np.asarray(np.maximum(band, behind), np.float32)


def _vessels(rng: np.random.Generator, grid: Grid, habitus: Habitus, scale: float) -> FloatArray:
    """Outline hepatic veins, portal branches and small vessels that cross the slice."""
    a, b = habitus.half_width_mm, habitus.half_depth_mm
    start = np.array(VENA_CAVA)
    veins = []
    for angle, length in ((-172, 0.5), (-140, 0.5), (-105, 0.45)):
        turn = np.deg2rad(angle + rng.normal(0, 8))
        reach = a * length * (1 - 0.5 * habitus.level) * float(rng.uniform(0.8, 1.1))
        middle = start + 0.55 * reach * np.array([np.cos(turn), np.sin(turn)]) + rng.normal(0, 3, 2)
        end = start + reach * np.array([np.cos(turn), np.sin(turn)])
        veins += [(start, middle, 5.0, 3.6), (middle, end, 3.6, 1.6)]
    gate = np.array([-0.14 * a, -0.16 * b]) + rng.normal(0, 4, 2)
    calibre = 3.5 + 2.5 * habitus.level
    portal = [(gate, gate + np.array([-0.3 * a, 0.02 * b]) + rng.normal(0, 6, 2), calibre, 2.4)]
    portal += [(gate, gate + np.array([0.12 * a, -0.2 * b]) + rng.normal(0, 4, 2), calibre, 1.8)]
    spots = np.stack([rng.uniform(-0.85, -0.15, 12) * a, rng.uniform(-0.55, 0.45, 12) * b], axis=1)
    dots = [(spot, spot + rng.normal(0, 5, 2), r, r) for spot, r in zip(spots, rng.uniform(1.0, 2.4, 12), strict=True)]
    segments = np.array([[*p, *q] for p, q, _, _ in (*veins, *portal, *dots)], np.float32)
    radii = np.array([[r, s] for _, _, r, s in (*veins, *portal, *dots)], np.float32)
    radii[: len(veins)] *= np.float32(scale)
    return tubes(grid, segments, radii)


def _other_organs(
    rng: np.random.Generator, grid: Grid, habitus: Habitus, signs: Mapping[str, float], cavity: FloatArray
) -> dict[str, FloatArray]:
    a, b = habitus.half_width_mm - habitus.fat_mm, habitus.half_depth_mm - habitus.fat_mm
    move = rng.normal(0, 3.5, (8, 2))
    back = (float(move[0, 0]) / 2, 0.5 * b)
    scale = float(np.exp(signs["spleen_log_area"] / 2))
    sx, sy = 0.21 * a * scale, 0.38 * b * scale
    hollow = ellipse(grid, (0.60 * a - sx, 0.16 * b), (0.62 * sx, 0.8 * sy))
    spleen = ellipse(grid, (0.86 * a - sx + 4, 0.2 * b), (sx, sy), 14, 2.2)
    spleen = np.maximum(np.maximum(spleen, -hollow), cavity + np.float32(3.0))
    kidney = (20.0 * float(rng.uniform(0.9, 1.1)), 26.0 * float(rng.uniform(0.9, 1.1)))
    # Kidneys enter the slice from below: their radius grows from nothing with the level.
    left, right = np.clip([(habitus.level - 0.25) / 0.3, (habitus.level - 0.5) / 0.3], 0.05, 1)
    stomach = ellipse(grid, (0.4 * a + move[3, 0], -0.3 * b + move[3, 1]), (0.24 * a, 0.3 * b), 20, 2.2)
    return {
        "spleen": spleen,
        "stomach": np.maximum(stomach, cavity + np.float32(4.0)),
        "left_kidney": ellipse(grid, (0.36 * a + move[1, 0], 0.42 * b), (kidney[0] * left, kidney[1] * left), -15),
        "right_kidney": ellipse(grid, (-0.36 * a + move[2, 0], 0.45 * b), (kidney[0] * right, kidney[1] * right), 15),
        "spine": ellipse(grid, back, (22.0, 18.0), 0, 2.4),
        "canal": ellipse(grid, (back[0], back[1] + 26.0), (9.0, 7.5)),
        "back_muscles": union([ellipse(grid, (s * 33.0, back[1] + 26.0), (25.0, 17.0), s * 12) for s in (-1, 1)], 3.0),
        "aorta": ellipse(grid, (13.0 + float(move[4, 0]) / 2, back[1] - 28.0), (10.0, 10.0)),
        "vena_cava": ellipse(grid, VENA_CAVA, (12.0, 9.5)),
    }


def mask_of(distance: FloatArray) -> NDArray[np.bool_]:
    """Return where a signed distance is negative ``(H, W)``."""
    return np.asarray(distance < 0)
