"""``analyse``: the one way from a study to a calibrated, explained result."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from whycad import __version__
from whycad.argument import with_findings
from whycad.batch import predict_batch
from whycad.case_maps import MapMaker, with_maps
from whycad.errors import ManifestError, PluginError, PredictionError
from whycad.hooks import Hooks
from whycad.reading import Reading, evidence_of, on_source_grid, read_whole
from whycad.scoring import calibration_of, input_problems
from whycad.types import AnalysisRequest, AnalysisResult, EvidenceLevel, Progress, Provenance, Study
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
    result = _with_similar(result, reading, ensemble, hooks)
    result = _with_artefacts(result, study, plugin)
    hooks.partial(result)
    result = with_maps(result, MapMaker(reading, ensemble, request, hooks))
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


def _with_similar(result: AnalysisResult, reading: Reading, ensemble: Ensemble, hooks: Hooks) -> AnalysisResult:
    """Add the nearest cases of the task's reference set; one that cannot be used is a remark, not a failure."""
    if reading.inputs is None or not ensemble.has_features:
        return result
    import torch

    from whycad.neighbours import SAME_IMAGE_REMARK, find_similar, is_same_image
    from whycad.reference_index import reference_of

    try:
        reference = reference_of(ensemble.plugin)
        if reference is None:
            return result
        features = ensemble.features(torch.from_numpy(reading.inputs.array[None]), cancelled=hooks.cancelled)
        similar = find_similar(result.prediction, features.numpy()[:, 0], reference)
    except (ManifestError, PredictionError) as error:
        return replace(result, warnings=(*result.warnings, f"Similar cases are not shown: {error}."))
    same = (SAME_IMAGE_REMARK,) if any(is_same_image(case) for case in similar) else ()
    return replace(result, similar=similar, warnings=(*result.warnings, *same))


def _with_artefacts(result: AnalysisResult, study: Study, plugin: Plugin) -> AnalysisResult:
    """Add what in the image is not of the patient; a detector that fails is a remark, not a failure."""
    from whycad.whatif.artefacts import find_artefacts

    try:
        found = find_artefacts(study, plugin)
    except PluginError as error:
        return replace(result, warnings=(*result.warnings, f"Artefacts were not looked for: {error}."))
    return replace(result, artefacts=tuple(dict.fromkeys(item.name for item in found)))


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
