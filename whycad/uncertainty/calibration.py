"""Calibration: what turns an ensemble's logits into probabilities that mean what they say.

Fitted on held-out groups, stored as ``calibration.json`` in the plugin's folder. The steps, in
order: undo the sampling prior (logit adjustment), average the test-time views, scale each member
(``scaling.py``), average the members.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from whycad.errors import ManifestError, PredictionError
from whycad.uncertainty.calibration_parts import (
    CalibrationSource,
    FiniteFloat,
    HeldOutRisk,
    Reliability,
    Scaling,
    ScoreRule,
    Section,
    StoredOperatingPoint,
)
from whycad.uncertainty.ood import OodGate, OodReference
from whycad.uncertainty.scaling import apply_scaling, softmax

__all__ = [
    "Calibration",
    "CalibrationSource",
    "StoredOperatingPoint",
    "calibrate",
    "calibrate_passes",
    "member_log_probabilities",
    "read_calibration",
    "softmax",
]

LEAST_PROBABILITY = 1e-12


class Calibration(Section):
    """Everything fitted on calibration data.

    Attributes
    ----------
    source : CalibrationSource
    labels : tuple of str
        In the manifest's order.
    log_prior_shift : tuple of float
        Added to the logits: log of the data's prevalence less log of the sampling prevalence.
    temperature : float
    offset : tuple of float
        Added after the temperature.
    prior : tuple of float
        Prevalence in the calibration data, for class-conditional scores and decision weights.
    conformal_scores : dict of str to tuple of float
        Nonconformity of the true label, per class, ascending.
    epistemic_quantiles : tuple of float
        Percentiles 0..100 of epistemic uncertainty on calibration data.
    operating_points : dict of str to StoredOperatingPoint
    ood : OodGate, OodReference or None
        What calibration images look like; ``assess`` in ``ood.py`` applies it.
    training_counts : dict of str to int
        Images per label that the members were trained on.
    scaling : Scaling or None
        Takes the place of ``temperature`` and ``offset`` where present.
    score : ScoreRule
        Which score ``conformal_scores`` are.
    reliability : Reliability or None
        Said against observed; ``reliability.top`` is what the reliability diagram shows.
    epistemic_over_views : bool
        Whether epistemic uncertainty is over members and views, or over members alone.
    held_out : HeldOutRisk or None
        Risk-coverage curve and harm on cross-fitted calibration cases.
    """

    source: CalibrationSource
    labels: tuple[str, ...]
    log_prior_shift: tuple[FiniteFloat, ...]
    temperature: float = Field(gt=0, lt=100)
    offset: tuple[FiniteFloat, ...]
    prior: tuple[float, ...]
    conformal_scores: dict[str, tuple[FiniteFloat, ...]]
    epistemic_quantiles: tuple[FiniteFloat, ...] = Field(min_length=101, max_length=101)
    operating_points: dict[str, StoredOperatingPoint] = Field(default_factory=dict)
    ood: OodGate | OodReference | None = None
    training_counts: dict[str, int] = Field(default_factory=dict)
    scaling: Scaling | None = None
    score: ScoreRule = ScoreRule()
    reliability: Reliability | None = None
    epistemic_over_views: bool = False
    held_out: HeldOutRisk | None = None

    def epistemic_percentile(self, epistemic: float) -> float:
        """Return the share (0..100) of calibration cases with less epistemic uncertainty."""
        return float(np.searchsorted(self.epistemic_quantiles, epistemic, side="left") / 101 * 100)


def member_log_probabilities(logits: NDArray[np.float64], log_prior_shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo the sampling prior and average the views: ``(m, v, n, k)`` to ``(m, n, k)``."""
    views = softmax(logits + log_prior_shift)
    return np.asarray(np.log(np.clip(views.mean(axis=1), LEAST_PROBABILITY, 1.0)))


def calibrate(logits: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    """Return every member's calibrated probabilities.

    Parameters
    ----------
    logits : ndarray (m, v, n, k)
        Of each member and test-time view.
    calibration : Calibration

    Returns
    -------
    ndarray of float64 (m, n, k)
        The ensemble's own probability is their mean over the members.

    Raises
    ------
    PredictionError
        When a logit is not finite.
    """
    return _scaled(member_log_probabilities(_finite(logits), np.asarray(calibration.log_prior_shift)), calibration)


def calibrate_passes(logits: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    """Return the calibrated probabilities ``(m, v, n, k)`` of each member on each view alone.

    Raises
    ------
    PredictionError
        When a logit is not finite.
    """
    views = softmax(_finite(logits) + np.asarray(calibration.log_prior_shift))
    return _scaled(np.log(np.clip(views, LEAST_PROBABILITY, 1.0)), calibration)


def _finite(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    logits = np.asarray(logits, dtype=np.float64)
    if not np.all(np.isfinite(logits)):
        raise PredictionError("the model gave a logit that is not a finite number, so there is no score")
    return logits


def _scaled(logs: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    if calibration.scaling is not None:
        return apply_scaling(logs, calibration.scaling, calibration.prior)
    return softmax(logs / calibration.temperature + np.asarray(calibration.offset))


def read_calibration(path: Path, labels: tuple[str, ...]) -> Calibration:
    """Read ``calibration.json`` and check it against the manifest's labels.

    Raises
    ------
    ManifestError
        When the file is missing, breaks the schema, or belongs to other labels.
    """
    try:
        calibration = Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ManifestError(f"calibration file {path.name!r} is missing or broken ({type(error).__name__})") from error
    if calibration.labels != labels:
        raise ManifestError(
            f"calibration file {path.name!r} is for labels {calibration.labels}, the manifest has {labels}",
            remedy="calibrate again with the training command",
        )
    return calibration
