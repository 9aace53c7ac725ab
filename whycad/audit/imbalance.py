"""What the imbalance of the classes does: effective numbers, margins, other prevalences, re-weighting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, FloatArray
from whycad.audit.judged import Judged
from whycad.audit.measures import mean_of
from whycad.audit.model_stats import (
    accuracies,
    confusion_of,
    estimate_panel,
    f1_scores,
    matthews,
    mean_known,
    panel_of,
    ratio,
    recalls,
)
from whycad.audit.probes import folds_of_groups

IntArray = NDArray[np.int64]
BETA = 0.999
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
STEPS = np.linspace(-1.5, 1.5, 13)
SWEEPS = 3
FOLDS = 5
DRAWS = 500
FIGURES = ("balanced_accuracy", "accuracy", "macro_f1", "mcc")
PREVALENCES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def effective_numbers(counts: Mapping[str, int], beta: float = BETA) -> dict[str, float]:
    """Return the effective number of images per class: each new one adds less.

    References
    ----------
    Cui 2019, doi:10.1109/CVPR.2019.00949
    """
    return {code: (1 - beta**n) / (1 - beta) for code, n in counts.items()}


def margins_of(cases: Judged) -> list[Estimate]:
    """Return each class's mean margin: probability of the label less that of the best other label."""
    own = cases.probabilities[np.arange(len(cases)), cases.label]
    others = cases.probabilities.copy()
    others[np.arange(len(cases)), cases.label] = -1.0
    margin = own - others.max(axis=1)
    panel = panel_of([mean_of(margin, cases.label == index) for index in range(len(cases.codes))])
    return estimate_panel(cases.bootstrap(DRAWS), panel, len(cases))[0]


@dataclass(frozen=True)
class Baselines:
    """What costs nothing to achieve: always the most common label, and labels drawn by prevalence."""

    majority: float
    drawn: float


def baselines(shares: FloatArray) -> dict[str, Baselines]:
    """Return the baselines of each figure for prevalences ``(k,)``."""
    k, most = int((shares > 0).sum()), float(shares.max())
    return {
        "accuracy": Baselines(most, float((shares**2).sum())),
        "balanced_accuracy": Baselines(1 / k, 1 / k),
        "macro_f1": Baselines(2 * most / (1 + most) / k, 1 / k),
        "mcc": Baselines(0.0, 0.0),
        "kappa": Baselines(0.0, 0.0),
        "macro_auroc": Baselines(0.5, 0.5),
    }


def above_majority(cases: Judged) -> tuple[str, Estimate]:
    """Return the most common label, and the accuracy less that of always answering it."""
    most = int(np.bincount(cases.label, minlength=len(cases.codes)).argmax())
    gain = (cases.label == cases.predicted).astype(np.float64) - (cases.label == most)
    return cases.codes[most], estimate_panel(cases.bootstrap(), panel_of([mean_of(gain)]), len(cases))[0][0]


@dataclass(frozen=True, eq=False)
class Shifted:
    """Predictive value of a yes-or-no answer if the disease were rarer or more common.

    Attributes
    ----------
    name : str
    ppv, npv : tuple of Estimate
        One for each of ``PREVALENCES``.
    """

    name: str
    ppv: tuple[Estimate, ...]
    npv: tuple[Estimate, ...]


def shifted_values(cases: Judged, name: str, positive: NDArray[np.bool_], flagged: NDArray[np.bool_]) -> Shifted:
    """Return what sensitivity and specificity mean at other prevalences, provided that they stay the same."""
    rates = panel_of([mean_of(flagged, positive), mean_of(~flagged, ~positive)])
    prior = np.array(PREVALENCES)

    def panel(weights: FloatArray) -> FloatArray:
        found = rates(weights)
        sensitivity, specificity = found[:, :1], found[:, 1:]
        hits, alarms = sensitivity * prior, (1 - specificity) * (1 - prior)
        clear, missed = specificity * (1 - prior), (1 - sensitivity) * prior
        return np.hstack([ratio(hits, hits + alarms), ratio(clear, clear + missed)])

    found, _ = estimate_panel(cases.bootstrap(DRAWS), panel, len(cases))
    return Shifted(name, tuple(found[: len(prior)]), tuple(found[len(prior) :]))


