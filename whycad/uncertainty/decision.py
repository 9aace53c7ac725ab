"""From numbers to what the reader is told to do: report, refer or reject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.manifest import Manifest
from whycad.types import Decision, DecisionKind, OutOfDistribution, TaskKind
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.scaling import normalised
from whycad.uncertainty.words import gate_sentence, stranger_than


@dataclass(frozen=True, eq=False)
class CaseNumbers:
    """What the decision looks at, for one case; arrays follow the manifest's labels.

    ``conformal_set`` is the one at the manifest's ``decision.set_coverage``, whatever level the
    reader has chosen to see.
    """

    probabilities: NDArray[np.float64]
    predicted: str
    conformal_set: tuple[str, ...]
    epistemic: float
    out_of_distribution: OutOfDistribution | None


def predict_label(probabilities: NDArray[np.float64], manifest: Manifest, prior: Sequence[float]) -> str:
    """Return the label that the manifest's decision rule chooses.

    Parameters
    ----------
    probabilities : ndarray (k,)
    manifest : Manifest
    prior : sequence of float (k,)
        Prevalence in the calibration data.
    """
    return manifest.label_codes[int(predicted_indices(probabilities[None], manifest, prior)[0])]


def utilities(probabilities: NDArray[np.float64], manifest: Manifest, prior: Sequence[float]) -> NDArray[np.float64]:
    """Return what the rule maximises, ``(..., k)``, scaled to add up to 1: how sure the rule is of each label."""
    rule = manifest.decision
    weights = np.array([rule.class_weights.get(code, 1.0) for code in manifest.label_codes])
    return normalised(probabilities * weights / np.asarray(prior) ** rule.balance_power)


def predicted_indices(
    probabilities: NDArray[np.float64], manifest: Manifest, prior: Sequence[float]
) -> NDArray[np.int64]:
    """Return the column ``(n,)`` that the rule chooses for each row of probabilities ``(n, k)``."""
    return np.asarray(utilities(probabilities, manifest, prior).argmax(axis=1), dtype=np.int64)


def cost_matrix(manifest: Manifest) -> NDArray[np.float64]:
    """Return the cost ``(k, k)`` of reporting the column's label where the row's is true.

    All ones off the diagonal (the share of wrong labels) for a task without a cost table.
    """
    codes, costs = manifest.label_codes, manifest.decision.costs
    if costs is None:
        return np.ones((len(codes), len(codes))) - np.eye(len(codes))
    return np.array([[costs.report.get(true, {}).get(said, 0.0) for said in codes] for true in codes])


def expected_cost(probabilities: NDArray[np.float64], predicted: str, manifest: Manifest) -> float:
    """Return the mean cost of reporting a label, given the probabilities ``(k,)`` of each truth."""
    return float(probabilities @ cost_matrix(manifest)[:, manifest.label_codes.index(predicted)])


def decide(case: CaseNumbers, manifest: Manifest, calibration: Calibration) -> Decision:
    """Apply the manifest's policy; every reason is a sentence for the reader.

    The gate rejects; the gate, an ambiguous or empty set, a label that must not be missed, members
    that disagree, and the cost table refer. Costs never overrule one of the other rules.
    """
    ood = case.out_of_distribution
    reference = calibration.ood
    if ood is not None and reference is not None and ood.score > reference.reject_above:
        why = gate_sentence(ood.method)
        return Decision(
            DecisionKind.REJECT, (f"The image is unlike anything the model was calibrated on. {why}".strip(),)
        )
    reasons = [
        *_strange(ood),
        *_ambiguous(case, manifest),
        *_dangerous(case, manifest),
        *_likely(case, manifest),
        *_disputed(case, manifest, calibration),
        *_costly(case, manifest),
    ]
    return Decision(DecisionKind.REFER if reasons else DecisionKind.REPORT, tuple(reasons))


def _strange(ood: OutOfDistribution | None) -> list[str]:
    if ood is None or ood.score <= ood.threshold:
        return []
    return [f"The image is {stranger_than(ood.percentile)}. {gate_sentence(ood.method)}".strip()]


def _ambiguous(case: CaseNumbers, manifest: Manifest) -> list[str]:
    size, k = len(case.conformal_set), len(manifest.labels)
    if manifest.kind is TaskKind.BINARY and size == 0:
        return ["The image fits neither answer as the calibration images do; it may show something else."]
    if size < min(manifest.decision.refer_set_size, k):
        return []
    if manifest.kind is TaskKind.BINARY:
        return ["Neither of the two answers can be ruled out."]
    if manifest.kind is TaskKind.ORDINAL:
        first, last = (manifest.label(case.conformal_set[end]).name for end in (0, -1))
        return [f"No stage from {first} to {last} can be ruled out."]
    return [f"{size} of {k} diagnoses cannot be ruled out."]


def _dangerous(case: CaseNumbers, manifest: Manifest) -> list[str]:
    """Refer where a label that must not be missed is predicted or cannot be ruled out."""
    wanted = [label for label in manifest.labels if label.must_not_miss]
    predicted = manifest.label(case.predicted)
    if predicted.must_not_miss:
        return [f"{predicted.name} must not be missed: it is the leading diagnosis."]
    open_labels = [label.name for label in wanted if label.code in case.conformal_set]
    if not open_labels:
        return []
    names = ", ".join(name.lower() for name in open_labels)
    return [f"The set holds what must not be missed: {names}."]


def _likely(case: CaseNumbers, manifest: Manifest) -> list[str]:
    """Refer where a label is more probable than the manifest lets pass."""
    found = []
    for code, bound in manifest.decision.refer_probability.items():
        value = float(case.probabilities[manifest.label_codes.index(code)])
        if value >= bound and code != case.predicted:
            found.append(f"{manifest.label(code).name} has a probability of {value:.1%}; {bound:.1%} is too much.")
        elif value >= bound:
            found.append(f"{manifest.label(code).name} has a probability of {value:.1%}.")
    return found


def _disputed(case: CaseNumbers, manifest: Manifest, calibration: Calibration) -> list[str]:
    percentile = calibration.epistemic_percentile(case.epistemic)
    if percentile < manifest.decision.refer_epistemic_percentile:
        return []
    return [f"The members disagree more than on {percentile:.0f} % of the calibration images."]


def _costly(case: CaseNumbers, manifest: Manifest) -> list[str]:
    costs = manifest.decision.costs
    if costs is None:
        return []
    harm = expected_cost(case.probabilities, case.predicted, manifest)
    if harm <= costs.refer:
        return []
    return [f"By the task's cost table a report would cost {harm:.2g} on average, a referral {costs.refer:g}."]
