"""One study read by one ensemble: what the result is made of, whether it is an image or a volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from whycad.admission import admit
from whycad.hooks import Hooks
from whycad.plugin_checks import model_grid
from whycad.reference import reference_of, with_places
from whycad.scoring import calibration_of, check_region, input_problems, no_score, score_inputs
from whycad.types import (
    AnalysisRequest,
    Decision,
    DecisionKind,
    Evidence,
    ModelInput,
    Prediction,
    Progress,
    SliceProfile,
    Study,
)
from whycad.uncertainty.assemble import predictions_from
from whycad.wording import GATE_BYPASSED

if TYPE_CHECKING:
    from whycad.inference import Ensemble

Number = TypeVar("Number", np.float32, np.bool_)


@dataclass(frozen=True, eq=False)
class Reading:
    """What came of reading a study.

    Attributes
    ----------
    study : Study
        What maps and evidence are made of: the study itself, or the slice that is shown.
    inputs : ModelInput or None
        The network's input for it; None where it was refused.
    prediction : Prediction
    profile : SliceProfile or None
        Of a volume that was read slice by slice.
    warnings : tuple of str
    """

    study: Study
    inputs: ModelInput | None
    prediction: Prediction
    profile: SliceProfile | None = None
    warnings: tuple[str, ...] = ()


def read_whole(study: Study, ensemble: Ensemble, request: AnalysisRequest, hooks: Hooks) -> Reading:
    """Read an image, or a volume that the network sees at once.

    A simulated image that the task's own gate refuses is scored all the same, for demonstration;
    its decision stays the refusal.

    Raises
    ------
    WhyCadError
        Of the kind that says which part failed.
    """
    plugin, manifest = ensemble.plugin, ensemble.plugin.manifest
    hooks.progress(Progress("preprocess", 0.02, "Preparing the image"))
    problems = input_problems(study, manifest)
    if problems:
        return Reading(study, None, no_score(manifest, problems, request.coverage))
    check_region(study, request.region)
    plugin.require_region(request.region)
    admission = admit(plugin, study, request.region, anyway=study.simulated)
    if admission.inputs is None:
        return Reading(study, None, no_score(manifest, admission.refused, request.coverage))
    hooks.check()
    hooks.progress(Progress("predict", 0.05, "Running the members"))
    calibration = calibration_of(plugin)
    found = score_inputs([admission.inputs], ensemble, calibration, hooks.cancelled)
    prediction = predictions_from(found, manifest, calibration, request.coverage)[0]
    return demonstrated(Reading(study, admission.inputs, prediction), admission.refused)


def demonstrated(reading: Reading, refused: tuple[str, ...]) -> Reading:
    """Return a reading with the gate's true answer, and a banner where a simulated image got past it."""
    prediction = reading.prediction
    if refused:
        prediction = replace(prediction, decision=Decision(DecisionKind.REJECT, refused))
    bypassed = reading.study.simulated and prediction.predicted and prediction.decision.kind is DecisionKind.REJECT
    warnings = (*reading.warnings, GATE_BYPASSED) if bypassed else reading.warnings
    return replace(reading, prediction=prediction, warnings=warnings)


def evidence_of(reading: Reading, ensemble: Ensemble, hooks: Hooks) -> Evidence:
    """Return the plugin's evidence, its outlines on the slice's or image's own grid.

    Measurements and concepts carry their places in the task's reference distributions.

    Raises
    ------
    PluginError, PredictionError, JobCancelledError
    ManifestError
        When the reference file is broken.
    """
    plugin = ensemble.plugin
    if reading.inputs is None or plugin.manifest.code.evidence is None:
        return Evidence()
    mean = mean_outputs([reading.inputs], ensemble, hooks.cancelled)
    found = plugin.evidence(reading.study, reading.inputs, {name: array[0] for name, array in mean.items()})
    return with_places(found, reference_of(plugin), plugin.manifest)


def mean_outputs(
    inputs: Sequence[ModelInput], ensemble: Ensemble, cancelled: Callable[[], bool] | None = None
) -> dict[str, NDArray[np.float32]]:
    """Return the members' extra outputs ``(n, ...)`` for n inputs, averaged over the members.

    Raises
    ------
    PluginError, PredictionError, JobCancelledError
        As ``Ensemble.evidence``.
    """
    import torch

    outputs = ensemble.evidence(torch.from_numpy(np.stack([item.array for item in inputs])), cancelled=cancelled)
    return {name: array.mean(axis=0, dtype=np.float32) for name, array in outputs.items()}


def on_source_grid(values: NDArray[Number], reading: Reading, shape: tuple[int, ...]) -> NDArray[Number]:
    """Bring a map or mask of what is shown onto the whole study's grid.

    Parameters
    ----------
    values : ndarray
        On the grid of ``reading.study``, or with a first axis of one before it.
    reading : Reading
    shape : tuple of int
        The study's spatial shape; of a volume read by slices, all other slices are 0.
    """
    own = reading.study.spatial_shape
    if values.shape == model_grid(reading.study, 3):
        values = values.reshape(own)
    if reading.profile is None:
        return values
    whole = np.zeros(shape, values.dtype)
    whole[reading.profile.shown] = values
    return whole
