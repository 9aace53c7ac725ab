"""The task's own input gate: lets upright B-scans of a retina pass.

A B-scan has a dark vitreous above a sharp border, a bright band below it, and little light deep
down. The bounds are wide: they were set beyond the extremes of 300 training scans, and are there
to stop other pictures, not other scanners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plugins.retinal_oct.field import Field, take_field
from plugins.retinal_oct.greys import unit_greys
from plugins.retinal_oct.layers import Borders, find_borders
from whycad.types import FloatArray, Region, Study
from whycad.uncertainty.input_gate import Bound, exceeded

COLOUR = "The image is in colour; this task reads grey B-scans."
NOT_A_SCAN = "No retina was found: a B-scan shows a layered band with a sharp upper border under a dark space."
INVERTED = "The image is bright where a B-scan is dark: its greys may be inverted."
UPSIDE_DOWN = "The B-scan seems to be upside down: the vitreous must be above the retina."
CUT_OFF = "Large parts of the B-scan's width show nothing."
BACKGROUND_LIMIT = 0.5
DEEP_ROWS = 60


@dataclass(frozen=True)
class Layout:
    """What a scan is made of, relative to the mean grey of its retina.

    Attributes
    ----------
    background : float
        Grey of what is empty, in the source's unit.
    above, below : float
        Mean grey of the vitreous, and from 0.6 mm below the pigment epithelium.
    inner_step, turned_step : float
        Rise of grey at the upper border, and at the one found in the image turned upside down.
    band : float
        Grey of the brightest outer band.
    thickness, spread : float
        Median rows between the borders, and the range of the middle 80 %.
    wave : float
        Mean bend of the upper border, rows per column squared.
    empty : float
        Share of columns with next to nothing in them.
    """

    background: float
    above: float
    below: float
    inner_step: float
    turned_step: float
    band: float
    thickness: float
    spread: float
    wave: float
    empty: float


def _at(image: FloatArray, rows: NDArray[np.float64]) -> FloatArray:
    index = np.clip(np.rint(rows).astype(np.int64), 0, len(image) - 1)
    return np.asarray(image[index, np.arange(image.shape[1])])


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else 0.0


def _step(image: FloatArray, inner: NDArray[np.float64]) -> float:
    return float(np.median(_at(image, inner + 3) - _at(image, inner - 4)))


def measure_layout(field: Field, borders: Borders) -> Layout:
    """Measure a scan on the canonical grid."""
    image = ndimage.gaussian_filter(field.pixels, 1.0).clip(0, None)
    rows = np.arange(len(image))[:, None]
    retina = max(_mean(image[(rows >= borders.inner) & (rows <= borders.outer)]), 1e-6)
    turned = np.ascontiguousarray(image[::-1])
    light = image.sum(axis=0)
    return Layout(
        background=field.background,
        above=_mean(image[(rows < borders.inner - 4) & (rows > 3)]) / retina,
        below=_mean(image[rows > borders.outer + DEEP_ROWS]) / retina,
        inner_step=_step(image, borders.inner) / retina,
        turned_step=_step(turned, find_borders(turned, field.valid[::-1]).inner) / retina,
        band=float(np.median(np.max([_at(image, borders.outer + k) for k in range(-2, 4)], axis=0))) / retina,
        thickness=float(np.median(borders.thickness)),
        spread=float(np.ptp(np.percentile(borders.thickness, [10, 90]))),
        wave=float(np.abs(np.diff(borders.inner, 2)).mean()),
        empty=float(np.mean(light < 0.1 * np.median(light))),
    )


def layout_problems(layout: Layout) -> tuple[str, ...]:
    """Return why a layout is not that of an upright B-scan; empty where it is."""
    if layout.background > BACKGROUND_LIMIT:
        return (INVERTED,)
    shape = exceeded(
        (
            Bound(layout.thickness, 9.0, 80.0, NOT_A_SCAN),
            Bound(layout.spread, 0.0, 85.0, NOT_A_SCAN),
            Bound(layout.wave, 0.0, 0.40, NOT_A_SCAN),
            Bound(layout.above, 0.0, 0.75, NOT_A_SCAN),
            Bound(layout.below, 0.0, 0.7, NOT_A_SCAN),
            Bound(layout.band, 1.15, 6.0, NOT_A_SCAN),
            Bound(layout.empty, 0.0, 0.30, CUT_OFF),
        )
    )
    if layout.turned_step > max(1.1 * layout.inner_step, 0.6):
        return (UPSIDE_DOWN,)
    if layout.inner_step < 0.5:
        return (NOT_A_SCAN,)
    return tuple(dict.fromkeys(shape))


def gate(study: Study, region: Region | None) -> tuple[str, ...]:
    """Return why this image cannot be scored; empty where it can.

    Parameters
    ----------
    study : Study
        A single B-scan; of a volume, each slice by itself.
    region : Region or None
        Ignored: the whole scan is read.
    """
    if study.is_colour:
        return (COLOUR,)
    field = take_field(unit_greys(study))
    return layout_problems(measure_layout(field, find_borders(field.pixels, field.valid)))
