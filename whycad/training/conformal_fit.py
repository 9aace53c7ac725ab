"""Choose the nonconformity score: smallest cross-fitted sets among those that hold their promise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.training.scaling_fit import grouped_standard_error, splits
from whycad.types import TaskKind
from whycad.uncertainty.calibration_parts import ScoreRule, SetTrial
from whycad.uncertainty.conformal import nonconformity, p_values, set_masks

FloatArray = NDArray[np.float64]
LEVEL = 0.9
# By chance, cross-fitted coverage lies a little off its level; much below is a broken promise.
SLACK = 0.01
# The best of several candidates looks better than it is.
SURE = 2.0
SHARED = (
    ScoreRule(),
    ScoreRule(form="aps"),
    *(ScoreRule(form="raps", penalty=p, free_ranks=r) for p in (0.02, 0.1) for r in (1, 2)),
)
ORDINAL = (*SHARED, ScoreRule(form="ordinal_aps"))


@dataclass(frozen=True, eq=False)
class ScoreData:
    """Cross-fitted probabilities of calibration cases.

    Attributes
    ----------
    probabilities : ndarray (n, k)
    labels : ndarray of int64 (n,)
    groups : ndarray of str (n,)
    folds : ndarray of int64 (n,)
        No group is in two.
    codes : tuple of str (k,)
    kind : TaskKind
    strata : ndarray of str (n,) or None
        Parts of the cases, such as kinds of scanner, of which each is to be covered by itself.
    """

    probabilities: FloatArray
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    folds: NDArray[np.int64]
    codes: tuple[str, ...]
    kind: TaskKind
    strata: NDArray[np.str_] | None = None


def scores_by_class(
    scores: FloatArray,
    labels: NDArray[np.int64],
    codes: tuple[str, ...],
    strata: NDArray[np.str_] | None = None,
) -> dict[str, tuple[float, ...]]:
    """Return the true label's score of each class's cases, ascending, from scores ``(n, k)``.

    With ``strata`` ``(n,)`` the scores of a class are the upper envelope of its strata's: at every
    level they are those of the stratum that is hardest there.
    """
    parts = [np.ones(len(labels), bool)] if strata is None else [strata == name for name in np.unique(strata)]
    return {
        code: tuple(_envelope([scores[part & (labels == i), i] for part in parts]).tolist())
        for i, code in enumerate(codes)
    }


def _envelope(parts: list[FloatArray]) -> FloatArray:
    """Return the largest of the parts' quantiles ``(n,)``, at as many levels as the smallest part has cases."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return np.empty(0)
    n = min(len(part) for part in parts)
    levels = np.arange(1, n + 1) / n
    return np.asarray(np.max([np.quantile(part, levels, method="inverted_cdf") for part in parts], axis=0))


def cross_fitted_p(data: ScoreData, rule: ScoreRule) -> FloatArray:
    """Return p-values ``(n, k)``, each case's from folds that lack its group."""
    scores = nonconformity(data.probabilities, rule)
    found = np.empty_like(scores)
    for train, test in splits(data.folds):
        strata = None if data.strata is None else data.strata[train]
        found[test] = p_values(scores[test], scores_by_class(scores[train], data.labels[train], data.codes, strata))
    return found


def choose_score(data: ScoreData) -> ScoreRule:
    """Compare the scores at 90 %; another one than the plain one must win by two standard errors.

    Parameters
    ----------
    data : ScoreData
    """
    rules = ORDINAL if data.kind is TaskKind.ORDINAL else SHARED
    masks = [_sets(data, rule) for rule in rules]
    trials = [_trial(mask, data.labels) for mask in masks]
    plain = masks[0].sum(axis=1)
    chosen = rules[0]
    smallest = trials[0].mean_set_size
    for rule, mask, trial in zip(rules[1:], masks[1:], trials[1:], strict=True):
        gain = plain - mask.sum(axis=1)
        sure = gain.mean() > SURE * grouped_standard_error(gain.astype(np.float64), data.groups)
        if trial.macro_coverage >= LEVEL - SLACK and sure and trial.mean_set_size < smallest:
            chosen, smallest = rule, trial.mean_set_size
    names = [_name(rule) for rule in rules]
    return chosen.model_copy(update={"trials": dict(zip(names, trials, strict=True))})


def _sets(data: ScoreData, rule: ScoreRule) -> NDArray[np.bool_]:
    leading = data.probabilities.argmax(axis=1)
    return set_masks(cross_fitted_p(data, rule), LEVEL, leading, data.kind)


def _trial(mask: NDArray[np.bool_], labels: NDArray[np.int64]) -> SetTrial:
    covered = mask[np.arange(len(labels)), labels]
    shares = [float(covered[labels == label].mean()) for label in np.unique(labels)]
    return SetTrial(
        mean_set_size=float(mask.sum(axis=1).mean()),
        macro_coverage=float(np.mean(shares)),
        lowest_coverage=min(shares),
    )


def _name(rule: ScoreRule) -> str:
    return f"raps {rule.penalty:g} from rank {rule.free_ranks + 1}" if rule.form == "raps" else rule.form
