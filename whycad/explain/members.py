"""One map of an ensemble from its members', and another of how far they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from whycad.explain.base import Explainer, ExplainOptions, ManyExplainer, RawMap
from whycad.explain.ensemble import EnsembleProbabilities, ExplainableEnsemble, asked
from whycad.explain.gradients import delta_remarks
from whycad.targets import Contrast
from whycad.types import Fidelity, FloatArray, ModelInput

OUT_OF_MEMORY_NOTE = "ran on the CPU after the GPU ran out of memory"


def over_members(
    explainer: Explainer,
    members: tuple[nn.Module, ...],
    inputs: ModelInput,
    target: int | Contrast,
    options: ExplainOptions,
) -> RawMap:
    """Explain each member's own output, and average.

    Parameters
    ----------
    explainer : Explainer
        Of scope ``member``.
    members : tuple of torch.nn.Module
        Copies that nobody else uses.
    inputs : ModelInput
    target : int or Contrast
    options : ExplainOptions
    """
    n = len(members)
    maps = []
    for index, member in enumerate(members):
        options.check_cancelled()

        def progress(fraction: float, done: int = index) -> None:
            options.progress((done + fraction) / n)

        with asked(member, target) as column:
            maps.append(_on_one_member(explainer, member, inputs, column, replace(options, progress=progress)))
    joined = {name: value for raw in maps for name, value in raw.parameters.items()}
    output = "logits" if isinstance(target, int) else "log-odds"
    parameters = {**joined, "members": n, "explains": f"mean over the members' {output}", "view": "identity"}
    mean = np.stack([raw.map for raw in maps]).mean(axis=0, dtype=np.float64)
    return RawMap(
        np.asarray(mean, dtype=np.float32),
        parameters,
        _joint_fidelity(maps),
        disagreement=disagreement([raw.map for raw in maps]),
    )


def over_ensemble(
    explainer: Explainer,
    ensemble: ExplainableEnsemble,
    inputs: ModelInput,
    target: int | Contrast,
    options: ExplainOptions,
) -> RawMap:
    """Explain the members' mean probability; a method that can, explains each member in the same passes.

    Parameters
    ----------
    explainer : Explainer
        Of scope ``ensemble``.
    ensemble : ExplainableEnsemble
    inputs : ModelInput
    target : int or Contrast
    options : ExplainOptions
    """
    scorer = EnsembleProbabilities(ensemble, options, target)
    if isinstance(explainer, ManyExplainer):
        joint, *alone = explainer.explain_many(scorer, inputs, None, options)
    else:
        joint, alone = explainer.explain(scorer, inputs, 0, options), []
    calibrated = "calibrated" if options.probabilities is not None else "uncalibrated"
    of_what = "probability" if isinstance(target, int) else "share of the probability"
    parameters = {**joint.parameters, "explains": f"{calibrated} mean {of_what} of the members", "view": "identity"}
    return replace(joint, parameters=parameters, disagreement=disagreement([raw.map for raw in alone]))


def disagreement(maps: Sequence[FloatArray]) -> FloatArray | None:
    """Return how far members' maps differ, pixel by pixel.

    Parameters
    ----------
    maps : sequence of ndarray of float32 (*shape)
        One per member; each is divided by its own largest magnitude first, so that members that
        agree on the places but not on the strength agree.

    Returns
    -------
    ndarray of float32 (*shape) or None
        Population standard deviation over the members: 0 where they agree, at most 1. None of
        fewer than two.
    """
    if len(maps) < 2:
        return None
    peaks = [float(np.abs(values).max()) for values in maps]
    alike = [values / peak if peak > 0 else values for values, peak in zip(maps, peaks, strict=True)]
    return np.asarray(np.stack(alike).std(axis=0, dtype=np.float64), dtype=np.float32)


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
