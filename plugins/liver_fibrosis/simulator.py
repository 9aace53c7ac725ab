"""A simulated hepatobiliary-phase slice with a known stage; numpy and scipy only, seeded.

Nothing here comes from a picture of a patient. Signs of fibrosis follow the stage by
`plugins.liver_fibrosis.effects`; body, slice and acquisition do not depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugins.liver_fibrosis.effects import STAGES, draw_signs
from plugins.liver_fibrosis.simulator_anatomy import SIDE, Anatomy, Habitus, build_anatomy, draw_habitus, mask_of
from plugins.liver_fibrosis.simulator_fields import FloatArray, band_noise, coverage
from plugins.liver_fibrosis.simulator_scanner import Acquisition, ScannerSpec, acquire, draw_acquisition, find_scanner
from whycad.errors import DatasetError

__all__ = ["SIDE", "STAGES", "SimulatedSlice", "simulate"]

RETICULE_MM = 11.0
LINE_WIDTH = 0.45
PATCHINESS = 0.03
ORGANS = ("liver", "spleen")


@dataclass(frozen=True, eq=False)
class SimulatedSlice:
    """One simulated image and everything that is true of it.

    Attributes
    ----------
    image : ndarray of uint8 (160, 160)
    masks : mapping of str to ndarray of bool (160, 160)
        ``liver`` (vessels included), ``spleen`` and ``body``.
    stage : int
        0..4.
    scanner : str
    pixel_mm : float
    latents : mapping of str to float
        Signs as drawn, signs as they came out, patient and acquisition.
    """

    image: NDArray[np.uint8]
    masks: Mapping[str, NDArray[np.bool_]]
    stage: int
    scanner: str
    pixel_mm: float
    latents: Mapping[str, float]


def simulate(seed: int | tuple[int, ...], stage: int, scanner: str = "A") -> SimulatedSlice:
    """Simulate one slice; the same arguments give the same bytes.

    Parameters
    ----------
    seed : int or tuple of int
        0 or more.
    stage : int
        0..4, for F0..F4.
    scanner : str
        A key of ``SCANNERS``, or of ``POPULATIONS`` for a scanner of the case's own.

    Raises
    ------
    DatasetError
        When stage or scanner do not exist.
    """
    if not 0 <= stage < len(STAGES):
        raise DatasetError("there is no fibrosis stage of that number", remedy="0 to 4, for F0 to F4")
    sign_rng, body_rng, shape_rng, paint_rng, scan_rng, _ = _streams(seed)
    spec = scanner_of(seed, scanner)
    signs = draw_signs(sign_rng, stage)
    habitus = draw_habitus(body_rng)
    anatomy = build_anatomy(shape_rng, habitus, signs)
    acquisition = draw_acquisition(scan_rng, spec)
    signal = paint(paint_rng, anatomy, signs, acquisition)
    masks = {name: mask_of(anatomy.outlines[name]) for name in ("body", *ORGANS)}
    return SimulatedSlice(
        image=acquire(scan_rng, signal, anatomy.grid, acquisition),
        masks=masks,
        stage=stage,
        scanner=spec.name,
        pixel_mm=anatomy.grid.pixel_mm,
        latents={**signs, **_realised(signal, anatomy, masks), **_circumstances(habitus, acquisition)},
    )


def scanner_of(seed: int | tuple[int, ...], scanner: str) -> ScannerSpec:
    """Return the scanner that `simulate` uses: the named one, or the case's own from a population."""
    return find_scanner(scanner, _streams(seed)[-1])


def _streams(seed: int | tuple[int, ...]) -> list[np.random.Generator]:
    """Return independent streams: what one part draws leaves the others as they were."""
    return np.random.default_rng(seed).spawn(6)


