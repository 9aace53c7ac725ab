"""What keeps an image from being scored: the seed, the grey scale, the anatomy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from plugins.lung_nodule.grid import CENTRE, KNOWN_ABOVE, LUNG_RANGE_HU, MIDDLE, SHAPE, SPACING_MM, unscale_hu
from plugins.lung_nodule.preprocess import lung_share, preprocess
from whycad.errors import GeometryError
from whycad.types import Region, Study

# One of the 1,774 training nodules has less lung around it, and none is fainter against it.
LEAST_LUNG = 0.05
LEAST_CONTRAST_HU = 50.0
LEAST_KNOWN = 0.5
REACH_MM = 4.0
# What a CT can hold: air outside the scanner's circle is stored as -2000 or -3024 at times, metal up to 32767.
CT_RANGE_HU = (-4096.0, 32768.0)
LEAST_SPAN_HU = 200.0

INVERTED = "The grey scale is inverted: lung is bright and tissue dark."
NO_LUNG = (
    "There is hardly any lung around the point, so this is not a lung nodule, not a CT, or not in Hounsfield units "
    "or the lung window."
)
NO_NODULE = "At the point there is nothing denser than lung: click the nodule. Or the grey scale is inverted."
CROPPED = "Less than half of what the model looks at (58 mm around the point) is in the image."
NOT_CT = "The pixel values are not those of a CT: Hounsfield units, or a grey picture in the lung window."
COLOUR = "The image is in colour, and a CT is grey."
NOT_FINITE = "The image holds values that are not numbers."


def gate(study: Study, region: Region | None) -> tuple[str, ...]:
    """Return why a study cannot be scored; empty where it can.

    Parameters
    ----------
    study : Study
    region : Region or None
        The seed.
    """
    if study.is_colour:
        return (COLOUR,)
    problem = _value_problem(study)
    if problem:
        return (problem,)
    try:
        reason = _patch_problem(study, region)
        if reason == NO_LUNG and not all(_patch_problem(turned, region) for turned in _inverted(study)):
            reason = INVERTED
    except GeometryError as error:
        reason = f"{error.message[:1].upper()}{error.message[1:]}."
    return (reason,) if reason else ()


def _value_problem(study: Study) -> str:
    low, high = float(study.pixels.min()), float(study.pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return NOT_FINITE
    if study.unit == "normalised":
        return "" if low >= 0 and high <= 1 else NOT_CT
    plausible = CT_RANGE_HU[0] <= low and high <= CT_RANGE_HU[1] and high - low >= LEAST_SPAN_HU
    return "" if study.unit == "HU" and plausible else NOT_CT


def _patch_problem(study: Study, region: Region | None) -> str:
    """Look at the axial plane about the seed."""
    plane = preprocess(study, region).array[0, MIDDLE]
    known = plane > KNOWN_ABOVE
    if known.mean() < LEAST_KNOWN:
        return CROPPED
    hu = unscale_hu(plane)
    if lung_share(hu[known]) < LEAST_LUNG:
        return NO_LUNG
    lung = float(np.median(hu[known & (hu > LUNG_RANGE_HU[0]) & (hu < LUNG_RANGE_HU[1])]))
    smooth = ndimage.uniform_filter(np.where(known, hu, LUNG_RANGE_HU[0]), 3)
    return NO_NODULE if float(smooth[_near()].max()) < lung + LEAST_CONTRAST_HU else ""


def _near() -> np.ndarray:
    """Return which pixels of the axial plane lie within ``REACH_MM`` of the seed."""
    rows, columns = np.ogrid[: SHAPE[1], : SHAPE[2]]
    squared = (SPACING_MM[1] * (rows - CENTRE[1])) ** 2 + (SPACING_MM[2] * (columns - CENTRE[2])) ** 2
    return np.asarray(squared <= REACH_MM**2)


def _inverted(study: Study) -> tuple[Study, ...]:
    """Turn the grey scale round: about the middle of its range, and of Hounsfield units about 0 too."""
    total = 1.0 if study.unit == "normalised" else float(study.pixels.min() + study.pixels.max())
    totals = (total,) if study.unit == "normalised" else (total, 0.0)
    return tuple(replace(study, pixels=np.asarray(t - study.pixels, np.float32)) for t in totals)
