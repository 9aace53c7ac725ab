"""What is measured in a B-scan: fluid, thickness of the retina, elevation of the pigment epithelium.

Borders are traced by ``layers.py`` on the model's grid; fluid is drawn by the members' decoders.
Reference ranges (``reference.json``) are the middle 95 % of the normal training scans, which have no
spacing: their depth of 1.9 mm is the scanner's. None of this enters the decision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plugins.retinal_oct.align import INPUT_SHAPE
from plugins.retinal_oct.field import DEPTH_MM, FIELD_SHAPE
from plugins.retinal_oct.layers import Borders, find_borders
from plugins.retinal_oct.model import MEAN, STD
from whycad.imaging.geometry import map_to_source
from whycad.types import Evidence, FloatArray, Measurement, ModelInput, Segmentation, Study

REFERENCE_FILE = Path(__file__).with_name("reference.json")
REFERENCE_ROW_MM = DEPTH_MM / FIELD_SHAPE[0]
FLUID_THRESHOLD = 0.5
# Columns near the sides, where borders are uncertain, are not measured.
SIDE_COLUMNS = 8
BASELINE_COLUMNS = 61
BASELINE_PERCENTILE = 70


@dataclass(frozen=True)
class Rows:
    """Heights on the model's grid, in rows of about 10 micrometres.

    Attributes
    ----------
    central, median, largest : float
        Thickness of the retina: in the thinnest sixteenth of the width, overall, largest.
    elevation : float
        Largest height of the outer border above its smooth course.
    """

    central: float
    median: float
    largest: float
    elevation: float


def measure_rows(borders: Borders) -> Rows:
    """Measure thickness and elevation from the borders in every column."""
    inside = slice(SIDE_COLUMNS, -SIDE_COLUMNS)
    thickness = ndimage.median_filter(borders.thickness, 5)[inside]
    width = len(borders.outer) // 16
    # Drusen and detachments lift the border: its deeper part is the course that it should have.
    course = ndimage.percentile_filter(borders.outer, BASELINE_PERCENTILE, BASELINE_COLUMNS, mode="nearest")
    course = ndimage.gaussian_filter1d(course, BASELINE_COLUMNS / 8)
    elevation = (course - ndimage.median_filter(borders.outer, 3))[inside]
    return Rows(
        central=float(ndimage.uniform_filter1d(thickness, width)[width // 2 : -(width // 2)].min()),
        median=float(np.median(thickness)),
        largest=float(np.percentile(thickness, 99)),
        elevation=float(max(elevation.max(), 0.0)),
    )


def borders_of(inputs: ModelInput) -> Borders:
    """Trace the borders again in the network's input."""
    image = np.asarray(inputs.array[0] * STD + MEAN, np.float32)
    return find_borders(image, np.ones(image.shape, bool))


@cache
def _reference() -> dict[str, tuple[float, float]]:
    if not REFERENCE_FILE.is_file():
        return {}
    stored = json.loads(REFERENCE_FILE.read_text(encoding="utf-8"))
    return {name: (float(low), float(high)) for name, (low, high) in stored["ranges"].items()}


@dataclass(frozen=True)
class Scale:
    """How long a row of the model's grid is in a study, and the unit."""

    measured: float
    reference: float
    unit: str
    remark: str

    @classmethod
    def of(cls, study: Study, inputs: ModelInput) -> Scale:
        """Return millimetres where the study's spacing is known, otherwise source pixels."""
        pixels = abs(float(inputs.geometry.to_source[0, 0]))
        if study.spacing_mm is None:
            return cls(pixels, pixels, "px", "in pixels of the image, whose spacing is unknown")
        return cls(pixels * study.spacing_mm[-2], REFERENCE_ROW_MM, "mm", "by the file's spacing")


def fluid_on_model_grid(outputs: Mapping[str, NDArray[np.float32]]) -> FloatArray:
    """Return the probability of fluid ``(112, 192)`` from the members' mean output."""
    coarse = np.asarray(outputs["fluid"], np.float32)
    factors = [side / n for side, n in zip(INPUT_SHAPE, coarse.shape, strict=True)]
    return np.asarray(ndimage.zoom(coarse, factors, order=1, grid_mode=True, mode="nearest"), np.float32)


def fluid_share(fluid: NDArray[np.bool_], borders: Borders) -> float:
    """Return how much of the retina's area ``(H, W)`` is fluid, in per cent."""
    rows = np.arange(len(fluid))[:, None]
    retina = (rows >= borders.inner - 2) & (rows <= borders.outer + 4)
    return 100.0 * float((fluid & retina).sum()) / max(int(retina.sum()), 1)


def evidence(study: Study, inputs: ModelInput, outputs: Mapping[str, NDArray[np.float32]]) -> Evidence:
    """Measure one B-scan.

    Parameters
    ----------
    study : Study
        Its spacing decides whether lengths are in mm or in pixels.
    inputs : ModelInput
    outputs : mapping
        ``fluid`` and ``unusual``, see ``ScanNet.forward_evidence``.
    """
    borders, scale = borders_of(inputs), Scale.of(study, inputs)
    probability = fluid_on_model_grid(outputs)
    fluid = probability >= FLUID_THRESHOLD
    rows, reference = measure_rows(borders), _reference()

    def length(name: str, title: str, value: float, how: str) -> Measurement:
        known = reference.get(name)
        span = None if known is None else (known[0] * scale.reference, known[1] * scale.reference)
        return Measurement(title, value * scale.measured, scale.unit, span, f"{how}, {scale.remark}")

    traced = "between the traced inner border and pigment epithelium"
    found = (
        Measurement(
            "Fluid, share of the retina",
            fluid_share(fluid, borders),
            "%",
            reference.get("fluid"),
            "area drawn by the model, of the area between the retina's borders",
        ),
        length("central", "Retina, thinnest place", rows.central, f"{traced}, mean over a sixteenth of the width"),
        length("median", "Retina, median thickness", rows.median, traced),
        length("largest", "Retina, largest thickness", rows.largest, traced),
        length("elevation", "Pigment epithelium, largest elevation", rows.elevation, "above its own smooth course"),
        Measurement(
            "Unusual places, share of the scan",
            100.0 * float((np.asarray(outputs["unusual"]) >= 0.5).mean()),
            "%",
            reference.get("unusual"),
            "places that the model finds unlike normal retina",
        ),
    )
    mask = map_to_source(np.asarray(probability, np.float32), inputs.geometry) >= FLUID_THRESHOLD
    outline = Segmentation("fluid", np.asarray(mask, bool), "drawn by the model from experts' outlines of 55 scans")
    return Evidence(found, segmentations=(outline,) if mask.any() else ())
