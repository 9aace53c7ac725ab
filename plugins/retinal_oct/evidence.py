"""What is measured in a B-scan: fluid, thickness of the retina, elevation of the pigment epithelium.

Borders are traced by ``layers.py`` on the model's grid; fluid is drawn by the members' decoders.
Lengths are compared with the reference in rows of the model's grid: its scans have no spacing, and their
depth of 1.9 mm is the scanner's. None of this enters the decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plugins.retinal_oct.align import INPUT_SHAPE
from plugins.retinal_oct.field import DEPTH_MM, FIELD_SHAPE
from plugins.retinal_oct.layers import Borders, find_borders
from plugins.retinal_oct.model import MEAN, STD
from whycad.imaging.geometry import map_to_source
from whycad.types import Evidence, FloatArray, Measurement, ModelInput, Segmentation, Study

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


def retina_of(borders: Borders, n_rows: int = INPUT_SHAPE[0]) -> NDArray[np.bool_]:
    """Return where the retina is on the model's grid ``(n_rows, W)``, with a narrow margin."""
    rows = np.arange(n_rows)[:, None]
    return np.asarray((rows >= borders.inner - 2) & (rows <= borders.outer + 4))


def fluid_share(fluid: NDArray[np.bool_], borders: Borders) -> float:
    """Return how much of the retina's area ``(H, W)`` is fluid, in per cent."""
    retina = retina_of(borders, len(fluid))
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
    mask = np.asarray(map_to_source(np.asarray(probability, np.float32), inputs.geometry) >= FLUID_THRESHOLD, bool)
    retina = map_to_source(retina_of(borders).astype(np.float32), inputs.geometry) >= 0.5
    outlines = [
        Segmentation("retina", np.asarray(retina, bool), "between the traced inner border and pigment epithelium"),
        Segmentation("fluid", mask, "drawn by the model from experts' outlines of 55 scans"),
    ]
    found = (
        Measurement(
            "Fluid, share of the retina",
            fluid_share(fluid, borders),
            "%",
            method="area drawn by the model, of the area between the retina's borders",
            key="fluid",
            outline="fluid",
        ),
        _fluid_area(mask, study, inputs),
        *_lengths(measure_rows(borders), scale),
        Measurement(
            "Unusual places, share of the scan",
            100.0 * float((np.asarray(outputs["unusual"]) >= 0.5).mean()),
            "%",
            method="places that the model finds unlike normal retina",
            key="unusual",
        ),
    )
    return Evidence(found, segmentations=tuple(outline for outline in outlines if outline.mask.any()))


def _lengths(rows: Rows, scale: Scale) -> tuple[Measurement, ...]:
    traced = "between the traced inner border and pigment epithelium"
    return tuple(
        Measurement(
            name,
            value * scale.measured,
            scale.unit,
            method=f"{how}, {scale.remark}",
            key=key,
            outline="retina",
            scale=scale.reference,
        )
        for name, key, value, how in (
            ("Retina, thinnest place", "central", rows.central, f"{traced}, mean over a sixteenth of the width"),
            ("Retina, median thickness", "median", rows.median, traced),
            ("Retina, largest thickness", "largest", rows.largest, traced),
            (
                "Pigment epithelium, largest elevation",
                "elevation",
                rows.elevation,
                "above its own smooth course",
            ),
        )
    )


def _fluid_area(mask: NDArray[np.bool_], study: Study, inputs: ModelInput) -> Measurement:
    """Return the area drawn as fluid, in mm2 where the spacing is known; the reference counts cells of the grid."""
    pixel, unit = 1.0, "px"
    if study.spacing_mm is not None:
        pixel, unit = float(np.prod(study.spacing_mm[-2:])), "mm2"
    cell = abs(float(np.linalg.det(inputs.geometry.to_source[:2, :2]))) * pixel
    method = "area drawn by the model, in the retina and below it"
    return Measurement(
        "Fluid, area", float(mask.sum()) * pixel, unit, method=method, key="fluid_area", outline="fluid", scale=cell
    )
