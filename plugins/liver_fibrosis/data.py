"""Training cases as arrays: simulated ones with organs and signs, real ones with the stage alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugins.liver_fibrosis.effects import EFFECTS, SIGN_NAMES, sign_levels
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.model import ORGANS
from plugins.liver_fibrosis.preprocess import INPUT_SHAPE, body_geometry, normalise
from plugins.liver_fibrosis.simulator import SimulatedSlice
from whycad.imaging.geometry import sample_to_model
from whycad.types import Study

ORGAN_STEP = 4
ORGAN_SHAPE = (INPUT_SHAPE[0] // ORGAN_STEP, INPUT_SHAPE[1] // ORGAN_STEP)


@dataclass(frozen=True)
class SliceTable:
    """Preprocessed cases.

    Attributes
    ----------
    inputs : ndarray of float16 (n, 112, 144)
    labels : ndarray of int64 (n,)
        Stage, 0..4.
    organs : ndarray of uint8 (n, 2, 28, 36)
        Share of liver and spleen in each cell, 0..255.
    levels : ndarray of int64 (n, 8)
        Grade of each sign, 0..2.
    values : ndarray of float32 (n, 8)
        Signs, standardised.
    known : ndarray of bool (n,)
        Whether organs and signs are known, as they are of simulated cases alone.
    """

    inputs: NDArray[np.float16]
    labels: NDArray[np.int64]
    organs: NDArray[np.uint8]
    levels: NDArray[np.int64]
    values: NDArray[np.float32]
    known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)


def stage_only_table(inputs: NDArray[np.float16], labels: NDArray[np.int64]) -> SliceTable:
    """Return a table of cases of which nothing but the stage is known."""
    n, n_signs = len(labels), len(SIGN_NAMES)
    return SliceTable(
        inputs=inputs,
        labels=labels,
        organs=np.zeros((n, len(ORGANS), *ORGAN_SHAPE), np.uint8),
        levels=np.zeros((n, n_signs), np.int64),
        values=np.zeros((n, n_signs), np.float32),
        known=np.zeros(n, bool),
    )


def standardised(signs: NDArray[np.float64]) -> NDArray[np.float32]:
    """Bring signs ``(n, 8)`` to mean 0 and deviation 1 at the middle stage."""
    centre = np.array([effect.means[2] for effect in EFFECTS])
    spread = np.array([effect.deviation for effect in EFFECTS])
    return np.asarray((signs - centre) / spread, np.float32)


def organ_shares(item: SimulatedSlice) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """Return one case's input ``(112, 144)`` and how much liver and spleen each cell holds ``(2, 28, 36)``."""
    pixels = slice_pixels(item)
    geometry = body_geometry(pixels)
    inputs = normalise(sample_to_model(pixels, geometry))[0].astype(np.float16)
    masks = np.stack([item.masks[organ] for organ in ORGANS], axis=-1).astype(np.float32)
    fine = sample_to_model(masks, geometry)
    coarse = fine.reshape(len(ORGANS), ORGAN_SHAPE[0], ORGAN_STEP, ORGAN_SHAPE[1], ORGAN_STEP).mean(axis=(2, 4))
    return inputs, np.rint(255 * coarse).astype(np.uint8)


def slice_pixels(item: SimulatedSlice) -> NDArray[np.float32]:
    """Return a simulated image as float32 in 0..1 ``(160, 160)``."""
    return np.asarray(item.image.astype(np.float32) / np.float32(255))


def slice_study(item: SimulatedSlice) -> Study:
    """Return a simulated slice as a Study of modality MR that says so."""
    return Study(
        pixels=slice_pixels(item),
        modality="MR",
        sha256=hashlib.sha256(item.image.tobytes()).hexdigest(),
        spacing_mm=(item.pixel_mm, item.pixel_mm),
        metadata={"scanner": item.scanner},
        simulated=True,
    )


def slices_of(order: PackOrder) -> Iterator[SimulatedSlice]:
    """Yield the slices of an order, one at a time."""
    for index in range(order.n):
        yield order.slice(index)


def simulated_table(order: PackOrder) -> SliceTable:
    """Simulate and preprocess the cases of an order."""
    inputs = np.empty((order.n, *INPUT_SHAPE), np.float16)
    organs = np.empty((order.n, len(ORGANS), *ORGAN_SHAPE), np.uint8)
    labels, signs = np.empty(order.n, np.int64), np.empty((order.n, len(SIGN_NAMES)))
    for index, item in enumerate(slices_of(order)):
        inputs[index], organs[index] = organ_shares(item)
        labels[index] = item.stage
        signs[index] = [item.latents[name] for name in SIGN_NAMES]
    return SliceTable(inputs, labels, organs, sign_levels(signs), standardised(signs), np.ones(order.n, bool))


def stored_table(order: PackOrder, path: Path) -> SliceTable:
    """Return the table of an order, from ``path`` where it was stored before."""
    names = [field.name for field in fields(SliceTable)]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        table = simulated_table(order)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.savez(stream, **{name: getattr(table, name) for name in names})
        partial.replace(path)
    with np.load(path) as stored:
        return SliceTable(*(stored[name] for name in names))
