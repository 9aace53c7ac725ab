"""Performance when a confounder is taken out of play: within its levels, balanced by weights, and against it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from whycad.audit.bootstrap import Estimate, FloatArray, Statistic
from whycad.audit.judged import Judged, Target
from whycad.audit.measures import auroc_of
from whycad.audit.model_columns import Level, contrasts_of
from whycad.audit.model_stats import estimate_panel, only, p_value, panel_of, ratio, stratified_auroc_of
from whycad.audit.stats import holm

BoolArray = NDArray[np.bool_]
DRAWS = 500
MOST_PAIRS = 24
# Smallest cell of label by level: fewer cases than this carry too much weight when cells are balanced.
LEAST_PER_CELL = 10
SCREEN_ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Matched:
    """AUROC of one question with and without the help of one column.

    Attributes
    ----------
    target : Target
    level : Level
    phi : float
        Correlation of the level with the answer sought, in the data.
    counts : tuple of int
        Cases: positive with and without the level, negative with and without.
    overall, stratified, balanced, conflicting, free : Estimate
        AUROC over all cases with a known level; within levels; with weights that make level and label
        independent; where level and label say the opposite of each other; without the level.
    balanced_drop, conflict_drop : Estimate
        Overall less balanced, overall less conflicting: above 0 where the column helped.
    balanced_p, conflict_p : float
        Corrected over all columns and questions (Holm).
    """

    target: Target
    level: Level
    phi: float
    counts: tuple[int, int, int, int]
    overall: Estimate
    stratified: Estimate
    balanced: Estimate
    conflicting: Estimate
    free: Estimate
    balanced_drop: Estimate
    conflict_drop: Estimate
    balanced_p: float = float("nan")
    conflict_p: float = float("nan")

    @property
    def conflict(self) -> BoolArray:
        """The cases where the level points to the wrong answer, ``(n,)``."""
        return conflicting_cases(self.target.positive, self.level, self.phi)


def matched_pairs(cases: Judged) -> tuple[list[Matched], int]:
    """Return every question with every column that goes with it, clearest association first.

    Returns
    -------
    tuple
        The pairs, and how many more are associated but have a cell of fewer than ``LEAST_PER_CELL`` cases.
    """
    candidates = []
    for target in cases.targets():
        for level in contrasts_of(cases.columns, cases.least_n):
            phi, p = association(target.positive, level)
            if p < SCREEN_ALPHA:
                candidates.append((abs(phi), target, level, phi))
    candidates.sort(key=lambda item: -item[0])
    usable = [item for item in candidates if min(cell_counts(item[1].positive, item[2])) >= LEAST_PER_CELL]
    found = [_matched(cases, target, level, phi) for _, target, level, phi in usable[:MOST_PAIRS]]
    tests = [p_value(drop) for one in found for drop in (one.balanced_drop, one.conflict_drop)]
    adjusted = holm(tests)
    corrected = [
        replace(one, balanced_p=float(adjusted[2 * i]), conflict_p=float(adjusted[2 * i + 1]))
        for i, one in enumerate(found)
    ]
    return corrected, len(candidates) - len(usable)


def conflicting_cases(positive: BoolArray, level: Level, phi: float) -> BoolArray:
    """Return the cases ``(n,)`` in which a level that goes with the positive by ``phi`` says the opposite."""
    with_it = level.inside if phi > 0 else level.rest
    without = level.rest if phi > 0 else level.inside
    return np.asarray((positive & without) | (~positive & with_it))


def cell_counts(positive: BoolArray, level: Level) -> tuple[int, int, int, int]:
    """Return how many are positive with, positive without, negative with, negative without the level."""
    masks = (positive & level.inside, positive & level.rest, ~positive & level.inside, ~positive & level.rest)
    a, b, c, d = (int(mask.sum()) for mask in masks)
    return a, b, c, d


def association(positive: BoolArray, level: Level) -> tuple[float, float]:
    """Return phi between a yes-or-no label and a level, and its p-value by chi-squared; 0 and 1 where undefined."""
    a, b, c, d = cell_counts(positive, level)
    scale = float(np.sqrt(float(a + b) * (c + d) * (a + c) * (b + d)))
    if scale == 0:
        return 0.0, 1.0
    phi = (a * d - b * c) / scale
    return phi, float(chi2.sf((a + b + c + d) * phi**2, 1))


def _matched(cases: Judged, target: Target, level: Level, phi: float) -> Matched:
    known = level.known
    scores, positive = target.scores, target.positive
    strata = np.where(level.inside, 1, 0)
    conflict, free = conflicting_cases(positive, level, phi), level.rest
    overall = only(auroc_of(scores[known], positive[known]), known)
    stratified = only(stratified_auroc_of(scores[known], positive[known], strata[known]), known)
    balanced = only(balanced_auroc_of(scores[known], positive[known], level.inside[known]), known)
    conflicting = only(auroc_of(scores[conflict], positive[conflict]), conflict)
    without = only(auroc_of(scores[free], positive[free]), free)
    panel = panel_of([overall, stratified, balanced, conflicting, without])

    def with_drops(weights: FloatArray) -> FloatArray:
        found = panel(weights)
        return np.hstack([found, found[:, :1] - found[:, 2:4]])

    found, _ = estimate_panel(cases.bootstrap(DRAWS), with_drops, len(cases))
    area, within, weighted, against, free_of_it, balanced_drop, conflict_drop = found
    counts = cell_counts(positive, level)
    return Matched(
        target, level, phi, counts, area, within, weighted, against, free_of_it, balanced_drop, conflict_drop
    )


def balanced_auroc_of(scores: FloatArray, positive: BoolArray, inside: BoolArray) -> Statistic:
    """Return the AUROC of cases weighted so that ``inside`` is as common among positives as among negatives.

    References
    ----------
    Rosenbaum 1983, doi:10.1093/biomet/70.1.41
    """
    cell = positive.astype(np.int64) * 2 + inside
    members = np.eye(4)[cell]
    auroc = auroc_of(scores, positive)

    def statistic(weights: FloatArray) -> FloatArray:
        counts = (weights @ members).reshape(-1, 2, 2)
        expected = counts.sum(axis=2, keepdims=True) * counts.sum(axis=1, keepdims=True)
        factor = np.nan_to_num(ratio(expected, counts * counts.sum(axis=(1, 2), keepdims=True)))
        return auroc(weights * factor.reshape(-1, 4)[:, cell])

    return statistic
