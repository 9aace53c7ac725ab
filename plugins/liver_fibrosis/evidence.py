"""What can be measured in a slice: organs, their brightness, and the signs as the members grade them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plugins.liver_fibrosis.effects import EFFECTS, STAGES
from plugins.liver_fibrosis.model import ORGANS
from plugins.liver_fibrosis.nodularity import surface_nodularity
from plugins.liver_fibrosis.preprocess import INPUT_SHAPE, find_body
from whycad.imaging.geometry import map_to_source, resize_geometry, sample_to_model
from whycad.types import Concept, Evidence, Measurement, ModelInput, Segmentation, Study

OUTLINE_METHOD = "outlined by the members, which learned it from simulated data"
LEVELS = ("not seen", "mild", "marked")
MIN_CORE_PX = 12


def organ_masks(organs: NDArray[np.float32], inputs: ModelInput) -> dict[str, NDArray[np.bool_]]:
    """Return the outlines on the source's grid ``(H, W)`` from probabilities ``(2, 28, 36)``."""
    masks = {}
    for name, probability in zip(ORGANS, organs, strict=True):
        fine = sample_to_model(probability, resize_geometry(probability.shape, INPUT_SHAPE))[0]
        masks[name] = _largest(map_to_source(fine, inputs.geometry) > 0.5)
    return masks


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, n = ndimage.label(mask)
    if n < 2:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def core(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the inner half of an outline, away from its edge; the outline itself where it is tiny."""
    depth = ndimage.distance_transform_edt(mask)
    inner = depth > 0.4 * depth.max()
    return np.asarray(inner if inner.sum() >= MIN_CORE_PX else mask)


def liver_to_spleen(study: Study, masks: Mapping[str, NDArray[np.bool_]]) -> float | None:
    """Return the median signal of the liver's core over that of the spleen's; None where one is missing."""
    cores = {name: core(mask) for name, mask in masks.items()}
    if any(int(inside.sum()) < MIN_CORE_PX for inside in cores.values()):
        return None
    spleen = float(np.median(study.pixels[cores["spleen"]]))
    return float(np.median(study.pixels[cores["liver"]])) / spleen if spleen > 0 else None


def evidence(study: Study, inputs: ModelInput, outputs: Mapping[str, NDArray[np.float32]]) -> Evidence:
    """Measure a slice.

    Parameters
    ----------
    study : Study
    inputs : ModelInput
    outputs : mapping of str to ndarray
        As `plugins.liver_fibrosis.model.StageNet.forward_evidence` gives them, without the first axis.
    """
    masks = organ_masks(outputs["organs"], inputs)
    segmentations = tuple(Segmentation(name, mask, OUTLINE_METHOD) for name, mask in masks.items() if mask.any())
    return Evidence(
        measurements=(
            *_ratio(study, masks),
            *_nodularity(study, masks),
            *_sizes(study, masks),
            _expected_stage(outputs["stages"]),
        ),
        concepts=tuple(
            Concept(effect.name, f"How far the sign has gone: {effect.words}?", LEVELS, _distribution(levels))
            for effect, levels in zip(EFFECTS, outputs["signs"], strict=True)
        ),
        segmentations=segmentations,
    )


def _distribution(values: NDArray[np.float32]) -> tuple[float, ...]:
    shares = np.asarray(values, np.float64) / float(np.sum(values, dtype=np.float64))
    return tuple(float(share) for share in shares)


def _ratio(study: Study, masks: Mapping[str, NDArray[np.bool_]]) -> tuple[Measurement, ...]:
    ratio = liver_to_spleen(study, masks)
    if ratio is None:
        return ()
    method = "median signal within the outlines of liver and spleen, away from their edges"
    return (Measurement("Liver-to-spleen ratio", ratio, "", None, method, key="liver_spleen_ratio", outline="liver"),)


def _nodularity(study: Study, masks: Mapping[str, NDArray[np.bool_]]) -> tuple[Measurement, ...]:
    spacing = study.spacing_mm
    value = surface_nodularity(study.pixels, masks["liver"], None if spacing is None else float(spacing[-1]))
    if value is None:
        return ()
    unit, remark = ("mm", "") if spacing is not None else ("px", "; the spacing is unknown")
    method = f"spread of the seen edge about its smooth course, along the liver's outline{remark}"
    # The reference is in mm: without spacing there is no place in it.
    key = "surface_nodularity" if spacing is not None else ""
    return (Measurement("Surface nodularity", value, unit, None, method, key=key, outline="liver"),)


def _sizes(study: Study, masks: Mapping[str, NDArray[np.bool_]]) -> tuple[Measurement, ...]:
    r0, c0, r1, c1 = find_body(study.pixels).box
    body = float((r1 - r0) * (c1 - c0))
    return tuple(
        Measurement(
            f"{name.capitalize()}, share of the body's box",
            100 * float(mask.sum()) / body,
            "%",
            None,
            "outline",
            key=f"{name}_share",
            outline=name,
        )
        for name, mask in masks.items()
        if mask.any()
    )


def _expected_stage(stages: NDArray[np.float32]) -> Measurement:
    """Return the mean stage number of the members' own probabilities ``(5,)``."""
    mean = float(np.dot(_distribution(stages), np.arange(len(STAGES))))
    method = "mean of the members' answers, before calibration"
    return Measurement("Expected stage, 0 to 4", mean, "", None, method, key="expected_stage")
