"""Explanations: which parts of an image mattered to the output for one label.

``METHODS`` holds every module of this package that defines ``EXPLAINER``, by id.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from whycad.errors import ExplanationError
from whycad.explain.base import Explainer, ExplainOptions, RawMap
from whycad.explain.ensemble import EnsembleProbabilities, ExplainableEnsemble
from whycad.explain.integrated_gradients import delta_remarks
from whycad.imaging.geometry import map_to_source
from whycad.types import Attribution, Fidelity, FloatArray, Geometry, ModelInput

__all__ = ["METHODS", "Attribution", "ExplainOptions", "Explainer", "RawMap", "explain"]

OUT_OF_MEMORY_NOTE = "ran on the CPU after the GPU ran out of memory"


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


def explain(
    method: str,
    ensemble: ExplainableEnsemble,
    inputs: ModelInput,
    target_index: int,
    target_code: str,
    options: ExplainOptions | None = None,
) -> Attribution:
    """Explain an ensemble's output for one label on the source grid.

    Gradient methods explain each member's logit, and maps are averaged; perturbation methods
    explain the members' mean probability, calibrated where ``options.probabilities`` is given.
    Both see the image unflipped.

    Parameters
    ----------
    method : str
        A key of ``METHODS``.
    ensemble : ExplainableEnsemble
        Such as ``whycad.inference.Ensemble``.
    inputs : ModelInput
    target_index : int
        Column of the target in the output.
    target_code : str
        Its label code.
    options : ExplainOptions or None

    Returns
    -------
    Attribution
        ``map`` is float32 on the source's spatial grid, 0 outside the model's field of view.

    Raises
    ------
    ExplanationError
        When the method is unknown or cannot run on this model or input.
    JobCancelledError
        When ``options.cancelled`` says so.
    """
    options = options or ExplainOptions()
    if method not in METHODS:
        raise ExplanationError(
            f"there is no explanation method {method[:32]!r}", remedy=f"there are {', '.join(sorted(METHODS))}"
        )
    explainer = METHODS[method]
    if explainer.scope == "member":
        raw = _over_members(explainer, ensemble.explain_members(), inputs, target_index, options)
    else:
        scorer = EnsembleProbabilities(ensemble, options)
        raw = explainer.explain(scorer, inputs, target_index, options)
        calibrated = "calibrated" if options.probabilities is not None else "uncalibrated"
        explains = f"{calibrated} mean probability of the members"
        raw = replace(raw, parameters={**raw.parameters, "explains": explains, "view": "identity"})
    if not np.isfinite(raw.map).all():
        raise ExplanationError(f"{explainer.name} gave NaN or infinite values")
    return Attribution(
        method=method,
        target=target_code,
        map=to_source(np.asarray(raw.map, dtype=np.float32), inputs.geometry),
        signed=explainer.signed,
        parameters=raw.parameters,
        seed=options.seed,
        fidelity=raw.fidelity,
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


def _over_members(
    explainer: Explainer, members: tuple[nn.Module, ...], inputs: ModelInput, target: int, options: ExplainOptions
) -> RawMap:
    """Explain each member and average."""
    n = len(members)
    maps = []
    for index, member in enumerate(members):
        options.check_cancelled()

        def progress(fraction: float, done: int = index) -> None:
            options.progress((done + fraction) / n)

        maps.append(_on_one_member(explainer, member, inputs, target, replace(options, progress=progress)))
    joined = {name: value for raw in maps for name, value in raw.parameters.items()}
    parameters = {**joined, "members": n, "explains": "mean over the members' logits", "view": "identity"}
    mean = np.stack([raw.map for raw in maps]).mean(axis=0, dtype=np.float64)
    return RawMap(np.asarray(mean, dtype=np.float32), parameters, _joint_fidelity(maps))


def _on_one_member(
    explainer: Explainer, member: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions
) -> RawMap:
    try:
        return explainer.explain(member, inputs, target, options)
    except torch.OutOfMemoryError:
        raw = explainer.explain(member.cpu(), inputs, target, options)
        return replace(raw, parameters={**raw.parameters, "note": OUT_OF_MEMORY_NOTE})


def _joint_fidelity(maps: list[RawMap]) -> Fidelity:
    """Join the members' figures; deltas are weighed by the change in output that they refer to."""
    deltas = [raw.fidelity.convergence_delta for raw in maps]
    samples = [raw.fidelity.n_samples for raw in maps if raw.fidelity.n_samples is not None]
    n_samples = sum(samples) if samples else None
    known = [(abs(d), abs(raw.output_change or 0.0)) for d, raw in zip(deltas, maps, strict=True) if d is not None]
    if not known:
        return Fidelity(n_samples=n_samples)
    total = sum(change for _, change in known)
    delta = sum(d * change for d, change in known) / total if total > 0 else max(d for d, _ in known)
    return Fidelity(convergence_delta=delta, n_samples=n_samples, remarks=delta_remarks(delta))
