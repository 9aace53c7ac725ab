"""Figures of subgroups, and how far each differs from the rest: one column, or two together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from whycad.audit.bootstrap import Z_95, Estimate, FloatArray, estimate_from
from whycad.audit.calibration_stats import centred
from whycad.audit.judged import Judged
from whycad.audit.measures import auroc_of
from whycad.audit.model_columns import Level, column_levels, contrasts_of, levels_of
from whycad.audit.model_stats import (
    Panel,
    accuracies,
    confusion_of,
    estimate_panel,
    mean_known,
    only,
    ratio,
    recalls,
    sliced,
)
from whycad.audit.stats import benjamini_hochberg

if TYPE_CHECKING:
    from fairlearn.metrics import MetricFrame

BoolArray = NDArray[np.bool_]
# A search over many subgroups; a gap's standard error is known to 4 % from 300 draws.
SEARCH_DRAWS = 300
# An AUROC of fewer cases on either side has a standard error beyond 0.1.
LEAST_PER_SIDE = 15
FIGURES = ("accuracy", "balanced_accuracy", "auroc")


@dataclass(frozen=True, eq=False)
class Gap:
    """A figure of a subgroup less that of the rest.

    Attributes
    ----------
    figure : str
        ``AUROC`` or ``sensitivity``.
    label : str
        Class that it is about.
    levels : tuple of Level
        One, or two that are meant together.
    n, n_rest : int
        Cases of the subgroup, and of the rest, that it rests on.
    inside : float
        The figure in the subgroup.
    gap : Estimate
        Below 0 where the subgroup is worse off.
    q : float
        p-value, corrected for the search.
    others : bool
        Whether the subgroup is all known cases but those of ``levels``.
    """

    figure: str
    label: str
    levels: tuple[Level, ...]
    n: int
    n_rest: int
    inside: float
    gap: Estimate
    q: float = float("nan")
    others: bool = False

    @property
    def words(self) -> str:
        """Which cases: ``with sex f and ruler``, ``other than those with site trunk``."""
        first, *more = (level.words for level in self.levels)
        words = " and ".join([first, *(word.removeprefix("with ") for word in more)])
        return f"other than those {words}" if self.others else words

    @property
    def mask(self) -> BoolArray:
        """The subgroup's cases, ``(n,)``."""
        inside = np.logical_and.reduce([level.inside for level in self.levels])
        if not self.others:
            return np.asarray(inside)
        return np.asarray(np.logical_and.reduce([level.known for level in self.levels]) & ~inside)

    @property
    def columns(self) -> frozenset[str]:
        """The columns of its levels."""
        return frozenset(level.column for level in self.levels)


@dataclass(frozen=True, eq=False)
class LevelFigures:
    """Accuracy, balanced accuracy and mean AUROC of one level."""

    level: Level
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True)
class ColumnGap:
    """The largest difference between a column's levels in one figure, with fairlearn's ratio."""

    column: str
    figure: str
    difference: Estimate
    ratio: float


def level_figures(cases: Judged, levels: Sequence[Level]) -> tuple[list[LevelFigures], list[ColumnGap]]:
    """Return the figures of every level, and the gaps of every column with two levels or more."""
    found: list[LevelFigures] = []
    gaps: list[ColumnGap] = []
    for column in dict.fromkeys(level.column for level in levels):
        own = [level for level in levels if level.column == column]
        panels = [sliced(_figures_of(cases, level.inside), level.inside) for level in own]
        estimates, draws = estimate_panel(cases.bootstrap(SEARCH_DRAWS), _together(panels), len(cases))
        size = len(FIGURES)
        found += [LevelFigures(level, tuple(estimates[i * size : (i + 1) * size])) for i, level in enumerate(own)]
        if len(own) > 1:
            gaps += _column_gaps(cases, column, own, draws)
    return found, gaps


def _together(panels: Sequence[Panel]) -> Panel:
    return lambda weights: np.hstack([panel(weights) for panel in panels])


def _figures_of(cases: Judged, keep: BoolArray) -> Panel:
    """Return the panel of ``FIGURES`` of the cases ``keep``, on weights of those alone."""
    confusion = confusion_of(cases.label[keep], cases.predicted[keep], len(cases.codes))
    aurocs = [
        auroc_of(target.scores[keep], target.positive[keep])
        for target in cases.targets()
        if min(target.positive[keep].sum(), (~target.positive[keep]).sum()) >= LEAST_PER_SIDE
    ]

    def panel(weights: FloatArray) -> FloatArray:
        counted = confusion(weights)
        ranks = np.stack([one(weights) for one in aurocs], axis=1) if aurocs else np.full((len(weights), 1), np.nan)
        return np.stack([accuracies(counted), mean_known(recalls(counted)), mean_known(ranks)], axis=1)

    return panel


