"""Volumes that a network of single images reads slice by slice, and what is said of the whole.

The rule: the members' probabilities are averaged over a short run of neighbouring slices, and the
volume is given the prediction of the most suspicious run, the one where a label that must not be
missed is most probable. The volume is referred where a slice could not be scored, and where two
neighbouring slices are unlike the calibration images or leave such a label open: a gate and a
set that hold for nineteen slices of twenty would otherwise refer nearly every volume of fifty.
Slices that stand alone are named in a remark. Slices go through the network in batches and only
their numbers are kept, so that memory does not grow with the volume.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.admission import Admission, admit
from whycad.hooks import Hooks
from whycad.manifest import Manifest
from whycad.reading import Reading, demonstrated
from whycad.scoring import calibration_of, check_region, input_problems, no_score, score_inputs
from whycad.types import (
    AnalysisRequest,
    Decision,
    DecisionKind,
    ModelInput,
    OutOfDistribution,
    Prediction,
    Progress,
    SliceProfile,
    Study,
)
from whycad.uncertainty.assemble import Numbers, numbers_of, predictions_from
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.conformal import sets_at

if TYPE_CHECKING:
    from whycad.inference import Ensemble

RUN_LENGTH = 3
SLICES_TOGETHER = 24
NEIGHBOURS = 2
PREDICT_START, PREDICT_END = 0.05, 0.15
MAX_RANGES = 6


def is_read_by_slices(study: Study, manifest: Manifest) -> bool:
    """Tell whether a study is a volume that the task reads slice by slice."""
    return manifest.input.per_slice and len(study.spatial_shape) == 3


def slice_study(volume: Study, index: int) -> Study:
    """Return one slice of a volume as a study of its own, with its own hash; its place in the patient is left out."""
    spacing = None if volume.spacing_mm is None else volume.spacing_mm[-2:]
    sha256 = hashlib.sha256(f"{volume.sha256}/{index}".encode()).hexdigest()
    return replace(volume, pixels=volume.pixels[index], sha256=sha256, spacing_mm=spacing, position_mm=None)


@dataclass(frozen=True, eq=False)
class SlicePasses:
    """What the members gave along a volume.

    Attributes
    ----------
    refused : dict of int to tuple of str
        Slices that cannot be scored, and why.
    numbers : tuple of int
        Slices that went through the network, ascending.
    found : Numbers
        Theirs, in that order.
    """

    refused: dict[int, tuple[str, ...]]
    numbers: tuple[int, ...]
    found: Numbers


def read_by_slices(study: Study, ensemble: Ensemble, request: AnalysisRequest, hooks: Hooks) -> Reading:
    """Read a volume slice by slice; see the module for the rule.

    Raises
    ------
    WhyCadError
        Of the kind that says which part failed.
    """
    plugin, manifest = ensemble.plugin, ensemble.plugin.manifest
    problems = input_problems(study, manifest)
    if problems:
        return Reading(study, None, no_score(manifest, problems, request.coverage))
    check_region(study, request.region)
    calibration = calibration_of(plugin)
    passes = _pass_slices(study, ensemble, calibration, hooks)
    found = dict(
        zip(passes.numbers, predictions_from(passes.found, manifest, calibration, request.coverage), strict=True)
    )
    call = _Call(manifest, calibration, request.coverage, len(study.pixels), passes, found)
    centre, prediction, everything_refused = call.whole()
    shown = centre if request.region is None else _slice_at(request.region.start[0], len(study.pixels))
    shown_study = slice_study(study, shown)
    inputs = plugin.preprocess(shown_study, None) if shown in found else None
    reading = Reading(shown_study, inputs, prediction, call.profile(shown), call.remarks(centre, shown))
    return demonstrated(reading, everything_refused)


def _slice_at(position: float, n: int) -> int:
    return int(np.clip(round(position), 0, n - 1))


def _pass_slices(study: Study, ensemble: Ensemble, calibration: Calibration, hooks: Hooks) -> SlicePasses:
    """Preprocess and score a volume batch by batch; a simulated one is scored whatever the gate says."""
    n = len(study.pixels)
    refused: dict[int, tuple[str, ...]] = {}
    numbers: list[int] = []
    parts: list[Numbers] = []
    waiting = iter(range(n))
    while chunk := list(islice(waiting, SLICES_TOGETHER)):
        hooks.check()
        done = PREDICT_START + (PREDICT_END - PREDICT_START) * chunk[0] / n
        hooks.progress(Progress("predict", done, f"Slice {chunk[0] + 1} of {n}"))
        inputs = _prepared(study, chunk, ensemble, refused)
        if inputs:
            numbers += inputs
            parts.append(score_inputs(list(inputs.values()), ensemble, calibration, hooks.cancelled))
    return SlicePasses(refused, tuple(numbers), _joined(parts, len(ensemble.members), len(calibration.labels)))


def _joined(parts: Sequence[Numbers], m: int, k: int) -> Numbers:
    """Put the numbers of several batches one after the other; of none, there are no cases."""
    nothing = Numbers(np.empty((m, 0, k)), np.empty((0, k)), np.empty((3, 0)), [])
    every = [nothing, *parts]
    return Numbers(
        np.concatenate([part.members for part in every], axis=1),
        np.concatenate([part.conformal_p for part in every]),
        np.concatenate([part.parts for part in every], axis=1),
        [gate for part in every for gate in part.gate],
    )


def _prepared(
    study: Study, chunk: Sequence[int], ensemble: Ensemble, refused: dict[int, tuple[str, ...]]
) -> dict[int, ModelInput]:
    """Preprocess the slices that may be scored; note the others in ``refused``."""
    inputs = {}
    for index in chunk:
        image = slice_study(study, index)
        shared = input_problems(image, ensemble.plugin.manifest)
        found = Admission(shared, None) if shared else admit(ensemble.plugin, image, None, anyway=study.simulated)
        if found.refused:
            refused[index] = found.refused
        if found.inputs is not None:
            inputs[index] = found.inputs
    return inputs


@dataclass(frozen=True, eq=False)
class _Call:
    """What is said of a volume, given every slice's prediction."""

    manifest: Manifest
    calibration: Calibration
    coverage: float
    n_slices: int
    passes: SlicePasses
    found: dict[int, Prediction]

    def whole(self) -> tuple[int, Prediction, tuple[str, ...]]:
        """Return the run's middle slice, the volume's prediction, and why all of it was refused, if it was."""
        usable = [i for i in self.found if i not in self.passes.refused and not _is_rejected(self.found[i])]
        if usable:
            centre, prediction = self._most_suspicious_run(usable)
            return centre, self._decided(prediction, usable), ()
        reasons = self._common_refusals()
        if not self.found:
            return self.n_slices // 2, no_score(self.manifest, reasons, self.coverage), ()
        centre, prediction = self._most_suspicious_run(list(self.found))
        return centre, prediction, reasons

    def _common_refusals(self) -> tuple[str, ...]:
        """Return the commonest reasons why slices were refused."""
        own = [p.decision.reasons for p in self.found.values() if _is_rejected(p)]
        counts = Counter(reason for reasons in (*self.passes.refused.values(), *own) for reason in reasons)
        return tuple(reason for reason, _ in counts.most_common(3))

    def _most_suspicious_run(self, usable: list[int]) -> tuple[int, Prediction]:
        rows = [self.passes.numbers.index(i) for i in usable]
        length = min(RUN_LENGTH, len(rows))
        members = self.passes.found.members[:, rows]
        runs = np.stack([members[:, s : s + length].mean(axis=1) for s in range(len(rows) - length + 1)], axis=1)
        first = int(np.argmax(runs.mean(axis=0)[:, _suspicious(self.manifest)].max(axis=1)))
        over_views = self.calibration.epistemic_over_views
        aleatoric = self.passes.found.parts[1, rows[first : first + length]].mean(keepdims=True)
        run = numbers_of(runs[:, first : first + 1], [None], self.calibration, aleatoric if over_views else None)
        prediction = predictions_from(run, self.manifest, self.calibration, self.coverage)[0]
        strangest = max((self.found[i].out_of_distribution for i in usable), key=_score, default=None)
        return usable[first + length // 2], replace(prediction, out_of_distribution=strangest)

    def _decided(self, prediction: Prediction, usable: list[int]) -> Prediction:
        """Add what single slices say to the run's own decision."""
        strange = self._strange(usable)
        unusable = sorted(set(range(self.n_slices)) - set(usable))
        reasons = list(prediction.decision.reasons)
        for codes, slices in self._open_labels(usable).items():
            if together := self._side_by_side(slices):
                reasons.append(f"{self._names(codes)} cannot be ruled out in {self._words(together)}.")
        if together := self._side_by_side(strange):
            reasons.append(f"Unlike the calibration images: {self._words(together)}.")
        if unusable:
            reasons.append(f"Could not be scored: {self._words(unusable)}.")
        kind = DecisionKind.REFER if reasons else DecisionKind.REPORT
        return replace(prediction, decision=Decision(kind, tuple(reasons)))

    def _strange(self, usable: list[int]) -> list[int]:
        return [i for i in usable if _is_strange(self.found[i].out_of_distribution)]

    def _names(self, codes: tuple[str, ...]) -> str:
        return ", ".join(self.manifest.label(code).name for code in codes)

    def _side_by_side(self, slices: list[int]) -> list[int]:
        """Keep the slices with a neighbour among them; a volume of one slice is its own neighbour."""
        if self.n_slices < NEIGHBOURS:
            return slices
        return [i for i in slices if i - 1 in slices or i + 1 in slices]

    def _alone(self, slices: list[int]) -> list[int]:
        together = self._side_by_side(slices)
        return [i for i in slices if i not in together]

    def _lone_remarks(self) -> list[str]:
        """Name the slices that say something no neighbour says, and that therefore did not refer the volume."""
        usable = [i for i in self.found if i not in self.passes.refused and not _is_rejected(self.found[i])]
        remarks = [
            f"Only in single slices, {self._names(codes)} cannot be ruled out: {self._words(alone)}."
            for codes, slices in self._open_labels(usable).items()
            if (alone := self._alone(slices))
        ]
        alone = self._alone(self._strange(usable))
        return remarks + ([f"Single slices unlike the calibration images: {self._words(alone)}."] if alone else [])

    def _open_labels(self, usable: list[int]) -> dict[tuple[str, ...], list[int]]:
        """Group slices by the labels that must not be missed and that they leave open."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for i in usable:
            codes = open_labels(self.found[i], self.manifest)
            if codes:
                groups.setdefault(codes, []).append(i)
        return groups

    def _words(self, slices: list[int]) -> str:
        return f"{len(slices)} of {self.n_slices} slices ({slice_ranges(slices)})"

    def profile(self, shown: int) -> SliceProfile:
        """Return every slice's numbers."""
        m, k = len(self.passes.found.members), len(self.manifest.labels)
        members = np.full((m, self.n_slices, k), np.nan, np.float32)
        ood, epistemic = (np.full(self.n_slices, np.nan, np.float32) for _ in range(2))
        for i, prediction in self.found.items():
            members[:, i] = prediction.member_probabilities
            gate = prediction.out_of_distribution
            ood[i] = np.nan if gate is None else gate.score
            epistemic[i] = prediction.uncertainty.epistemic
        return SliceProfile(
            probabilities=_mean_over_members(members),
            members=members,
            predicted=tuple(self.found[i].predicted if i in self.found else "" for i in range(self.n_slices)),
            decisions=tuple(self._slice_decision(i).value for i in range(self.n_slices)),
            ood_scores=ood,
            epistemic=epistemic,
            shown=shown,
        )

    def _slice_decision(self, index: int) -> DecisionKind:
        return DecisionKind.REJECT if index in self.passes.refused else self.found[index].decision.kind

    def remarks(self, centre: int, shown: int) -> tuple[str, ...]:
        """Return what the reader must know about numbers that stand for a whole volume."""
        remarks = []
        if self.found:
            remarks.append(
                f"The answer is that of the most suspicious run of {min(RUN_LENGTH, len(self.found))} neighbouring "
                f"slices, around slice {centre + 1} of {self.n_slices}; calibration and sets were fitted on single "
                "slices."
            )
        remarks += self._lone_remarks()
        if shown not in self.found:
            why = " ".join(self.passes.refused[shown])
            remarks.append(f"Slice {shown + 1} cannot be scored, so it has no maps: {why}")
        return tuple(remarks)


def _mean_over_members(members: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(members.mean(axis=0, dtype=np.float64), dtype=np.float32)


def _is_rejected(prediction: Prediction) -> bool:
    return prediction.decision.kind is DecisionKind.REJECT


def _score(gate: OutOfDistribution | None) -> float:
    return -np.inf if gate is None else gate.score


def _is_strange(gate: OutOfDistribution | None) -> bool:
    return gate is not None and gate.score > gate.threshold


def _suspicious(manifest: Manifest) -> list[int]:
    """Return the columns of the labels that must not be missed; of the severest where none is marked."""
    marked = [i for i, label in enumerate(manifest.labels) if label.must_not_miss]
    worst = max(label.severity for label in manifest.labels)
    severest = [i for i, label in enumerate(manifest.labels) if label.severity == worst]
    return marked or (severest if worst > 0 else list(range(1, len(manifest.labels))))


def open_labels(prediction: Prediction, manifest: Manifest) -> tuple[str, ...]:
    """Return the labels that must not be missed and that a prediction leaves open.

    These are the predicted one, those in the set at the policy's own level, and those as probable
    as the manifest's ``refer_probability``.
    """
    rule = manifest.decision
    judged = (prediction.predicted, *sets_at(prediction, rule.set_coverage, manifest.kind))
    return tuple(
        label.code
        for label in manifest.labels
        if label.must_not_miss
        and (label.code in judged or prediction.probability(label.code) >= rule.refer_probability.get(label.code, 2.0))
    )


def slice_ranges(slices: Sequence[int]) -> str:
    """Return slices as the reader counts them, from 1: ``3, 7 to 9``."""
    runs: list[list[int]] = []
    for index in sorted(slices):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    words = [f"{run[0] + 1}" if len(run) == 1 else f"{run[0] + 1} to {run[-1] + 1}" for run in runs[:MAX_RANGES]]
    return ", ".join(words) + (" and others" if len(runs) > MAX_RANGES else "")
