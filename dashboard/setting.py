"""A stored result as the reader looks at it: level of the set and prevalence; no model, no Streamlit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dashboard.facts import TaskFacts
from whycad import wording
from whycad.manifest import Manifest
from whycad.types import AnalysisResult, Decision, DecisionKind, Prediction, TaskKind
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.conformal import sets_at
from whycad.uncertainty.prevalence import reweight

Prior = tuple[float, ...]
SAME_SHARE = 1e-6


@dataclass(frozen=True, eq=False)
class Shown:
    """What the page shows of a result.

    Attributes
    ----------
    result : AnalysisResult
        As stored.
    prediction : Prediction
        At the reader's prevalence; the stored one where the reader has set none.
    coverage : float
        Level of the set.
    prior : tuple of float or None
        The reader's prevalence per label; None for that of the calibration data.
    """

    result: AnalysisResult
    prediction: Prediction
    coverage: float
    prior: Prior | None = None

    @property
    def scored(self) -> bool:
        """Whether an answer may be shown: not where there is none, nor where a real case was refused."""
        return wording.shows_answer(self.result)

    def set_at(self, manifest: Manifest, coverage: float | None = None) -> tuple[str, ...]:
        """Return the conformal set at a level, by default the reader's; it does not move with the prevalence."""
        return sets_at(self.result.prediction, self.coverage if coverage is None else coverage, manifest.kind)


def shown(result: AnalysisResult, facts: TaskFacts, coverage: float, prior: Prior | None) -> Shown:
    """Redraw a stored result at the reader's level and prevalence."""
    calibration = facts.calibration
    if prior is None or calibration is None or is_calibration_prior(prior, calibration):
        return Shown(result, result.prediction, coverage)
    moved = reweight(result.prediction, calibration, facts.manifest, prior)
    if result.profile is not None:
        moved = _with_slices(moved, result.prediction, calibration, facts.manifest)
    return Shown(result, moved, coverage, prior)


def is_calibration_prior(prior: Prior, calibration: Calibration) -> bool:
    """Whether a prevalence is that of the calibration data."""
    stored = np.asarray(calibration.prior) / np.sum(calibration.prior)
    return bool(np.allclose(np.asarray(prior) / np.sum(prior), stored, atol=SAME_SHARE))


def _with_slices(moved: Prediction, stored: Prediction, calibration: Calibration, manifest: Manifest) -> Prediction:
    """Keep what single slices of a volume said: the policy's other reasons are of the whole alone."""
    if stored.decision.kind is DecisionKind.REJECT:
        return moved
    whole = reweight(stored, calibration, manifest, calibration.prior).decision.reasons
    reasons = (*moved.decision.reasons, *(r for r in stored.decision.reasons if r not in whole))
    unique = tuple(dict.fromkeys(reasons))
    return replace(moved, decision=Decision(DecisionKind.REFER if unique else DecisionKind.REPORT, unique))


def set_words(codes: tuple[str, ...], manifest: Manifest) -> str:
    """Name a set in a few words, as the task's kind wants it."""
    names = [manifest.label(code).name for code in codes]
    if manifest.kind is TaskKind.BINARY and len(codes) != 1:
        return "both: not settled" if codes else "neither: fits no answer"
    if manifest.kind is TaskKind.ORDINAL and len(codes) > 1:
        return f"{names[0]} to {names[-1]}"
    return ", ".join(names) or "none"


def stage_rows(prediction: Prediction, manifest: Manifest) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return an ordinal task's questions: name, answer, and the labels that it sums over.

    The highest three thresholds (for F0 to F4: at least F2, at least F3, F4), as clinicians decide by them.
    """
    codes = manifest.label_codes
    found = []
    for first in range(max(1, len(codes) - 3), len(codes)):
        above = codes[first:]
        share = sum(prediction.probability(code) for code in above)
        name = f"At least {codes[first]}" if len(above) > 1 else codes[first]
        found.append((name, wording.percent(share), above))
    return found


def suspicious_label(manifest: Manifest, prediction: Prediction) -> str:
    """Return the label to watch along a volume: the likeliest of those that must not be missed, else the severest."""
    marked = [label.code for label in manifest.labels if label.must_not_miss]
    if marked and wording.has_score(prediction):
        return max(marked, key=prediction.probability)
    return (marked or [max(manifest.labels, key=lambda label: label.severity).code])[0]
