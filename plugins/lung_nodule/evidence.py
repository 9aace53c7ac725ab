"""What is seen, in words and numbers: descriptors, the outline, diameter, density and volume."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from plugins.lung_nodule.concepts import SCALES
from plugins.lung_nodule.grid import CENTRE, HU_RANGE, KNOWN_ABOVE, MIDDLE, SPACING_MM, unscale_hu
from whycad.imaging.geometry import map_to_source
from whycad.types import Concept, Evidence, FloatArray, Measurement, ModelInput, Segmentation, Study

THRESHOLD = 0.5
# An outline this far from the seed belongs to something else.
FARTHEST_MM = 6.0
LEAST_PIXELS = 6
OUTLINE = "nodule"
METHOD = "outline of the model, trained on what at least half of the readers drew"

Mask = NDArray[np.bool_]


def evidence(study: Study, inputs: ModelInput, outputs: Mapping[str, NDArray[np.float32]]) -> Evidence:
    """Turn the members' mean outputs into evidence on the study's grid.

    Parameters
    ----------
    study : Study
    inputs : ModelInput
    outputs : mapping
        ``mask`` ``(25, 96, 96)`` in 0..1, and every descriptor's distribution ``(levels,)``.

    Returns
    -------
    Evidence
        Without measurements and outline where no nodule was outlined at the seed.
    """
    concepts = tuple(_concept(scale.name, outputs[scale.name]) for scale in SCALES if scale.name in outputs)
    probability = np.asarray(outputs["mask"], np.float32)
    mask = nodule_mask(probability)
    if not mask.any():
        return Evidence(concepts=concepts)
    outline = map_to_source(np.where(mask, probability, 0).astype(np.float32), inputs.geometry) > THRESHOLD
    segmentation = Segmentation(OUTLINE, outline.reshape(study.spatial_shape), METHOD)
    return Evidence(measure(mask, inputs, study), concepts, (segmentation,))


def _concept(name: str, shares: NDArray[np.float32]) -> Concept:
    scale = next(s for s in SCALES if s.name == name)
    total = float(shares.sum())
    return Concept(name, scale.question, scale.levels, tuple(float(p) / total for p in shares))


def nodule_mask(probability: FloatArray) -> Mask:
    """Return the part of the outline that hangs together with what lies at the seed.

    Parameters
    ----------
    probability : ndarray of float32 (25, 96, 96)

    Returns
    -------
    ndarray of bool (25, 96, 96)
        On the middle plane the part nearest to the seed; on the others what overlaps the plane before.
    """
    above = probability > THRESHOLD
    mask = np.zeros_like(above)
    mask[MIDDLE] = _seeded(above[MIDDLE])
    for step in (-1, 1):
        plane = MIDDLE + step
        while 0 <= plane < len(mask) and mask[plane - step].any():
            mask[plane] = _touching(above[plane], mask[plane - step])
            plane += step
    return mask


def _seeded(plane: Mask) -> Mask:
    parts, n = ndimage.label(plane)
    if n == 0:
        return np.zeros_like(plane)
    rows, columns = np.ogrid[: plane.shape[0], : plane.shape[1]]
    away = SPACING_MM[1] * np.hypot(rows - CENTRE[1], columns - CENTRE[2])
    nearest = int(np.argmin(np.where(plane, away, np.inf)))
    part = parts == parts.ravel()[nearest]
    if away.ravel()[nearest] > FARTHEST_MM or part.sum() < LEAST_PIXELS:
        return np.zeros_like(plane)
    return np.asarray(ndimage.binary_fill_holes(part), bool)


def _touching(plane: Mask, before: Mask) -> Mask:
    parts, _ = ndimage.label(plane)
    touched = np.unique(parts[before & plane])
    return np.asarray(np.isin(parts, touched[touched > 0]), bool)


def longest_diameter_mm(plane: Mask) -> float:
    """Return the longest distance across a mask of the patch's axial plane, in mm."""
    corners = (np.argwhere(plane)[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[None]).reshape(-1, 2)
    try:
        corners = corners[ConvexHull(corners).vertices]
    except QhullError:
        return 0.0
    return float(pdist(corners * np.asarray(SPACING_MM[1:])).max())


def measure(mask: Mask, inputs: ModelInput, study: Study) -> tuple[Measurement, ...]:
    """Measure the outlined nodule: diameter, density and, where slices show all of it, volume."""
    scale = "" if study.spacing_mm is not None else ", pixels taken for 0.7 mm"
    found = [_measured("Longest diameter", "diameter", longest_diameter_mm(mask[MIDDLE]), "mm", f"{METHOD}{scale}")]
    known = inputs.array[0] > KNOWN_ABOVE
    if study.unit == "HU":
        hu = unscale_hu(inputs.array[0][mask & known])
        found.append(_measured("Mean density", "density", float(hu.mean()), "HU", f"inside the outline; {_clipped()}"))
    whole = known[:, mask.any(axis=0)].all() and not (mask[0].any() or mask[-1].any())
    if whole:
        volume = float(mask.sum()) * float(np.prod(SPACING_MM))
        found.append(_measured("Volume", "volume", volume, "mm3", "outlines of the model on every slice"))
    return tuple(found)


def _measured(name: str, key: str, value: float, unit: str, method: str) -> Measurement:
    return Measurement(name, value, unit, method=method, key=key, outline=OUTLINE)


def _clipped() -> str:
    return f"values beyond {HU_RANGE[0]:.0f} to {HU_RANGE[1]:.0f} HU count as the limit"
