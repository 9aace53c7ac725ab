"""Studies that a plugin's manifest admits, made to probe its preprocessing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.manifest import InputSpec, Manifest
from whycad.types import FloatArray, Region, Study

MAX_SIDE = 192


def probe_shapes(spec: InputSpec) -> tuple[tuple[int, ...], ...]:
    """Return three source shapes: the model's own, a larger odd one and the smallest allowed."""
    least = spec.min_size_px
    own = tuple(max(side, least) for side in spec.shape)
    larger = tuple(max(min(2 * side + 1, MAX_SIDE), least + 1) for side in spec.shape)
    return own, larger, tuple(least + axis for axis in range(len(spec.shape)))


def textured_study(manifest: Manifest, shape: Sequence[int], seed: int = 0) -> Study:
    """Return a smooth random image over the middle of the task's value range."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(0, 1, side) for side in shape), indexing="ij")
    channels = 3 if manifest.input.colour else 1
    waves = np.zeros((*shape, channels))
    for channel in range(channels):
        for _ in range(4):
            turns, phase = rng.uniform(-4, 4, len(axes)), rng.uniform(0, 2 * np.pi)
            waves[..., channel] += np.sin(2 * np.pi * sum(t * a for t, a in zip(turns, axes, strict=True)) + phase)
    return study_of(manifest, 0.5 + 0.08 * waves + rng.normal(0, 0.01, waves.shape))


def spot_pair(manifest: Manifest, shape: Sequence[int], centre: NDArray[np.float64]) -> tuple[Study, Study]:
    """Return a study and the same with a bright round spot at ``centre`` (source pixels)."""
    plain = textured_study(manifest, shape).pixels
    grid = np.meshgrid(*(np.arange(side) for side in shape), indexing="ij")
    sigma = spot_sigma(shape)
    distance2 = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
    spot = np.asarray(np.exp(-distance2 / (2 * sigma**2)))
    low, high = manifest.input.value_range
    if manifest.input.colour:
        spot = spot[..., None]
    marked = plain + (0.45 * (high - low) * spot).astype(np.float32)
    return _wrap(manifest, plain), _wrap(manifest, np.clip(marked, low, high))


def spot_sigma(shape: Sequence[int]) -> float:
    """Return the width of the spot in ``spot_pair``, in source pixels."""
    return max(1.5, min(shape) / 24)


def region_for(manifest: Manifest, shape: Sequence[int]) -> Region | None:
    """Return a box around the middle where the task needs a region, and in a volume that is read at once."""
    if not manifest.input.needs_region and not (len(shape) == len(manifest.input.shape) == 3):
        return None
    return Region(tuple(side * 0.25 for side in shape), tuple(side * 0.75 for side in shape))


def study_of(manifest: Manifest, unit_values: NDArray[np.float64]) -> Study:
    """Scale values in 0..1, ``(*shape, channels)``, to the task's value range."""
    low, high = manifest.input.value_range
    values = low + np.clip(unit_values, 0, 1) * (high - low)
    pixels = values if manifest.input.colour else values[..., 0]
    return _wrap(manifest, np.ascontiguousarray(pixels, dtype=np.float32))


def _wrap(manifest: Manifest, pixels: FloatArray) -> Study:
    spec = manifest.input
    modality = spec.modalities[0]
    unit = "rgb" if spec.colour else "HU" if modality == "CT" else "normalised"
    d = pixels.ndim - int(spec.colour)
    known = spec.spacing_mm if spec.spacing_mm is not None else ()
    return Study(
        pixels=np.ascontiguousarray(pixels, dtype=np.float32),
        modality=modality,
        sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
        unit=unit,
        spacing_mm=((1.0,) * d + tuple(known))[-d:],
        simulated=True,
    )