def paint(
    rng: np.random.Generator, anatomy: Anatomy, signs: Mapping[str, float], acquisition: Acquisition
) -> FloatArray:
    """Fill the outlines with signal ``(H, W)``, in units of the spleen's."""
    grid, outlines = anatomy.grid, anatomy.outlines
    signal = np.zeros(grid.x.shape, np.float32)

    def fill(name: str, value: float | FloatArray) -> None:
        inside = coverage(outlines[name], grid.pixel_mm)
        signal[...] = signal * (1 - inside) + inside * np.asarray(value, np.float32)

    fat = acquisition.signal("fat")
    fill("body", fat)
    fill("wall", acquisition.signal("muscle") * _ribs(rng, anatomy))
    fill("cavity", fat * (1 + 0.25 * band_noise(rng, grid, 30.0, 0.5)))
    for organ, tissue in (
        ("back_muscles", "muscle"),
        ("spine", "bone"),
        ("canal", "fluid"),
        ("stomach", "stomach"),
        ("left_kidney", "kidney"),
        ("right_kidney", "kidney"),
    ):
        fill(organ, acquisition.signal(tissue))
    patches = band_noise(rng, grid, 60.0, 0.4)
    fill("spleen", 1 + PATCHINESS / 2 * patches)
    liver = signs["liver_to_spleen"] * _parenchyma(rng, anatomy, signs["reticulation"]) * (1 + PATCHINESS * patches)
    fill("liver", liver)
    fill("fissure", fat)
    inside_liver = np.maximum(outlines["vessels"], outlines["liver"] + np.float32(1.5))
    vessels = coverage(inside_liver, grid.pixel_mm)
    signal = signal * (1 - vessels) + vessels * np.float32(acquisition.signal("blood"))
    fill("vena_cava", acquisition.signal("blood"))
    fill("aorta", acquisition.signal("blood"))
    return signal


def _ribs(rng: np.random.Generator, anatomy: Anatomy) -> FloatArray:
    """Return the brightness of the wall ``(H, W)``: darker where a rib is cut."""
    angle = np.arctan2(anatomy.grid.y * np.float32(1.4), anatomy.grid.x)
    cut = np.cos(np.float32(rng.integers(10, 15)) * angle + np.float32(rng.uniform(0, 6.3))) > 0.55
    return np.asarray(np.where(cut, 0.55, 1.0), np.float32)


def _parenchyma(rng: np.random.Generator, anatomy: Anatomy, amplitude: float) -> FloatArray:
    """Return the liver's relative signal ``(H, W)``: dark lines around paler cells, mean 1."""
    lines = np.exp(-((band_noise(rng, anatomy.grid, RETICULE_MM) / np.float32(LINE_WIDTH)) ** 2))
    lines = (lines - lines.mean()) / lines.std()
    return np.asarray(1 - np.float32(amplitude) * lines, np.float32)


def _realised(signal: FloatArray, anatomy: Anatomy, masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Return what the drawn signs became, before coil, noise and blur."""
    body = float(masks["body"].sum())
    away = np.minimum(anatomy.outlines["vessels"], anatomy.outlines["fissure"]) > 2.5
    solid = _depth(anatomy.outlines["liver"]) * away
    mean = float(np.average(signal, weights=solid))
    spleen = float(np.average(signal, weights=_depth(anatomy.outlines["spleen"])))
    spread = float(np.sqrt(np.average((signal - mean) ** 2, weights=solid)))
    right, left = (mask_of(anatomy.outlines[name]) & masks["liver"] for name in ("right", "left"))
    caudate = mask_of(anatomy.outlines["caudate"]) & masks["liver"]
    return {
        "realised_liver_to_spleen": mean / spleen,
        "realised_reticulation": spread / mean,
        "realised_caudate_ratio": anatomy.widths_mm["caudate"] / anatomy.widths_mm["right"],
        "realised_liver_area": float(masks["liver"].sum()) / body,
        "realised_right_area": float(right.sum()) / body,
        "realised_left_area": float(left.sum()) / body,
        "realised_caudate_area": float(caudate.sum()) / body,
        "realised_spleen_area": float(masks["spleen"].sum()) / body,
    }


def _depth(distance: FloatArray) -> FloatArray:
    """Return how far inside an outline each pixel lies, in mm, 0 outside: the weight of clear pixels."""
    return np.asarray(np.clip(-distance - np.float32(1.5), 0, 6) + np.where(distance < 0, 1e-3, 0), np.float32)


def _circumstances(habitus: Habitus, acquisition: Acquisition) -> dict[str, float]:
    return {
        "half_width_mm": habitus.half_width_mm,
        "depth_share": habitus.depth_share,
        "fat_mm": habitus.fat_mm,
        "level": habitus.level,
        "margin": habitus.margin,
        "field_tesla": acquisition.scanner.field_tesla,
        "noise": acquisition.noise,
        "bias": acquisition.bias,
        "breathing_mm": acquisition.breathing_mm,
    }
