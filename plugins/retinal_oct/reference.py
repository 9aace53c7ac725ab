"""Reference ranges of the measurements, from the normal training scans."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from plugins.retinal_oct.data import ScanTable
from plugins.retinal_oct.evidence import FLUID_THRESHOLD, fluid_on_model_grid, fluid_share, measure_rows
from plugins.retinal_oct.layers import find_borders
from plugins.retinal_oct.model import MEAN, STD
from whycad.inference import Ensemble

MIDDLE = (2.5, 97.5)
BATCH = 32


def reference_ranges(table: ScanTable, ensemble: Ensemble) -> dict[str, tuple[float, float]]:
    """Return the middle 95 % of each measurement over the normal scans of a table.

    Lengths are in rows of the model's grid, areas in per cent.
    """
    images = table.images[table.labels == 1].astype(np.float32)
    found: dict[str, list[float]] = {}
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        outputs = ensemble.evidence(torch.from_numpy(((part - MEAN) / STD)[:, None]))
        mean = {name: array.mean(axis=0) for name, array in outputs.items()}
        for index, image in enumerate(part):
            borders = find_borders(image, np.ones(image.shape, bool))
            fluid = fluid_on_model_grid({"fluid": mean["fluid"][index]}) >= FLUID_THRESHOLD
            values = vars(measure_rows(borders)) | {
                "fluid": fluid_share(fluid, borders),
                "unusual": 100.0 * float((mean["unusual"][index] >= 0.5).mean()),
            }
            for name, value in values.items():
                found.setdefault(name, []).append(float(value))
    return {name: _middle(values) for name, values in found.items()}


def _middle(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, MIDDLE)
    return round(float(low), 3), round(float(high), 3)


def write_reference(table: ScanTable, ensemble: Ensemble, fluid: dict[str, float], path: Path) -> None:
    """Write the ranges, and how well fluid is drawn on patients left out, as JSON."""
    ranges = reference_ranges(table, ensemble)
    n = int((table.labels == 1).sum())
    content = {"n_normal": n, "ranges": ranges, "fluid_left_out": fluid}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
