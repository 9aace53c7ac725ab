"""What is measured in a dermoscopy image: asymmetry, border, colours and diameter of the outlined lesion.

The order is that of the ABCD rule (Nachbar 1994); its score is not computed, for its points are given by
eye. Nothing of this enters the prediction: outline and measurements come from a network of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from plugins.skin_lesion.colours import LesionColours, lesion_colours, measure_colours
from plugins.skin_lesion.outline import Mask, lesion_mask
from plugins.skin_lesion.shape import border_of, folded
from whycad.imaging.geometry import map_to_source, resize_geometry, sample_to_model
from whycad.types import Evidence, FloatArray, Measurement, ModelInput, Segmentation, Study

OUTLINE = "lesion"
METHOD = "outlined by a network trained on the masks of HAM10000"
# Every image is brought to this longer side, with square pixels, so that measures compare.
STANDARD_SIDE = 200
THRESHOLD = 0.5
# A lesion with more of its border than this on the image's own is cut off: its shape is not known.
MOST_CUT = 0.1


def evidence(study: Study, inputs: ModelInput, outputs: Mapping[str, NDArray[np.float32]]) -> Evidence:
    """Measure the lesion.

    Parameters
    ----------
    study : Study
        In colour, 0..1; its spacing decides whether the diameter is in mm.
    inputs : ModelInput
    outputs : mapping
        ``mask``, the outline network's probabilities ``(112, 144)``.

    Returns
    -------
    Evidence
        Empty where no plausible lesion was outlined.
    """
    probability = np.asarray(outputs["mask"], np.float32)
    coarse = lesion_mask(probability)
    if not coarse.any():
        return Evidence()
    fine = map_to_source(np.where(coarse, probability, 0).astype(np.float32), inputs.geometry)
    mask = np.asarray(fine > THRESHOLD, bool)
    if not mask.any():
        return Evidence()
    return Evidence(
        (*_on_standard_grid(study, fine), *_sizes(study, mask)), segmentations=(Segmentation(OUTLINE, mask, METHOD),)
    )


def _on_standard_grid(study: Study, fine: FloatArray) -> tuple[Measurement, ...]:
    """Measure shape and colours at one resolution, whatever the image's own."""
    height, width = study.spatial_shape
    factor = STANDARD_SIDE / max(height, width)
    shape = max(1, round(height * factor)), max(1, round(width * factor))
    geometry = resize_geometry((height, width), shape)
    pixels = np.moveaxis(sample_to_model(study.pixels, geometry), 0, -1)
    mask = np.asarray(sample_to_model(fine, geometry)[0] > THRESHOLD, bool)
    if not mask.any():
        return ()
    colours = lesion_colours(pixels, mask)
    shapes = () if _is_cut(mask) else _shapes(mask, colours.lab)
    return (*shapes, *_colours(mask, colours))


def _is_cut(mask: Mask) -> bool:
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    outline = mask & ~_eroded(mask)
    return float(sum(side.sum() for side in sides)) > MOST_CUT * max(int(outline.sum()), 1)


def _eroded(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    return padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:] & mask


def _shapes(mask: Mask, lab: FloatArray) -> tuple[Measurement, ...]:
    fold, border = folded(mask, lab), border_of(mask)

    def measured(name: str, key: str, value: float, unit: str, method: str) -> Measurement:
        return Measurement(name, value, unit, method=method, key=key, outline=OUTLINE)

    return (
        measured(
            "Asymmetry of shape",
            "shape_asymmetry",
            100 * fold.shape,
            "%",
            "area without a counterpart on folding, mean of two axes at right angles laid where it is least",
        ),
        measured(
            "Asymmetry of colour",
            "colour_asymmetry",
            fold.colour,
            "CIELAB units",
            "mean distance between places that mirror each other, over the same kind of axes",
        ),
        measured(
            "Border irregularity",
            "border_irregularity",
            border.irregularity,
            "",
            "0 for an ellipse, towards 1 the longer the outline winds",
        ),
        measured(
            "Border indentation",
            "border_indentation",
            100 * border.indentation,
            "%",
            "share of the convex hull that the lesion leaves empty",
        ),
    )


def _colours(mask: Mask, colours: LesionColours) -> tuple[Measurement, ...]:
    found = measure_colours(colours, mask)
    named = ", ".join(found.present)
    blue = 100 * found.shares["blue-grey"]
    how = f"of white, red, light and dark brown, blue-grey, black, those on 5 % of the lesion or more: {named}"
    return (
        Measurement("Colours", float(len(found.present)), "of 6", method=how, key="colours", outline=OUTLINE),
        Measurement(
            "Colour variegation",
            found.variegation,
            "CIELAB units",
            method="mean distance from the lesion's median colour",
            key="variegation",
            outline=OUTLINE,
        ),
        Measurement(
            "Blue-grey", blue, "%", method="share of the lesion nearest to blue-grey", key="blue_grey", outline=OUTLINE
        ),
    )


def _sizes(study: Study, mask: Mask) -> tuple[Measurement, ...]:
    """Return the longest diameter where the spacing is known, else the share of the field of view."""
    if study.spacing_mm is not None:
        value = longest_distance(mask, np.asarray(study.spacing_mm[-2:], float))
        return (Measurement("Longest diameter", value, "mm", method=METHOD, key="diameter", outline=OUTLINE),)
    how = "the spacing is unknown, so there is no diameter in mm; depends on how near the picture was taken"
    share = 100 * float(mask.mean())
    return (Measurement("Share of the field of view", share, "%", method=how, key="field_share", outline=OUTLINE),)


def longest_distance(mask: Mask, spacing_mm: NDArray[np.float64]) -> float:
    """Return the longest distance across a mask ``(H, W)``, from pixel edge to pixel edge, in mm."""
    edge = np.argwhere(mask & ~_eroded(mask))
    corners = (edge[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[None]).reshape(-1, 2) * spacing_mm
    try:
        corners = corners[ConvexHull(corners).vertices]
    except QhullError:
        return 0.0
    return float(pdist(corners).max())
