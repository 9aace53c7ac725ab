"""What a plugin's functions returned, held against what its manifest declares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.errors import PluginError
from whycad.types import Concept, Evidence, Measurement, ModelInput, Region, Segmentation, Study

if TYPE_CHECKING:
    from whycad.plugin import Plugin

MAX_REASONS = 20
MAX_TEXT = 400
SUM_TOLERANCE = 1e-3


def kind_of(thing: object) -> str:
    """Return the name of a thing's type, fit for a message."""
    name = type(thing).__name__
    return name[:64] if name.isidentifier() else "an unnamed type"


def model_grid(study: Study, n_axes: int) -> tuple[int, ...]:
    """Return the source grid that a network of ``n_axes`` spatial axes sees.

    It is the study's own; ``(1, H, W)`` where a network of volumes reads a single image.
    """
    shape = study.spatial_shape
    return (1, *shape) if n_axes == 3 and len(shape) == 2 else shape


def check_model_input(plugin: Plugin, inputs: object, study: Study) -> None:
    """Check a preprocessed input against the manifest and the study.

    Raises
    ------
    PluginError
        Naming the plugin, the rule and what was found.
    """
    spec = plugin.manifest.input
    if not isinstance(inputs, ModelInput):
        raise PluginError(f"{plugin.label}: preprocess returned {kind_of(inputs)}, not a ModelInput")
    array, geometry = inputs.array, inputs.geometry
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise PluginError(f"{plugin.label}: preprocess returned {getattr(array, 'dtype', kind_of(array))}, not float32")
    expected = (spec.channels, *spec.shape)
    if array.shape != expected:
        raise PluginError(
            f"{plugin.label}: preprocess returned shape {array.shape}, but plugin.toml declares {expected}"
        )
    if not np.isfinite(array).all():
        raise PluginError(f"{plugin.label}: preprocess returned NaN or infinite values")
    grid = model_grid(study, len(spec.shape))
    if tuple(geometry.model_shape) != spec.shape or tuple(geometry.source_shape) != grid:
        raise PluginError(
            f"{plugin.label}: preprocess returned a geometry from {tuple(geometry.model_shape)} to "
            f"{tuple(geometry.source_shape)}, but the input is {spec.shape} and the image {grid}"
        )


def check_reasons(plugin: Plugin, reasons: object) -> tuple[str, ...]:
    """Return what a plugin's gate said, if it is a short list of plain sentences.

    Raises
    ------
    PluginError
    """
    if not isinstance(reasons, tuple | list) or len(reasons) > MAX_REASONS:
        raise PluginError(f"{plugin.label}: gate returned {kind_of(reasons)}, not a tuple of reasons")
    if any(not isinstance(reason, str) or not reason or len(reason) > MAX_TEXT for reason in reasons):
        raise PluginError(f"{plugin.label}: gate returned a reason that is no sentence of 1 to {MAX_TEXT} characters")
    return tuple(reasons)


def check_row(plugin: Plugin, returned: object) -> tuple[Study, Region | None]:
    """Return what a plugin's ``read_row`` gave, if it is a study and a region or None.

    Raises
    ------
    PluginError
    """
    if isinstance(returned, tuple) and len(returned) == 2:
        study, region = returned
        if isinstance(study, Study) and (region is None or isinstance(region, Region)):
            return study, region
    raise PluginError(f"{plugin.label}: read_row returned {kind_of(returned)}, not a Study and a Region or None")


def check_strange(plugin: Plugin, scores: object, n: int) -> NDArray[np.float64]:
    """Return a plugin's strangeness scores ``(n,)`` as float64, if they are finite numbers.

    Raises
    ------
    PluginError
    """
    array = np.asarray(scores) if isinstance(scores, np.ndarray) else np.empty(0)
    if array.shape != (n,) or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise PluginError(f"{plugin.label}: strange must return one finite number per input")
    return array.astype(np.float64)


def check_evidence(plugin: Plugin, evidence: object, study: Study) -> Evidence:
    """Return a plugin's evidence, if every part of it can be shown.

    Raises
    ------
    PluginError
        On another type, a number that is not finite, a mask off the study's grid, or a
        concept whose probabilities do not fit its levels.
    """
    if not isinstance(evidence, Evidence):
        raise PluginError(f"{plugin.label}: evidence returned {kind_of(evidence)}, not an Evidence")
    problems = [
        *(_measurement_problem(item) for item in evidence.measurements),
        *(_concept_problem(item) for item in evidence.concepts),
        *(_segmentation_problem(item, study) for item in evidence.segmentations),
    ]
    first = next(filter(None, problems), "")
    if first:
        raise PluginError(f"{plugin.label}: evidence returned {first}")
    return evidence


def _measurement_problem(item: object) -> str:
    if not isinstance(item, Measurement):
        return f"{kind_of(item)} as a measurement"
    if not math.isfinite(item.value):
        return f"a measurement {item.name[:40]!r} that is not a finite number"
    if not (math.isfinite(item.scale) and item.scale > 0):
        return f"a measurement {item.name[:40]!r} whose scale is not above 0"
    return ""


def _concept_problem(item: object) -> str:
    if not isinstance(item, Concept):
        return f"{kind_of(item)} as a concept"
    p = np.asarray(item.probabilities, dtype=np.float64)
    sound = p.shape == (len(item.levels),) and np.isfinite(p).all() and p.min(initial=0.0) >= 0
    if not sound or abs(float(p.sum()) - 1) > SUM_TOLERANCE:
        return f"a concept {item.name[:40]!r} whose probabilities do not fit its {len(item.levels)} levels"
    return ""


def _segmentation_problem(item: object, study: Study) -> str:
    if not isinstance(item, Segmentation):
        return f"{kind_of(item)} as a segmentation"
    if not isinstance(item.mask, np.ndarray) or item.mask.dtype != np.bool_:
        return f"a mask {item.name[:40]!r} that is not an array of bool"
    if item.mask.shape != study.spatial_shape:
        return f"a mask {item.name[:40]!r} of shape {item.mask.shape} for an image of {study.spatial_shape}"
    return ""
