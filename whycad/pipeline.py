"""``analyse``: the one way from a study to a calibrated, explained result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from whycad import __version__
from whycad.argument import with_findings
from whycad.batch import predict_batch
from whycad.errors import PluginError
from whycad.hooks import Hooks
from whycad.reading import Reading, evidence_of, on_source_grid, read_whole
from whycad.scoring import calibration_of, input_problems
from whycad.targets import Target, each_way, target_of
from whycad.types import AnalysisRequest, AnalysisResult, EvidenceLevel, Progress, Provenance, Study
from whycad.uncertainty.calibration import calibrate
from whycad.volume import is_read_by_slices, read_by_slices

if TYPE_CHECKING:
    from whycad.inference import Ensemble
    from whycad.manifest import Manifest
    from whycad.plugin import Plugin

__all__ = ["Hooks", "analyse", "calibration_of", "input_problems", "predict_batch"]


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
    read = read_by_slices if is_read_by_slices(study, plugin.manifest) else read_whole
    reading = read(study, ensemble, request, hooks)
    if reading.inputs is None:
        request = replace(request, explain=())
    result = _with_evidence(_result(study, request, reading, ensemble), reading, ensemble, hooks)
    hooks.partial(result)
    for step in _steps(result, plugin.manifest):
        result = _with_map(result, step, reading, ensemble, hooks)
        hooks.partial(result)
    hooks.progress(Progress("done", 1.0, "Done"))
    return result


def _with_evidence(result: AnalysisResult, reading: Reading, ensemble: Ensemble, hooks: Hooks) -> AnalysisResult:
    """Add the plugin's measurements, concepts and outlines."""
    evidence = evidence_of(reading, ensemble, hooks)
    outlines = [
        replace(item, mask=on_source_grid(item.mask, reading, result.source_shape)) for item in evidence.segmentations
    ]
    shown = replace(
        result, measurements=evidence.measurements, concepts=evidence.concepts, segmentations=tuple(outlines)
    )
    return with_findings(shown, ensemble.plugin)


@dataclass(frozen=True)
class _Step:
    """One map to make: number ``number`` from 0, of ``of``."""

    method: str
    target: Target
    number: int
    of: int


def _steps(result: AnalysisResult, manifest: Manifest) -> list[_Step]:
    """Return the maps that a request asks for, after checking it.

    Raises
    ------
    PluginError
        When a method does not fit the task.
    ManifestError, ExplanationError
        When the task cannot be asked for the target.
    """
    request = result.request
    if not request.explain:
        return []
    from whycad.explain import fitting_methods

    fitting = fitting_methods(manifest.explain)
    for method in request.explain:
        if method not in fitting:
            raise PluginError(
                f"task {manifest.id!r} does not offer method {method!r}", remedy=f"it offers {', '.join(fitting)}"
            )
    targets = each_way(result.prediction, manifest) if request.each_way else ()
    targets = targets or (target_of(request.target or result.prediction.predicted, manifest),)
    pairs = [(method, target) for method in request.explain for target in targets]
    return [_Step(method, target, number, len(pairs)) for number, (method, target) in enumerate(pairs)]


def _with_map(
    result: AnalysisResult, step: _Step, reading: Reading, ensemble: Ensemble, hooks: Hooks
) -> AnalysisResult:
    """Add one map."""
    from whycad.explain import ExplainOptions, explain

    hooks.check()
    assert reading.inputs is not None
    plugin = ensemble.plugin
    calibration = calibration_of(plugin)

    def report(fraction: float) -> None:
        whole = 0.15 + 0.85 * (step.number + fraction) / step.of
        hooks.progress(Progress("explain", whole, f"{step.method}, {fraction:.0%}"))

    options = ExplainOptions(
        seed=result.request.seed,
        gradcam_layer=plugin.manifest.explain.gradcam_layer,
        progress=report,
        cancelled=hooks.cancelled,
        probabilities=lambda logits: calibrate(np.asarray(logits), calibration).mean(axis=0),
    )
    columns = step.target.columns(plugin.manifest.label_codes)
    attribution = explain(step.method, ensemble, reading.inputs, columns, str(step.target), options)
    differs = attribution.disagreement
    shown = replace(
        attribution,
        map=on_source_grid(attribution.map, reading, result.source_shape),
        disagreement=None if differs is None else on_source_grid(differs, reading, result.source_shape),
    )
    return with_findings(replace(result, attributions=(*result.attributions, shown)), plugin)


def _evidence_notes(plugin: Plugin) -> tuple[str, ...]:
    model = plugin.manifest.evidence_model
    return () if model is None else (f"outlines and measurements by the evidence model, SHA-256 {model.sha256}",)


def _result(study: Study, request: AnalysisRequest, reading: Reading, ensemble: Ensemble) -> AnalysisResult:
    """Put together what a reading gave; evidence and maps come later."""
    plugin, manifest = ensemble.plugin, ensemble.plugin.manifest
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
        notes=(*ensemble.notes, *_evidence_notes(plugin)),
    )
    return AnalysisResult(
        study_sha256=study.sha256,
        source_shape=study.spatial_shape,
        request=request,
        prediction=reading.prediction,
        attributions=(),
        measurements=(),
        provenance=provenance,
        warnings=(*study.warnings, *ensemble.notes, *reading.warnings),
        metadata=dict(study.metadata),
        simulated=study.simulated or manifest.evidence_level is EvidenceLevel.SIMULATED,
        profile=reading.profile,
    )
