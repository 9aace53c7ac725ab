"""Many studies in one go: the numbers, and on request the evidence, but no maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.admission import admit
from whycad.errors import WhyCadError
from whycad.hooks import Hooks
from whycad.reading import evidence_of, mean_outputs
from whycad.scoring import calibration_of, check_region, input_problems, no_score, observe
from whycad.types import AnalysisRequest, Evidence, EvidenceLevel, ModelInput, Prediction, Region, Study
from whycad.uncertainty.assemble import numbers, predictions_from
from whycad.volume import is_read_by_slices, read_by_slices

if TYPE_CHECKING:
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one study came to.

    Attributes
    ----------
    prediction : Prediction
    evidence : Evidence
        Empty where it was not asked for or the study was refused.
    simulated : bool
        Whether the image or the model's training data were simulated.
    features : ndarray of float32 (d,) or None
        Penultimate features of all members, one after the other; None where they were not asked for, the
        model has none, or nothing reached it.
    """

    prediction: Prediction
    evidence: Evidence = field(default_factory=Evidence)
    simulated: bool = False
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class BatchOptions:
    """What to do with every study.

    Attributes
    ----------
    coverage : float
        Nominal coverage of the sets.
    evidence : bool
        Whether measurements and concepts are wanted too.
    features : bool
        Whether the members' features are wanted too.
    """

    coverage: float = 0.9
    evidence: bool = False
    features: bool = False


@dataclass(frozen=True, eq=False)
class _Ready:
    study: Study
    inputs: ModelInput


def predict_batch(
    studies: Sequence[Study],
    plugin: Plugin,
    ensemble: Ensemble,
    *,
    regions: Sequence[Region | None] | None = None,
    coverage: float = 0.9,
) -> list[Prediction | WhyCadError]:
    """Predict many studies in one go.

    Returns
    -------
    list of Prediction or WhyCadError
        One per study, in order; a study that fails has its error in its place.
    """
    cases = list(zip(studies, regions or [None] * len(studies), strict=True))
    outcomes = predict_cases(cases, plugin, ensemble, BatchOptions(coverage))
    return [item.prediction if isinstance(item, Outcome) else item for item in outcomes]


def predict_cases(
    cases: Sequence[tuple[Study, Region | None]], plugin: Plugin, ensemble: Ensemble, options: BatchOptions
) -> list[Outcome | WhyCadError]:
    """Predict many studies, each with what its reader pointed at.

    Images share their passes through the network; a volume that is read slice by slice makes its own.

    Returns
    -------
    list of Outcome or WhyCadError
        One per case, in order; a case that fails has its error in its place.
    """
    results: dict[int, Outcome | WhyCadError] = {}
    ready: dict[int, _Ready] = {}
    for index, (study, region) in enumerate(cases):
        try:
            prepared = _prepare(study, region, plugin, ensemble, options)
        except WhyCadError as error:
            results[index] = error
            continue
        if isinstance(prepared, _Ready):
            ready[index] = prepared
        else:
            results[index] = prepared
    results.update(zip(ready, _predict_ready(list(ready.values()), plugin, ensemble, options), strict=True))
    return [_marked(results[index], case[0], plugin) for index, case in enumerate(cases)]


def _marked(outcome: Outcome | WhyCadError, study: Study, plugin: Plugin) -> Outcome | WhyCadError:
    """Say of an outcome whether simulated data went into it."""
    if isinstance(outcome, WhyCadError):
        return outcome
    return replace(outcome, simulated=study.simulated or plugin.manifest.evidence_level is EvidenceLevel.SIMULATED)


def _prepare(
    study: Study, region: Region | None, plugin: Plugin, ensemble: Ensemble, options: BatchOptions
) -> _Ready | Outcome:
    """Preprocess an image, or go the whole way where there is nothing to share."""
    if is_read_by_slices(study, plugin.manifest):
        request = AnalysisRequest(region=region, coverage=options.coverage)
        reading = read_by_slices(study, ensemble, request, Hooks())
        return Outcome(reading.prediction, evidence_of(reading, ensemble, Hooks()) if options.evidence else Evidence())
    problems = input_problems(study, plugin.manifest)
    if problems:
        return Outcome(no_score(plugin.manifest, problems, options.coverage))
    check_region(study, region)
    plugin.require_region(region)
    admission = admit(plugin, study, region)
    if admission.inputs is None:
        return Outcome(no_score(plugin.manifest, admission.refused, options.coverage))
    return _Ready(study, admission.inputs)


def _predict_ready(
    ready: list[_Ready], plugin: Plugin, ensemble: Ensemble, options: BatchOptions
) -> Sequence[Outcome | WhyCadError]:
    """Predict inputs together; where that fails, one by one, so that one case fails alone."""
    if not ready:
        return []
    try:
        calibration = calibration_of(plugin)
        gated = calibration.ood is not None or (options.features and ensemble.has_features)
        observed = observe([item.inputs for item in ready], ensemble, gated=gated)
        found = predictions_from(numbers(observed, calibration), plugin.manifest, calibration, options.coverage)
        evidence = _evidence(ready, plugin, ensemble) if options.evidence else [Evidence()] * len(ready)
        features = _rows(observed.features if options.features else None, len(ready))
        return [Outcome(p, e, features=f) for p, e, f in zip(found, evidence, features, strict=True)]
    except WhyCadError as error:
        if len(ready) == 1:
            return [error]
        return [_predict_ready([item], plugin, ensemble, options)[0] for item in ready]


def _rows(features: NDArray[np.float64] | None, n: int) -> Sequence[NDArray[np.float32] | None]:
    return [None] * n if features is None else list(features.astype(np.float32))


def _evidence(ready: list[_Ready], plugin: Plugin, ensemble: Ensemble) -> list[Evidence]:
    if plugin.manifest.code.evidence is None:
        return [Evidence()] * len(ready)
    mean = mean_outputs([item.inputs for item in ready], ensemble)
    return [
        plugin.evidence(item.study, item.inputs, {name: array[i] for name, array in mean.items()})
        for i, item in enumerate(ready)
    ]
