"""``analyse``: the one way from a study to a calibrated, explained result."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from whycad import __version__
from whycad.batch import predict_batch
from whycad.errors import PluginError
from whycad.hooks import Hooks
from whycad.reading import Reading, evidence_of, on_source_grid, read_whole
from whycad.scoring import calibration_of, input_problems
from whycad.types import AnalysisRequest, AnalysisResult, EvidenceLevel, Progress, Provenance, Study
from whycad.uncertainty.calibration import calibrate
from whycad.volume import is_read_by_slices, read_by_slices

if TYPE_CHECKING:
    from whycad.inference import Ensemble
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
    for step in range(len(request.explain)):
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
    return replace(
        result, measurements=evidence.measurements, concepts=evidence.concepts, segmentations=tuple(outlines)
    )


def _with_map(result: AnalysisResult, step: int, reading: Reading, ensemble: Ensemble, hooks: Hooks) -> AnalysisResult:
    """Add the map of the request's method number ``step``."""
    from whycad.explain import ExplainOptions, explain

    hooks.check()
    assert reading.inputs is not None
    plugin = ensemble.plugin
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
    column = plugin.manifest.label_codes.index(code)
    attribution = explain(method, ensemble, reading.inputs, column, code, options)
    values = on_source_grid(attribution.map, reading, result.source_shape)
    return replace(result, attributions=(*result.attributions, replace(attribution, map=values)))


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
        notes=tuple(ensemble.notes),
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
