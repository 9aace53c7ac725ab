"""What cross-fitted predictions show of a calibration: reliability bins, risk, harm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.measures import ece_of, expected_ece
from whycad.audit.selective import Answers, aurc, harm, member_aurcs, risk_coverage
from whycad.manifest import Manifest
from whycad.uncertainty.assemble import Numbers, predictions_from
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.calibration_parts import HeldOutRisk, Reliability, ReliabilityBins

FloatArray = NDArray[np.float64]
N_BINS = 10
CURVE_POINTS = 41


def reliability_of(probabilities: FloatArray, labels: NDArray[np.int64], codes: tuple[str, ...]) -> Reliability:
    """Bin said against observed.

    Parameters
    ----------
    probabilities : ndarray (n, k)
        Cross-fitted.
    labels : ndarray of int64 (n,)
    codes : tuple of str (k,)
    """
    top = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == labels
    return Reliability(
        edges=tuple(float(edge) for edge in np.linspace(0, 1, N_BINS + 1)),
        top=binned(top, hit),
        per_class={code: binned(probabilities[:, i], labels == i) for i, code in enumerate(codes)},
        ece=float(ece_of(top, hit)(np.ones((1, len(top))))[0]),
        ece_expected=expected_ece(top),
    )


def binned(confidence: FloatArray, came_true: NDArray[np.bool_], n_bins: int = N_BINS) -> ReliabilityBins:
    """Return counts, mean confidence and share that came true in equal bins; the upper edge belongs to a bin."""
    index = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    counts = np.bincount(index, minlength=n_bins)
    said = np.asarray(np.bincount(index, weights=confidence, minlength=n_bins), np.float64)
    seen = np.asarray(np.bincount(index, weights=came_true.astype(np.float64), minlength=n_bins), np.float64)

    def means(totals: FloatArray) -> tuple[float | None, ...]:
        return tuple(float(min(1.0, t / c)) if c else None for t, c in zip(totals, counts, strict=True))

    return ReliabilityBins(counts=tuple(int(c) for c in counts), confidence=means(said), observed=means(seen))


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Cross-fitted numbers of the calibration cases, with their labels and groups."""

    numbers: Numbers
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]


def held_out_risk(found: HeldOut, manifest: Manifest, calibration: Calibration) -> HeldOutRisk:
    """Apply the policy to cross-fitted predictions.

    Parameters
    ----------
    found : HeldOut
    manifest : Manifest
    calibration : Calibration
        Whose thresholds and quantiles the policy uses.
    """
    cases = predictions_from(found.numbers, manifest, calibration)
    decisions = np.array([case.decision.kind.value for case in cases])
    answers = Answers.by_rule(found.numbers.members, found.labels, manifest, calibration.prior)
    wrong, reported = answers.wrong, decisions == "report"
    coverage, risk = risk_coverage(answers.confidence, wrong, CURVE_POINTS)
    costs = harm(answers, decisions, manifest)
    return HeldOutRisk(
        n=len(cases),
        n_groups=len(np.unique(found.groups)),
        coverage=tuple(coverage.tolist()),
        risk=tuple(risk.tolist()),
        aurc=aurc(answers.confidence, wrong),
        aurc_median_member=float(np.median(member_aurcs(answers))),
        shares={kind: float(np.mean(decisions == kind)) for kind in ("report", "refer", "reject")},
        error_all=float(wrong.mean()),
        error_reported=float(wrong[reported].mean()) if reported.any() else None,
        harm_policy=None if manifest.decision.costs is None else float(costs.policy.mean()),
        harm_report_all=None if manifest.decision.costs is None else float(costs.report_all.mean()),
    )