@dataclass(frozen=True, eq=False)
class Rule:
    """Another way to turn probabilities into a label, with what it gives on the audited cases.

    Attributes
    ----------
    name : str
    answers : ndarray of int64 (n,)
        Each by weights that were fitted without the case's group, where they were fitted.
    fitted : bool
    figures : dict of str to Estimate
        ``FIGURES``.
    change : dict of str to Estimate
        The same less those of the present rule.
    sensitivities : tuple of float (k,)
    """

    name: str
    answers: IntArray
    fitted: bool
    figures: dict[str, Estimate]
    change: dict[str, Estimate]
    sensitivities: tuple[float, ...]


def other_rules(cases: Judged) -> list[Rule]:
    """Return the present rule, division by powers of the prevalence, and weights fitted by cross-fitting."""
    prior = np.asarray(cases.context.calibration.prior)
    found = [_rule(cases, "present rule", cases.predicted, fitted=False)]
    for power in POWERS:
        answers = (cases.probabilities / prior**power).argmax(axis=1)
        found.append(_rule(cases, f"probability / prevalence^{power:g}", answers, fitted=False))
    found.append(_rule(cases, "class weights, cross-fitted", cross_fitted(cases), fitted=True))
    return found


def cross_fitted(cases: Judged) -> IntArray:
    """Return answers ``(n,)`` by class weights that were fitted on the other folds' groups for balanced accuracy."""
    folds = folds_of_groups(cases.groups, FOLDS, cases.context.options.seed)
    logs = np.log(np.clip(cases.probabilities, 1e-9, 1.0))
    answers = cases.predicted.copy()
    for fold in range(FOLDS):
        train, test = folds != fold, folds == fold
        if test.any() and train.any():
            weights = fitted_weights(logs[train], cases.label[train])
            answers[test] = (logs[test] + weights).argmax(axis=1)
    return answers


def fitted_weights(logs: FloatArray, labels: IntArray) -> FloatArray:
    """Return log weights ``(k,)`` that maximise balanced accuracy, found one class at a time.

    Where several do, the mean of the best is taken, so that the choice does not hang on single cases.
    """
    k = logs.shape[1]
    counts = np.bincount(labels, minlength=k)
    gain = np.where(counts > 0, 1 / np.maximum(counts, 1), 0.0)[labels]
    weights = -np.log(np.maximum(counts, 1) / len(labels))
    for sweep in range(SWEEPS):
        scale = 0.5**sweep
        for index in range(k):
            tried = weights[index] + STEPS * scale
            scores = [_gained(logs, labels, gain, _with(weights, index, value)) for value in tried]
            best = np.isclose(scores, max(scores))
            weights = _with(weights, index, float(tried[best].mean()))
    return np.asarray(weights)


def _with(weights: FloatArray, index: int, value: float) -> FloatArray:
    changed = weights.copy()
    changed[index] = value
    return changed


def _gained(logs: FloatArray, labels: IntArray, gain: FloatArray, weights: FloatArray) -> float:
    return float(gain[(logs + weights).argmax(axis=1) == labels].sum())


def _rule(cases: Judged, name: str, answers: IntArray, *, fitted: bool) -> Rule:
    k = len(cases.codes)
    new, old = confusion_of(cases.label, answers, k), confusion_of(cases.label, cases.predicted, k)

    def panel(weights: FloatArray) -> FloatArray:
        after, before = _figures(new(weights)), _figures(old(weights))
        return np.hstack([after, after - before])

    found, _ = estimate_panel(cases.bootstrap(DRAWS), panel, len(cases))
    size = len(FIGURES)
    shares = recalls(new(np.ones((1, len(cases)))))[0]
    return Rule(
        name,
        answers,
        fitted,
        dict(zip(FIGURES, found[:size], strict=True)),
        dict(zip(FIGURES, found[size:], strict=True)),
        tuple(float(share) for share in shares),
    )


def _figures(confusion: FloatArray) -> FloatArray:
    parts: Sequence[FloatArray] = [
        mean_known(recalls(confusion)),
        accuracies(confusion),
        mean_known(f1_scores(confusion)),
        matthews(confusion),
    ]
    return np.stack(parts, axis=1)
