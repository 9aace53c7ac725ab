"""From numbers to what the reader is told to do: report, refer or reject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.manifest import Manifest
from whycad.types import Decision, DecisionKind, OutOfDistribution
from whycad.uncertainty.calibration import Calibration


@dataclass(frozen=True, eq=False)
class CaseNumbers:
    """What the decision looks at, for one case; arrays follow the manifest's labels."""

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
    rule = manifest.decision
    weights = np.array([rule.class_weights.get(code, 1.0) for code in manifest.label_codes])
    utility = probabilities * weights / np.asarray(prior) ** rule.balance_power
    return manifest.label_codes[int(np.argmax(utility))]


def decide(case: CaseNumbers, manifest: Manifest, calibration: Calibration) -> Decision:
    """Apply the manifest's policy; every reason is a sentence for the reader."""
    ood = case.out_of_distribution
    reference = calibration.ood
    if ood is not None and reference is not None and ood.score > reference.reject_above:
        return Decision(DecisionKind.REJECT, ("The image is unlike anything the model was calibrated on.",))
    reasons = [
        *_strange(ood),
        *_ambiguous(case, manifest),
        *_dangerous(case, manifest),
        *_disputed(case, manifest, calibration),
    ]
    return Decision(DecisionKind.REFER if reasons else DecisionKind.REPORT, tuple(reasons))


def _strange(ood: OutOfDistribution | None) -> list[str]:
    if ood is None or ood.score <= ood.threshold:
        return []
    return [f"The image is stranger than {ood.percentile:.0f} % of the calibration images."]


def _ambiguous(case: CaseNumbers, manifest: Manifest) -> list[str]:
    size = len(case.conformal_set)
    if size < manifest.decision.refer_set_size:
        return []
    return [f"{size} of {len(manifest.labels)} diagnoses cannot be ruled out."]


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


def _disputed(case: CaseNumbers, manifest: Manifest, calibration: Calibration) -> list[str]:
    percentile = calibration.epistemic_percentile(case.epistemic)
    if percentile < manifest.decision.refer_epistemic_percentile:
        return []
    return [f"The members disagree more than on {percentile:.0f} % of the calibration images."]
