"""What a B-scan is made of, found once for the gate and the preprocessing.

Both need the field, its borders and the layout measured from them, which is most of the work of
reading a scan.
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
        Rise of grey at the upper border, and at the one found in the image turned upside down. Where no
        border of the turned image can rise as far as ``turned_limit``, it is not searched for, and the
        second is what it is at most.
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

    @property
    def turned_limit(self) -> float:
        """Rise in the turned image above which a scan counts as upside down."""
        return turned_limit(self.inner_step)


def _at(image: FloatArray, rows: NDArray[np.float64]) -> FloatArray:
    index = np.clip(np.rint(rows).astype(np.int64), 0, len(image) - 1)
    return np.asarray(image[index, np.arange(image.shape[1])])


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else 0.0


def _step(image: FloatArray, inner: NDArray[np.float64]) -> float:
    return float(np.median(_at(image, inner + 3) - _at(image, inner - 4)))


def turned_limit(inner_step: float) -> float:
    """Return the rise in the turned image above which a scan counts as upside down."""
    return max(1.1 * inner_step, 0.6)


def _largest_step(image: FloatArray) -> float:
    """Return what ``_step`` gives at most, whatever the border.

    Rows are rounded after 3 is added or 4 taken away; a half may go either way.
    """
    rows = np.arange(len(image))

    def rise(below: int, above: int) -> FloatArray:
        lower, upper = (np.clip(rows + k, 0, len(image) - 1) for k in (below, -above))
        return np.asarray((image[lower] - image[upper]).max(axis=0))

    return float(np.median(np.max([rise(3, 4), rise(4, 4), rise(3, 3)], axis=0)))


def _turned_step(image: FloatArray, field: Field, inner_step: float, retina: float) -> float:
    turned = np.ascontiguousarray(image[::-1])
    most = _largest_step(turned) / retina
    if most <= turned_limit(inner_step):
        return most
    return _step(turned, find_borders(turned, field.valid[::-1]).inner) / retina


def measure_layout(field: Field, borders: Borders) -> Layout:
    """Measure a scan on the canonical grid."""
    image = ndimage.gaussian_filter(field.pixels, 1.0).clip(0, None)
    rows = np.arange(len(image))[:, None]
    retina = max(_mean(image[(rows >= borders.inner) & (rows <= borders.outer)]), 1e-6)
    inner_step = _step(image, borders.inner) / retina
    light = image.sum(axis=0)
    return Layout(
        background=field.background,
        above=_mean(image[(rows < borders.inner - 4) & (rows > 3)]) / retina,
        below=_mean(image[rows > borders.outer + DEEP_ROWS]) / retina,
        inner_step=inner_step,
        turned_step=_turned_step(image, field, inner_step, retina),
        band=float(np.median(np.max([_at(image, borders.outer + k) for k in range(-2, 4)], axis=0))) / retina,
        thickness=float(np.median(borders.thickness)),
        spread=float(np.ptp(np.percentile(borders.thickness, [10, 90]))),
        wave=float(np.abs(np.diff(borders.inner, 2)).mean()),
        empty=float(np.mean(light < 0.1 * np.median(light))),
    )


@dataclass(frozen=True, eq=False)
class ScanSurvey:
    """One scan and what was found in it.

    Attributes
    ----------
    pixels : ndarray of float32 (H, W)
        The source in 0..1.
    field : Field
    borders : Borders
        On the field's grid.
    layout : Layout
    """

    pixels: FloatArray
    field: Field
    borders: Borders
    layout: Layout


def survey_scan(pixels: FloatArray) -> ScanSurvey:
    """Find field, borders and layout of a grey image ``(H, W)`` in 0..1."""
    field = take_field(pixels)
    borders = find_borders(field.pixels, field.valid)
    return ScanSurvey(pixels, field, borders, measure_layout(field, borders))


def survey(study: Study, region: Region | None) -> ScanSurvey | None:
    """Survey a study.

    Parameters
    ----------
    study : Study
        A single B-scan; of a volume, each slice by itself.
    region : Region or None
        Ignored: the whole scan is read.

    Returns
    -------
    ScanSurvey or None
        None of an image in colour and of a volume.
    """
    if study.is_colour or study.pixels.ndim != 2:
        return None
    return survey_scan(unit_greys(study))