def _column_gaps(cases: Judged, column: str, levels: Sequence[Level], draws: FloatArray) -> list[ColumnGap]:
    """Return fairlearn's differences with the interval of our own draws by group."""
    frame = metric_frame(cases, levels)
    differences, ratios = frame.difference(), frame.ratio()
    found = []
    for index, name in enumerate(FIGURES):
        value = float(differences[name])
        if not np.isfinite(value):
            continue
        per_level = draws[:, index :: len(FIGURES)]
        known = per_level[np.isfinite(per_level).all(axis=1)]
        spread = centred(value, known.max(axis=1) - known.min(axis=1)) if len(known) else estimate_from(value, known)
        low, high = spread.interval or (value, value)
        found.append(ColumnGap(column, name, replace(spread, interval=(max(low, 0.0), high)), float(ratios[name])))
    return found


def metric_frame(cases: Judged, levels: Sequence[Level]) -> MetricFrame:
    """Return fairlearn's frame of ``FIGURES`` over the levels of one column.

    References
    ----------
    Weerts 2023, Fairlearn: Assessing and Improving Fairness of AI Systems, JMLR 24(257)
    """
    from fairlearn.metrics import MetricFrame

    inside = np.logical_or.reduce([level.inside for level in levels])
    rows = np.flatnonzero(inside)
    names = np.full(len(cases), "", dtype=object)
    for level in levels:
        names[level.inside] = level.name
    metrics = {name: _frame_metric(cases, index) for index, name in enumerate(FIGURES)}
    return MetricFrame(
        metrics=metrics,
        y_true=cases.label[rows],
        y_pred=cases.predicted[rows],
        sensitive_features={levels[0].column: names[rows]},
        sample_params={name: {"rows": rows} for name in FIGURES},
    )


def _frame_metric(cases: Judged, index: int):  # type: ignore[no-untyped-def]
    def metric(_true: object, _said: object, rows: NDArray[np.int64]) -> float:
        keep = np.zeros(len(cases), bool)
        keep[np.asarray(rows)] = True
        return float(_figures_of(cases, keep)(np.ones((1, int(keep.sum()))))[0, index])

    return metric


def gaps_of(cases: Judged) -> list[Gap]:
    """Return all gaps of single levels and of pairs, corrected together (Benjamini and Hochberg)."""
    singles = contrasts_of(cases.columns, cases.least_n)
    gaps = [gap for level in singles for gap in (*_auroc_gaps(cases, level), *_sensitivity_gaps(cases, [(level,)]))]
    gaps += _sensitivity_gaps(cases, pairs_of(cases))
    adjusted = benjamini_hochberg([_p_of(gap) for gap in gaps])
    return [replace(gap, q=float(q)) for gap, q in zip(gaps, adjusted, strict=True)]


def _p_of(gap: Gap) -> float:
    if not gap.gap.standard_error > 0:
        return float("nan")
    return float(2 * norm.sf(abs(gap.gap.value) / gap.gap.standard_error))


def pairs_of(cases: Judged) -> list[tuple[Level, ...]]:
    """Return the pairs of levels of different columns that share at least ``least_n`` cases."""
    levels = levels_of(cases.columns, cases.least_n)
    return [
        pair
        for pair in combinations(levels, 2)
        if pair[0].column != pair[1].column and int((pair[0].inside & pair[1].inside).sum()) >= cases.least_n
    ]


def _auroc_gaps(cases: Judged, level: Level) -> list[Gap]:
    found = []
    for target in cases.targets():
        parts = (level.inside, level.rest)
        counts = [int(min((target.positive & part).sum(), (~target.positive & part).sum())) for part in parts]
        if min(counts) < LEAST_PER_SIDE:
            continue
        here, there = (only(auroc_of(target.scores[part], target.positive[part]), part) for part in parts)
        panel: Panel = lambda w, a=here, b=there: np.stack([a(w), a(w) - b(w)], axis=1)  # type: ignore[misc] # noqa: E731
        (inside, gap), _ = estimate_panel(cases.bootstrap(SEARCH_DRAWS), panel, len(cases))
        n_rest = int(level.rest.sum())
        found.append(Gap("AUROC", target.key, (level,), level.n, n_rest, inside.value, gap))
    return found


def _sensitivity_gaps(cases: Judged, subgroups: Sequence[tuple[Level, ...]]) -> list[Gap]:
    """Return the gaps in sensitivity of each class, for subgroups with enough cases of it inside and outside."""
    found: list[Gap] = []
    if not subgroups:
        return found
    for index, code in enumerate(cases.codes):
        rows = np.flatnonzero(cases.label == index)
        right = ~cases.wrong[rows]
        inside = np.stack([np.logical_and.reduce([level.inside[rows] for level in group]) for group in subgroups])
        known = np.stack([np.logical_and.reduce([level.known[rows] for level in group]) for group in subgroups])
        enough = np.minimum(inside.sum(axis=1), (known & ~inside).sum(axis=1)) >= cases.least_n
        if enough.any():
            chosen = [group for group, keep in zip(subgroups, enough, strict=True) if keep]
            found += _share_gaps(cases, code, rows, right, inside[enough], known[enough], chosen)
    return found


