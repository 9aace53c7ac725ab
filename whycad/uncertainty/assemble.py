"""From what an ensemble gave to predictions: probabilities, set, uncertainty, gate and decision.

``predictions`` does all of it for a batch of logits. Its steps can be called one by one: ``numbers``
(arrays, for calibration and audits), ``numbers_of`` (from members that are calibrated already)
and ``predictions_from``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.manifest import Manifest
from whycad.types import OutOfDistribution, Prediction, Uncertainty
from whycad.uncertainty.calibration import Calibration, calibrate, calibrate_passes
from whycad.uncertainty.conformal import nonconformity, p_values, set_masks
from whycad.uncertainty.decision import CaseNumbers, decide, predicted_indices
from whycad.uncertainty.decomposition import decompose, entropy
from whycad.uncertainty.ood import Observed, assess

__all__ = ["Numbers", "Observed", "numbers", "numbers_of", "pass_entropy", "predictions", "predictions_from"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Calibrated numbers of n cases.

    Attributes
    ----------
    members : ndarray (m, n, k)
        Calibrated probabilities; their mean is the ensemble's.
    conformal_p : ndarray (n, k)
    parts : ndarray (3, n)
        Total, aleatoric and epistemic uncertainty, in nats.
    gate : list of OutOfDistribution or None
    """

    members: FloatArray
    conformal_p: FloatArray
    parts: FloatArray
    gate: list[OutOfDistribution | None]

    @property
    def probabilities(self) -> FloatArray:
        """The ensemble's, ``(n, k)``."""
        return np.asarray(self.members.mean(axis=0))


def uncertainty_parts(members: FloatArray, aleatoric: FloatArray | None = None) -> FloatArray:
    """Return total, aleatoric and epistemic uncertainty ``(3, n)`` in nats.

    Parameters
    ----------
    members : ndarray (m, n, k)
    aleatoric : ndarray (n,) or None
        Mean entropy of the single passes (``pass_entropy``): with it the epistemic part is over
        members and views, without it over members.
    """
    if aleatoric is None:
        return np.stack(decompose(members))
    total = entropy(members.mean(axis=0))
    return np.stack([total, np.minimum(aleatoric, total), np.clip(total - aleatoric, 0, None)])


def pass_entropy(logits: FloatArray, calibration: Calibration) -> FloatArray | None:
    """Return the mean entropy ``(n,)`` of single passes; None where the calibration does not look at views."""
    if not calibration.epistemic_over_views:
        return None
    return np.asarray(entropy(calibrate_passes(logits, calibration)).mean(axis=(0, 1)))


def numbers(observed: Observed, calibration: Calibration) -> Numbers:
    """Calibrate what an ensemble gave.

    Raises
    ------
    PredictionError
        When a logit is not finite.
    """
    members = calibrate(observed.logits, calibration)
    gate = assess(observed, calibration.ood)
    return numbers_of(members, gate, calibration, pass_entropy(observed.logits, calibration))


def numbers_of(
    members: FloatArray,
    gate: Sequence[OutOfDistribution | None],
    calibration: Calibration,
    aleatoric: FloatArray | None = None,
) -> Numbers:
    """Return the numbers of calibrated members ``(m, n, k)``, such as means over neighbouring slices.

    Parameters
    ----------
    members : ndarray (m, n, k)
    gate : sequence of OutOfDistribution or None (n,)
    calibration : Calibration
    aleatoric : ndarray (n,) or None
        See ``uncertainty_parts``.
    """
    scores = nonconformity(members.mean(axis=0), calibration.score)
    conformal_p = p_values(scores, calibration.conformal_scores)
    return Numbers(members, conformal_p, uncertainty_parts(members, aleatoric), list(gate))


def predictions(
    observed: Observed, manifest: Manifest, calibration: Calibration, coverage: float = 0.9
) -> list[Prediction]:
    """Return one prediction per image.

    Parameters
    ----------
    observed : Observed
        Logits, features and the plugin's own strangeness score of n images.
    manifest : Manifest
    calibration : Calibration
    coverage : float
        Level of the sets that are shown; the policy looks at the manifest's own level.

    Raises
    ------
    PredictionError
        When a logit is not finite.
    """
    return predictions_from(numbers(observed, calibration), manifest, calibration, coverage)


def predictions_from(
    found: Numbers, manifest: Manifest, calibration: Calibration, coverage: float = 0.9
) -> list[Prediction]:
    """Return one prediction per case from numbers; see ``predictions``."""
    mean, codes = found.probabilities, manifest.label_codes
    leading = mean.argmax(axis=1)
    shown = set_masks(found.conformal_p, coverage, leading, manifest.kind)
    judged = set_masks(found.conformal_p, manifest.decision.set_coverage, leading, manifest.kind)
    predicted = predicted_indices(mean, manifest, calibration.prior)
    cases = []
    for i, probabilities in enumerate(mean):
        label = codes[predicted[i]]
        total, aleatoric, epistemic = (float(part) for part in found.parts[:, i])
        case = CaseNumbers(probabilities, label, _codes(judged[i], codes), epistemic, found.gate[i])
        cases.append(
            Prediction(
                labels=codes,
                probabilities=probabilities.astype(np.float32),
                member_probabilities=found.members[:, i].astype(np.float32),
                predicted=label,
                conformal_set=_codes(shown[i], codes),
                coverage=coverage,
                conformal_p=found.conformal_p[i].astype(np.float32),
                uncertainty=Uncertainty(total, aleatoric, epistemic),
                out_of_distribution=found.gate[i],
                decision=decide(case, manifest, calibration),
                operating_points=_points(probabilities, manifest, calibration),
            )
        )
    return cases


def _codes(mask: NDArray[np.bool_], codes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code for code, kept in zip(codes, mask, strict=True) if kept)


def _points(probabilities: FloatArray, manifest: Manifest, calibration: Calibration) -> dict[str, tuple[float, float]]:
    return {
        point.name: (
            float(sum(probabilities[manifest.label_codes.index(code)] for code in point.labels)),
            calibration.operating_points[point.name].threshold,
        )
        for point in manifest.operating_points
        if point.name in calibration.operating_points
    }
