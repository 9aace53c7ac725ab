"""Explanations: which parts of an image mattered to the output for one label.

``METHODS`` holds every module of this package that defines ``EXPLAINER``, by id.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType

import numpy as np

from whycad.errors import ExplanationError
from whycad.explain.base import Explainer, ExplainOptions, RawMap
from whycad.explain.ensemble import ExplainableEnsemble
from whycad.explain.members import over_ensemble, over_members
from whycad.imaging.geometry import map_to_source
from whycad.manifest import Explain
from whycad.targets import Contrast
from whycad.types import Attribution, FloatArray, Geometry, ModelInput

__all__ = [
    "METHODS",
    "Attribution",
    "ExplainOptions",
    "Explainer",
    "RawMap",
    "attribution_of",
    "explain",
    "explain_on_model_grid",
    "fitting_methods",
]


def _discovered() -> Mapping[str, Explainer]:
    found: dict[str, Explainer] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        explainer = getattr(importlib.import_module(f"{__name__}.{module.name}"), "EXPLAINER", None)
        if explainer is None:
            continue
        if explainer.id in found:
            raise ImportError(f"two explanation methods are called {explainer.id!r}")
        found[explainer.id] = explainer
    return MappingProxyType(found)


METHODS: Mapping[str, Explainer] = _discovered()


def fitting_methods(section: Explain) -> tuple[str, ...]:
    """Return every method that fits a task: first those that it offers readers, then the others for researchers.

    A method that reads a layer fits where the manifest names one.

    Parameters
    ----------
    section : whycad.manifest.Explain
    """
    others = [id_ for id_, one in METHODS.items() if section.gradcam_layer or not one.needs_layer]
    return tuple(dict.fromkeys((*section.methods, *(id_ for id_ in others if id_ not in section.unfit))))


def explain(
    method: str,
    ensemble: ExplainableEnsemble,
    inputs: ModelInput,
    target_index: int | Contrast,
    target_code: str,
    options: ExplainOptions | None = None,
) -> Attribution:
    """Explain an ensemble's output for one label on the source grid.

    Gradient methods explain each member's logit, and maps are averaged; perturbation methods
    explain the members' mean probability, calibrated where ``options.probabilities`` is given.
    Of a contrast (``whycad.targets``) they explain the log-odds, and the asked labels' share of
    the probability of all that it names. Both see the image unflipped.

    Parameters
    ----------
    method : str
        A key of ``METHODS``.
    ensemble : ExplainableEnsemble
        Such as ``whycad.inference.Ensemble``.
    inputs : ModelInput
    target_index : int or Contrast
        Column of the target in the output, or the columns that are set against each other.
    target_code : str
        Its label code, or the text of a ``whycad.targets.Target``.
    options : ExplainOptions or None

    Returns
    -------
    Attribution
        ``map`` is float32 on the source's spatial grid, 0 outside the model's field of view; so is
        ``disagreement``, where there are several members.

    Raises
    ------
    ExplanationError
        When the method is unknown or cannot run on this model or input.
    JobCancelledError
        When ``options.cancelled`` says so.
    """
    options = options or ExplainOptions()
    raw = explain_on_model_grid(method, ensemble, inputs, target_index, options)
    return attribution_of(method, raw, inputs.geometry, target_code, options.seed)


def explain_on_model_grid(
    method: str,
    ensemble: ExplainableEnsemble,
    inputs: ModelInput,
    target_index: int | Contrast,
    options: ExplainOptions,
) -> RawMap:
    """Explain an ensemble's output on the model's own grid; see ``explain``."""
    if method not in METHODS:
        raise ExplanationError(
            f"there is no explanation method {method[:32]!r}", remedy=f"there are {', '.join(sorted(METHODS))}"
        )
    explainer = METHODS[method]
    if explainer.scope == "member":
        members = ensemble.explain_members() if explainer.needs_layer else ensemble.gradient_members()
        raw = over_members(explainer, members, inputs, target_index, options)
    else:
        raw = over_ensemble(explainer, ensemble, inputs, target_index, options)
    if not np.isfinite(raw.map).all():
        raise ExplanationError(f"{explainer.name} gave NaN or infinite values")
    return raw


def attribution_of(method: str, raw: RawMap, geometry: Geometry, target_code: str, seed: int) -> Attribution:
    """Bring a map from the model's grid to the source's."""
    return Attribution(
        method=method,
        target=target_code,
        map=to_source(np.asarray(raw.map, dtype=np.float32), geometry),
        signed=METHODS[method].signed,
        parameters=raw.parameters,
        seed=seed,
        fidelity=raw.fidelity,
        disagreement=None if raw.disagreement is None else to_source(raw.disagreement, geometry),
    )


def to_source(values: FloatArray, geometry: Geometry) -> FloatArray:
    """Bring a map onto the source's grid; of a volume only the part that the model sees is computed.

    Zeros that nobody has written to take no memory, so that a patch of a large volume stays cheap.

    Raises
    ------
    GeometryError
        When the map is not on the model's grid.
    """
    d = len(geometry.model_shape)
    if d == 2:
        return map_to_source(values, geometry)
    ends = [(-0.5, side - 0.5) for side in geometry.model_shape]
    corners = geometry.points_to_source(np.array(list(product(*ends)), dtype=np.float64))
    low = np.clip(np.floor(corners.min(axis=0)), 0, geometry.source_shape).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, low, geometry.source_shape).astype(int)
    whole = np.zeros(geometry.source_shape, np.float32)
    if (high > low).all():
        matrix = geometry.to_source.copy()
        matrix[:d, d] -= low
        part = Geometry(matrix, geometry.model_shape, tuple(int(n) for n in high - low))
        whole[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))] = map_to_source(values, part)
    return whole