def _share_gaps(
    cases: Judged,
    code: str,
    rows: NDArray[np.int64],
    right: BoolArray,
    inside: BoolArray,
    known: BoolArray,
    subgroups: Sequence[tuple[Level, ...]],
) -> list[Gap]:
    here, there = inside.T.astype(np.float64), (known & ~inside).T.astype(np.float64)

    def panel(weights: FloatArray) -> FloatArray:
        own = weights[:, rows]
        shares = [ratio((own * right) @ part, own @ part) for part in (here, there)]
        return np.asarray(shares[0] - shares[1])

    gaps, _ = estimate_panel(cases.bootstrap(SEARCH_DRAWS), panel, len(cases))
    found = []
    for gap, group, part, rest in zip(gaps, subgroups, here.T > 0, there.T > 0, strict=True):
        safe = _no_surer(gap, _pooled_error(right[part], right[rest]))
        counts = int(part.sum()), int(rest.sum())
        found.append(Gap("sensitivity", code, group, *counts, float(right[part].mean()), safe))
    return found


def told_gaps(cases: Judged, clear: Mapping[int, Gap]) -> dict[int, Gap]:
    """Return each fact once, from its worse side.

    A better side is told, as the worse one of all other cases, only where nothing else is told of its
    columns in the same figure and class; a pair of levels, where no gap that is told holds one of
    them, or the pair's is clearly larger.

    Parameters
    ----------
    cases : Judged
    clear : mapping of int to Gap
        By place, the clearest first.

    Returns
    -------
    dict of int to Gap
        What is told, by the same places and in their order.
    """
    told: dict[int, Gap] = {}
    for place, gap in sorted(clear.items(), key=lambda item: (len(item[1].levels), _is_better(item[1]))):
        if not any(_repeats(gap, other) for other in told.values()):
            told[place] = from_the_rest(cases, gap) if _is_better(gap) else gap
    return {place: told[place] for place in clear if place in told}


def from_the_rest(cases: Judged, gap: Gap) -> Gap:
    """Return a gap as that of all other cases; of a column with two levels, as that of the other level."""
    low, high = gap.gap.interval or (None, None)
    interval = None if low is None or high is None else (-high, -low)
    turned = Estimate(-gap.gap.value, interval, gap.gap.standard_error)
    seen = replace(gap, n=gap.n_rest, n_rest=gap.n, inside=gap.inside - gap.gap.value, gap=turned, others=True)
    others = _other_levels(cases, gap.levels[0]) if len(gap.levels) == 1 else []
    return replace(seen, levels=(others[0],), others=False) if len(others) == 1 else seen


def _other_levels(cases: Judged, level: Level) -> list[Level]:
    column = next(column for column in cases.columns if column.name == level.column)
    return [other for other in column_levels(column) if other.name != level.name]


def _is_better(gap: Gap) -> bool:
    return gap.gap.value > 0


def _repeats(gap: Gap, told: Gap) -> bool:
    """Tell whether a gap says again what is told: of the better side, or of fewer of the same cases."""
    if (gap.figure, gap.label) != (told.figure, told.label):
        return False
    if _is_better(gap):
        return bool(gap.columns & told.columns)
    return len(gap.levels) > 1 and _shares_a_level(gap, told) and not _clearly_lower(gap.gap, told.gap)


def _shares_a_level(pair: Gap, told: Gap) -> bool:
    """Tell whether one of a pair's levels is what is told of, or lies in it."""
    if told.others:
        (left_out,) = told.levels
        return any(lv.column == left_out.column and lv.name != left_out.name for lv in pair.levels)
    names = {(level.column, level.name) for level in told.levels}
    return any((level.column, level.name) in names for level in pair.levels)


def _clearly_lower(one: Estimate, other: Estimate) -> bool:
    return one.interval is not None and other.interval is not None and one.interval[1] < other.interval[0]


def _no_surer(gap: Estimate, least: float) -> Estimate:
    """Return a gap with no smaller standard error than that: where all are right, all draws are alike."""
    if gap.standard_error >= least:
        return gap
    half = Z_95 * least
    return replace(gap, standard_error=least, interval=(gap.value - half, gap.value + half))


def _pooled_error(here: BoolArray, there: BoolArray) -> float:
    """Return the standard error of the difference of two shares if they were the same (score test)."""
    pooled = (here.sum() + there.sum()) / (len(here) + len(there))
    return float(np.sqrt(pooled * (1 - pooled) * (1 / len(here) + 1 / len(there))))
