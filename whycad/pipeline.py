"""``analyse``: the one way from a study to a calibrated, explained result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad import __version__
from whycad.errors import JobCancelledError, ManifestError, PluginError, PredictionError, WhyCadError
from whycad.manifest import Manifest
from whycad.types import (
    AnalysisRequest,
    AnalysisResult,
    Attribution,
    Decision,
    DecisionKind,
    EvidenceLevel,
    Measurement,
    ModelInput,
    OutOfDistribution,
    Prediction,
    Progress,
    Provenance,
    Region,
    Study,
    Uncertainty,
)
from whycad.uncertainty.calibration import Calibration, calibrate, read_calibration
from whycad.uncertainty.conformal import conformal_set, nonconformity, p_values
from whycad.uncertainty.decision import CaseNumbers, decide, predict_label
from whycad.uncertainty.decomposition import decompose
from whycad.uncertainty.ood import METHOD as OOD_METHOD

if TYPE_CHECKING:
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin

Report = Callable[[Progress], None]
Deliver = Callable[[AnalysisResult], None]


@dataclass(frozen=True)
class Hooks:
    """How a caller follows and stops an analysis.

    Attributes
    ----------
    progress : callable
        Told how far the analysis is.
    cancelled : callable
        Asked between batches; True stops the analysis.
    partial : callable
        Given the result each time it has grown: first the prediction, then map by map.
    """

    progress: Report = lambda _progress: None
    cancelled: Callable[[], bool] = lambda: False
    partial: Deliver = lambda _result: None

    def check(self) -> None:
        """Raise where the caller has cancelled."""
        if self.cancelled():
            raise JobCancelledError("the analysis was cancelled")


def input_problems(study: Study, manifest: Manifest) -> tuple[str, ...]:
    """Return why this study cannot be scored by this task; empty where it can."""
    problems = []
    spec = manifest.input
    if study.modality not in spec.modalities:
        problems.append(f"The image is of modality {study.modality}; this task reads {', '.join(spec.modalities)}.")
    if study.is_colour != spec.colour:
        problems.append(f"The image is {'in colour' if study.is_colour else 'grey'}; this task reads the other kind.")
    if min(study.spatial_shape) < spec.min_size_px:
        problems.append(f"The image is smaller than {spec.min_size_px} pixels.")
    if float(study.pixels.max()) - float(study.pixels.min()) < 1e-6:
        problems.append("The image is one flat value.")
    return tuple(problems)


@lru_cache(maxsize=16)
def _read_calibration_once(path: Path, labels: tuple[str, ...], _stamp: int) -> Calibration:
    return read_calibration(path, labels)


def calibration_of(plugin: Plugin) -> Calibration:
    """Return the plugin's stored calibration; read again when the file changes.

    Raises
    ------
    ManifestError
        When it is missing or broken, or was fitted for other weights.
    """
    path = plugin.calibration_path()
    if path is None or not path.is_file():
        raise ManifestError(
            f"plugin {plugin.id!r} has no calibration file, so its scores are not probabilities",
            remedy="train or calibrate it with `whycad train`",
        )
    calibration = _read_calibration_once(path, plugin.manifest.label_codes, path.stat().st_mtime_ns)
    if calibration.source.weights_sha256 != plugin.weights_sha256:
        raise ManifestError(
            f"plugin {plugin.id!r}: the calibration was fitted for other weights",
            remedy="train or calibrate it with `whycad train`",
        )
    return calibration


def _no_score(manifest: Manifest, problems: tuple[str, ...], coverage: float) -> Prediction:
    """Return a prediction without numbers: the image never reached the model."""
    k = len(manifest.labels)
    nothing = np.full(k, np.nan, np.float32)
    return Prediction(
        labels=manifest.label_codes,
        probabilities=nothing,
        member_probabilities=np.empty((0, k), np.float32),
        predicted="",
        conformal_set=(),
        coverage=coverage,
        conformal_p=nothing,
        uncertainty=Uncertainty(float("nan"), float("nan"), float("nan")),
        out_of_distribution=None,
        decision=Decision(DecisionKind.REJECT, problems),
    )


@dataclass(frozen=True, eq=False)
class BatchOutput:
    """What the ensemble gave for n images: member probabilities (m, n, k) and features (n, d)."""

    members: NDArray[np.float64]
    features: NDArray[np.float64] | None


def _forward(
    inputs: Sequence[ModelInput], ensemble: Ensemble, calibration: Calibration, hooks: Hooks | None = None
) -> BatchOutput:
    import torch

    batch = torch.from_numpy(np.stack([item.array for item in inputs]))
    cancelled = hooks.cancelled if hooks is not None else None
    output = ensemble.forward(batch, with_features=calibration.ood is not None, cancelled=cancelled)
    members = calibrate(output.logits.numpy(), calibration)
    if output.features is None:
        return BatchOutput(members, None)
    features = output.features.numpy().astype(np.float64)
    return BatchOutput(members, np.concatenate(list(features), axis=1))


def _strangeness(features: NDArray[np.float64] | None, calibration: Calibration) -> list[OutOfDistribution | None]:
    if features is None or calibration.ood is None:
        return []
    reference = calibration.ood
    return [
        OutOfDistribution(float(s), reference.percentile(float(s)), reference.refer_above, OOD_METHOD)
        for s in reference.score(features)
    ]


def _predictions(
    output: BatchOutput, manifest: Manifest, calibration: Calibration, coverage: float
) -> list[Prediction]:
    mean = output.members.mean(axis=0)
    conformal = p_values(nonconformity(mean), calibration.conformal_scores)
    total, aleatoric, epistemic = decompose(output.members)
    strange = _strangeness(output.features, calibration) or [None] * len(mean)
    predictions = []
    for i, probabilities in enumerate(mean):
        label = predict_label(probabilities, manifest, calibration.prior)
        leading = manifest.label_codes[int(np.argmax(probabilities))]
        labels = conformal_set(conformal[i], manifest.label_codes, coverage, leading)
        numbers = CaseNumbers(probabilities, label, labels, float(epistemic[i]), strange[i])
        points = {
            point.name: (
                float(sum(probabilities[manifest.label_codes.index(code)] for code in point.labels)),
                calibration.operating_points[point.name].threshold,
            )
            for point in manifest.operating_points
            if point.name in calibration.operating_points
        }
        predictions.append(
            Prediction(
                labels=manifest.label_codes,
                probabilities=probabilities.astype(np.float32),
                member_probabilities=output.members[:, i].astype(np.float32),
                predicted=label,
                conformal_set=labels,
                coverage=coverage,
                conformal_p=conformal[i].astype(np.float32),
                uncertainty=Uncertainty(float(total[i]), float(aleatoric[i]), float(epistemic[i])),
                out_of_distribution=strange[i],
                decision=decide(numbers, manifest, calibration),
                operating_points=points,
            )
        )
    return predictions


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
    regions = regions if regions is not None else [None] * len(studies)
    results: list[Prediction | WhyCadError | None] = [None] * len(studies)
    ready: dict[int, ModelInput] = {}
    for index, (study, region) in enumerate(zip(studies, regions, strict=True)):
        problems = input_problems(study, plugin.manifest)
        if problems:
            results[index] = _no_score(plugin.manifest, problems, coverage)
            continue
        try:
            ready[index] = plugin.preprocess(study, region)
        except WhyCadError as error:
            results[index] = error
    if ready:
        for index, prediction in zip(
            ready, _predict_ready(list(ready.values()), plugin, ensemble, coverage), strict=True
        ):
            results[index] = prediction
    return [item if item is not None else PredictionError("no result") for item in results]


def _predict_ready(
    inputs: list[ModelInput], plugin: Plugin, ensemble: Ensemble, coverage: float
) -> Sequence[Prediction | WhyCadError]:
    """Predict inputs together; where that fails, one by one, so that one case fails alone."""
    calibration = calibration_of(plugin)
    try:
        return _predictions(_forward(inputs, ensemble, calibration), plugin.manifest, calibration, coverage)
    except WhyCadError as error:
        if len(inputs) == 1:
            return [error]
        return [_predict_ready([item], plugin, ensemble, coverage)[0] for item in inputs]


def analyse(
    study: Study,
    plugin: Plugin,
    request: AnalysisRequest,
    *,
    ensemble: Ensemble | None = None,
    device: str | None = None,
    hooks: Hooks | None = None,
) -> AnalysisResult:
    """Predict, decide and explain one study.

    Parameters
    ----------
    study : Study
    plugin : Plugin
    request : AnalysisRequest
    ensemble : Ensemble or None
        Loaded members; None loads them.
    device : str or None
        ``cpu``, ``cuda`` or None for automatic, where ``ensemble`` is None.
    hooks : Hooks or None
        Progress, cancellation and partial results.

    Raises
    ------
    WhyCadError
        Of the kind that says which part failed; a case that is declined is a result, not an error.
    """
    from whycad.inference import choose_device, load_members

    hooks = hooks or Hooks()
    ensemble = ensemble or load_members(plugin, choose_device(device))
    hooks.progress(Progress("preprocess", 0.02, "Preparing the image"))
    problems = input_problems(study, plugin.manifest)
    if problems:
        prediction = _no_score(plugin.manifest, problems, request.coverage)
        return _result(study, plugin, replace(request, explain=()), prediction, ensemble)
    inputs = plugin.preprocess(study, request.region)
    hooks.check()
    hooks.progress(Progress("predict", 0.05, "Running the members"))
    calibration = calibration_of(plugin)
    output = _forward([inputs], ensemble, calibration, hooks)
    prediction = _predictions(output, plugin.manifest, calibration, request.coverage)[0]
    result = _result(study, plugin, request, prediction, ensemble)
    hooks.partial(result)
    for step in range(len(request.explain)):
        result = _with_map(result, step, inputs, plugin, ensemble, hooks)
        hooks.partial(result)
    hooks.progress(Progress("done", 1.0, "Done"))
    return result


def _with_map(
    result: AnalysisResult, step: int, inputs: ModelInput, plugin: Plugin, ensemble: Ensemble, hooks: Hooks
) -> AnalysisResult:
    """Add the map of the request's method number ``step``."""
    from whycad.explain import ExplainOptions, explain

    hooks.check()
    request, method = result.request, result.request.explain[step]
    if method not in plugin.manifest.explain.methods:
        raise PluginError(
            f"task {plugin.manifest.id!r} does not offer method {method!r}",
            remedy=f"it offers {', '.join(plugin.manifest.explain.methods)}",
        )
    code = request.target or result.prediction.predicted
    plugin.manifest.label(code)
    calibration = calibration_of(plugin)

    def report(fraction: float) -> None:
        whole = 0.15 + 0.85 * (step + fraction) / len(request.explain)
        hooks.progress(Progress("explain", whole, f"{method}, {fraction:.0%}"))

    options = ExplainOptions(
        seed=request.seed,
        gradcam_layer=plugin.manifest.explain.gradcam_layer,
        progress=report,
        cancelled=hooks.cancelled,
        probabilities=lambda logits: calibrate(np.asarray(logits), calibration).mean(axis=0),
    )
    attribution: Attribution = explain(method, ensemble, inputs, plugin.manifest.label_codes.index(code), code, options)
    return replace(result, attributions=(*result.attributions, attribution))


def _result(
    study: Study, plugin: Plugin, request: AnalysisRequest, prediction: Prediction, ensemble: Ensemble
) -> AnalysisResult:
    manifest = plugin.manifest
    measurements: tuple[Measurement, ...] = ()
    provenance = Provenance(
        plugin_id=manifest.id,
        plugin_version=manifest.version,
        weights_sha256=plugin.weights_sha256,
        code_version=__version__,
        device=str(ensemble.runs_on),
        precision=ensemble.precision,
        evidence_level=manifest.evidence_level,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=request.seed,
        calibration_set=calibration_of(plugin).source.dataset,
        notes=tuple(ensemble.notes),
    )
    return AnalysisResult(
        study_sha256=study.sha256,
        source_shape=study.spatial_shape,
        request=request,
        prediction=prediction,
        attributions=(),
        measurements=measurements,
        provenance=provenance,
        warnings=(*study.warnings, *ensemble.notes),
        metadata=dict(study.metadata),
        simulated=study.simulated or manifest.evidence_level is EvidenceLevel.SIMULATED,
    )
