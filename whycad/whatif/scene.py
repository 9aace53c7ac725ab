"""A case that is being changed: what the network reads of it, and how changed copies are scored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.admission import admit
from whycad.errors import PredictionError
from whycad.hooks import Hooks
from whycad.scoring import calibration_of, check_region, input_problems, score_inputs
from whycad.types import (
    AnalysisRequest,
    Decision,
    DecisionKind,
    FloatArray,
    ModelInput,
    Prediction,
    Region,
    Study,
)
from whycad.uncertainty.assemble import predictions_from
from whycad.uncertainty.words import stranger_than
from whycad.volume import is_read_by_slices, slice_study
from whycad.whatif.request import WhatIfRequest, shown_slice

if TYPE_CHECKING:
    from whycad.inference import Ensemble
    from whycad.uncertainty.calibration import Calibration

SLICE_REMARK = "Both answers are for this slice alone, not for the volume."


@dataclass(frozen=True, eq=False)
class Scored:
    """What the model says of one changed image.

    Attributes
    ----------
    prediction : Prediction
    accepted : bool
        Whether the gate lets it pass and its strangeness is within calibration's bound.
    reasons : tuple of str
        Why not.
    inputs : ModelInput
    """

    prediction: Prediction
    accepted: bool
    reasons: tuple[str, ...]
    inputs: ModelInput


@dataclass(frozen=True, eq=False)
class Setting:
    """What scores: the members, their calibration, the level of the sets, and who follows."""

    ensemble: Ensemble
    calibration: Calibration
    coverage: float
    hooks: Hooks

    def predict(self, inputs: Sequence[ModelInput]) -> list[Prediction]:
        """Return what the served ensemble says of inputs.

        Raises
        ------
        PluginError, PredictionError, JobCancelledError
            As ``Ensemble.forward``.
        """
        found = score_inputs(list(inputs), self.ensemble, self.calibration, self.hooks.cancelled)
        return predictions_from(found, self.ensemble.plugin.manifest, self.calibration, self.coverage)


@dataclass(frozen=True, eq=False)
class Scene:
    """A case that is being changed.

    Attributes
    ----------
    whole : Study
        As the reader has it.
    study : Study
        What the network reads of it: the same, or one slice of a volume that is read by slices.
    region : Region or None
        Where the reader points, for the task's preprocessing.
    shown : int or None
        The slice of ``whole`` that is shown.
    setting : Setting
    before : Scored
        The case as it is.
    """

    whole: Study
    study: Study
    region: Region | None
    shown: int | None
    setting: Setting
    before: Scored

    @property
    def by_slice(self) -> bool:
        """Whether the network reads one slice of a volume."""
        return self.study is not self.whole

    def score(self, changed: Sequence[FloatArray]) -> list[Scored]:
        """Score changed pixels on the grid of ``study``.

        Raises
        ------
        WhyCadError
            When a changed image cannot be preprocessed or scored.
        """
        self.setting.hooks.check()
        return score_studies([_changed(self.study, pixels) for pixels in changed], self.region, self.setting)

    def on_whole(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bring a mask on the grid of ``study`` onto the whole study's."""
        if not self.by_slice:
            return mask
        whole = np.zeros(self.whole.spatial_shape, bool)
        whole[self.shown] = mask
        return whole

    def of_study(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the part of a mask on the whole study's grid that the network reads."""
        return np.asarray(mask[self.shown]) if self.by_slice else mask

    def picture(self, pixels: FloatArray) -> FloatArray:
        """Return what is shown of pixels on the grid of ``study``: an image, or one slice of a volume."""
        if len(self.study.spatial_shape) == 3:
            assert self.shown is not None
            return np.asarray(pixels[self.shown], np.float32)
        return np.asarray(pixels, np.float32)

    def name(self, label: str) -> str:
        """Return a label's name for the reader."""
        return self.setting.ensemble.plugin.manifest.label(label).name

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said of every change of this case."""
        return (SLICE_REMARK,) if self.by_slice else ()


def open_scene(study: Study, ensemble: Ensemble, request: AnalysisRequest, what: WhatIfRequest, hooks: Hooks) -> Scene:
    """Prepare a case to be changed, and score it as it is.

    Raises
    ------
    PredictionError
        When the case cannot be scored at all, so that there is nothing to compare with.
    GeometryError
        When the region or slice is not on the image.
    WhyCadError
        Of the kind that says which part failed.
    """
    plugin = ensemble.plugin
    check_region(study, request.region)
    shown = shown_slice(what, request.region, study)
    by_slice = is_read_by_slices(study, plugin.manifest)
    read, region = (slice_study(study, shown or 0), None) if by_slice else (study, request.region)
    plugin.require_region(region)
    problems = input_problems(read, plugin.manifest)
    problems = problems or (() if study.simulated else plugin.gate(read, region))
    if problems:
        raise PredictionError(f"the image cannot be scored, so nothing can be compared: {' '.join(problems)}")
    setting = Setting(ensemble, calibration_of(plugin), request.coverage, hooks)
    before = score_studies([read], region, setting)[0]
    return Scene(study, read, region, shown, setting, before)


def score_studies(studies: Sequence[Study], region: Region | None, setting: Setting) -> list[Scored]:
    """Score studies whatever the gate says of them, and keep what it says.

    Raises
    ------
    WhyCadError
        When one cannot be preprocessed or scored.
    """
    plugin = setting.ensemble.plugin
    admitted = [admit(plugin, study, region, anyway=True) for study in studies]
    inputs = [item.inputs for item in admitted if item.inputs is not None]
    predictions = setting.predict(inputs)
    return [
        _scored(prediction, item.refused, given)
        for prediction, item, given in zip(predictions, admitted, inputs, strict=True)
    ]


def _scored(prediction: Prediction, refused: tuple[str, ...], inputs: ModelInput) -> Scored:
    reasons = (*refused, *strange_reasons(prediction))
    if refused:
        prediction = replace(prediction, decision=Decision(DecisionKind.REJECT, refused))
    return Scored(prediction, not reasons, reasons, inputs)


def strange_reasons(prediction: Prediction) -> tuple[str, ...]:
    """Return why the gate would not trust an image's numbers, from its strangeness alone."""
    found = prediction.out_of_distribution
    if found is None or found.score <= found.threshold:
        return ()
    return (f"The image is {stranger_than(found.percentile)}.",)


def _changed(study: Study, pixels: FloatArray) -> Study:
    """Return a changed study with a hash of its own."""
    digest = hashlib.sha256(study.sha256.encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
    return replace(study, pixels=np.asarray(pixels, np.float32), sha256=digest)
