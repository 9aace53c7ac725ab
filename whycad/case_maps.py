"""The maps of one case: each is handed on as soon as it is there, and again with its grade."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from whycad.argument import with_findings
from whycad.errors import ExplanationError, ManifestError, PluginError, PredictionError
from whycad.hooks import Hooks
from whycad.reading import Reading, on_source_grid
from whycad.scoring import calibration_of
from whycad.targets import Target, each_way, target_of
from whycad.types import AnalysisRequest, AnalysisResult, Fidelity, Progress
from whycad.uncertainty.calibration import calibrate

if TYPE_CHECKING:
    from whycad.explain import ExplainOptions, RawMap
    from whycad.explain.fidelity.case import CaseGrader
    from whycad.inference import Ensemble
    from whycad.manifest import Manifest

# Of a map that is graded, the share of its progress that making it takes.
MAKING = 0.6


@dataclass(frozen=True, eq=False)
class MapMaker:
    """What maps are made of; what tests them is made once per target and kept."""

    reading: Reading
    ensemble: Ensemble
    request: AnalysisRequest
    hooks: Hooks
    graders: dict[str, CaseGrader] = field(default_factory=dict)


def with_maps(result: AnalysisResult, maker: MapMaker) -> AnalysisResult:
    """Add the maps that a request asks for, telling ``maker.hooks.partial`` of each.

    Raises
    ------
    PluginError
        When a method does not fit the task.
    ManifestError, ExplanationError
        When the task cannot be asked for the target, or a method cannot run.
    PredictionError, JobCancelledError
    """
    for step in _steps(result, maker.request, maker.ensemble.plugin.manifest):
        result = _with_map(result, step, maker)
    return result


@dataclass(frozen=True)
class _Step:
    """One map to make: number ``number`` from 0, of ``of``."""

    method: str
    target: Target
    number: int
    of: int


def _steps(result: AnalysisResult, request: AnalysisRequest, manifest: Manifest) -> list[_Step]:
    """Return the maps that a request asks for, after checking it."""
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


def _with_map(result: AnalysisResult, step: _Step, maker: MapMaker) -> AnalysisResult:
    """Add one map; hand it on as soon as it is there, and again with its grade."""
    from whycad.explain import attribution_of, explain_on_model_grid

    hooks, reading = maker.hooks, maker.reading
    hooks.check()
    assert reading.inputs is not None
    columns = step.target.columns(maker.ensemble.plugin.manifest.label_codes)
    options = _options(maker, _report(step, hooks, MAKING if maker.request.grade else 1.0))
    raw = explain_on_model_grid(step.method, maker.ensemble, reading.inputs, columns, options)
    made = attribution_of(step.method, raw, reading.inputs.geometry, str(step.target), options.seed)
    differs = made.disagreement
    shown = replace(
        made,
        map=on_source_grid(made.map, reading, result.source_shape),
        disagreement=None if differs is None else on_source_grid(differs, reading, result.source_shape),
    )
    plugin = maker.ensemble.plugin
    grown = with_findings(replace(result, attributions=(*result.attributions, shown)), plugin)
    hooks.partial(grown)
    if not maker.request.grade:
        return grown
    hooks.progress(_progress(step, MAKING, f"Testing the {step.method} map"))
    fidelity = _tested(result, step, raw, maker)
    graded = replace(result, attributions=(*result.attributions, replace(shown, fidelity=fidelity)))
    graded = with_findings(_with_agreement(graded, str(step.target), maker), plugin)
    hooks.partial(graded)
    return graded


def _tested(result: AnalysisResult, step: _Step, raw: RawMap, maker: MapMaker) -> Fidelity:
    """Return what tests say of a map; where they cannot be made the map stays, ungraded, and says so."""
    try:
        return _grader(result, step.target, maker).grade(step.method, raw.map, raw.fidelity)
    except (ExplanationError, ManifestError, PredictionError) as error:
        return replace(raw.fidelity, remarks=(f"The map could not be tested: {error.message}.", *raw.fidelity.remarks))


def _report(step: _Step, hooks: Hooks, share: float) -> Callable[[float], None]:
    return lambda fraction: hooks.progress(_progress(step, share * fraction, f"{step.method}, {fraction:.0%}"))


def _progress(step: _Step, fraction: float, message: str) -> Progress:
    return Progress("explain", 0.15 + 0.85 * (step.number + fraction) / step.of, message)


def _options(maker: MapMaker, report: Callable[[float], None]) -> ExplainOptions:
    from whycad.explain import ExplainOptions

    plugin = maker.ensemble.plugin
    calibration = calibration_of(plugin)
    return ExplainOptions(
        seed=maker.request.seed,
        stop_when_stable=maker.request.stop_when_stable,
        gradcam_layer=plugin.manifest.explain.gradcam_layer,
        progress=report,
        cancelled=maker.hooks.cancelled,
        probabilities=lambda logits: calibrate(np.asarray(logits), calibration).mean(axis=0),
    )


def _grader(result: AnalysisResult, target: Target, maker: MapMaker) -> CaseGrader:
    """Return what tests maps of a target, made on first use."""
    from whycad.explain.fidelity.case import CaseGrader, Question
    from whycad.explain.fidelity.inside import mask_on_model_grid
    from whycad.map_grades import map_grades_of

    kept = maker.graders.get(str(target))
    if kept is not None:
        return kept
    plugin, inputs = maker.ensemble.plugin, maker.reading.inputs
    assert inputs is not None
    shown = None if maker.reading.profile is None else maker.reading.profile.shown
    outlines = {
        item.name: mask_on_model_grid(item.mask if shown is None else item.mask[shown], inputs.geometry)
        for item in result.segmentations
    }
    columns = target.columns(plugin.manifest.label_codes)
    options = _options(maker, lambda _fraction: None)
    question = Question(maker.ensemble, inputs, columns, target.name(plugin.manifest), options, outlines)
    maker.graders[str(target)] = CaseGrader(question, map_grades_of(plugin).thresholds)
    return maker.graders[str(target)]


def _with_agreement(result: AnalysisResult, target: str, maker: MapMaker) -> AnalysisResult:
    """Let every map of a target know how far all of them agree."""
    grader = maker.graders.get(target)
    attributions = tuple(
        replace(item, fidelity=replace(item.fidelity, agreement=grader.agreement(item.method)))
        if item.target == target and item.fidelity.grade and grader is not None
        else item
        for item in result.attributions
    )
    return replace(result, attributions=attributions)
