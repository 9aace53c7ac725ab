"""Whether answers follow a metadata column among cases of the same label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whycad.audit.bootstrap import Estimate, FloatArray
from whycad.audit.judged import Judged
from whycad.audit.model_columns import Level, contrasts_of
from whycad.audit.model_stats import Panel, estimate_panel, ratio
from whycad.audit.permuted import max_p_values, permuted_rows

PERMUTATIONS = 600
EFFECT_DRAWS = 500


@dataclass(frozen=True, eq=False)
class Followed:
    """How a class's probability differs between images of one level and the others of the same label.

    Attributes
    ----------
    level : Level
    code : str
        Class whose probability it is.
    effect : Estimate
        Difference of mean probabilities within labels.
    p : float
        By permutation within labels, corrected for all columns, levels and classes.
    """

    level: Level
    code: str
    effect: Estimate
    p: float


def followed_columns(cases: Judged) -> list[Followed]:
    """Return the effect of every level on every class's probability given the label; computed once per audit."""
    found = cases.context.once("conditional", lambda: _followed(cases))
    assert isinstance(found, list)
    return found


def _followed(cases: Judged) -> list[Followed]:
    levels = contrasts_of(cases.columns, cases.least_n)
    levels = tuple(level for level in levels if _varies_within_labels(cases, level))
    if not levels:
        return []
    centred = np.stack([centred_within(cases, level) for level in levels])
    size = (centred**2).sum(axis=1)
    own = cases.probabilities - _label_means(cases)
    scale = np.sqrt(np.outer(1 / size, own.var(axis=0)))
    observed = (centred @ own) / size[:, None]
    options = cases.context.options
    maxima = [
        np.abs(_safe_ratio((centred @ own[rows]) / size[:, None], scale)).max()
        for rows in permuted_rows(cases.label, cases.groups, PERMUTATIONS, options.seed)
    ]
    p = max_p_values(_safe_ratio(observed, scale).ravel(), np.array(maxima)).reshape(observed.shape)
    found = []
    for i, level in enumerate(levels):
        effects, _ = estimate_panel(cases.bootstrap(EFFECT_DRAWS), effect_panel(cases, level), len(cases))
        found += [Followed(level, code, effects[c], float(p[i, c])) for c, code in enumerate(cases.codes)]
    return found


def _safe_ratio(values: FloatArray, scale: FloatArray) -> FloatArray:
    return np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)


def _varies_within_labels(cases: Judged, level: Level) -> bool:
    return bool((centred_within(cases, level) ** 2).sum() > 1.0)


def centred_within(cases: Judged, level: Level) -> FloatArray:
    """Return membership of a level ``(n,)`` less its share among known cases of the label; 0 where unknown."""
    found = np.zeros(len(cases))
    for index in range(len(cases.codes)):
        here = (cases.label == index) & level.known
        if here.any():
            found[here] = level.inside[here] - level.inside[here].mean()
    return found


def _label_means(cases: Judged) -> FloatArray:
    means = np.zeros((len(cases.codes), len(cases.codes)))
    for index in np.unique(cases.label):
        means[index] = cases.probabilities[cases.label == index].mean(axis=0)
    return np.asarray(means[cases.label])


def effect_panel(cases: Judged, level: Level) -> Panel:
    """Return the panel of differences ``(b, k)``, pooled over labels by how much each can tell.

    It is the coefficient of the level in a regression of the probability with one constant per label.
    """
    k, known = len(cases.codes), level.known.astype(np.float64)
    inside = (level.inside & level.known).astype(np.float64)
    truth = np.eye(k)[cases.label]
    of_label, with_level = truth * known[:, None], truth * inside[:, None]
    said = (of_label[:, :, None] * cases.probabilities[:, None, :]).reshape(len(cases), -1)
    said_inside = (with_level[:, :, None] * cases.probabilities[:, None, :]).reshape(len(cases), -1)
    everything = np.hstack([of_label, with_level, said, said_inside])

    def panel(weights: FloatArray) -> FloatArray:
        sums = weights @ everything
        n, n_in = sums[:, :k], sums[:, k : 2 * k]
        total = sums[:, 2 * k : 2 * k + k * k].reshape(-1, k, k)
        total_in = sums[:, 2 * k + k * k :].reshape(-1, k, k)
        share = np.nan_to_num(ratio(n_in, n))
        top = (total_in - share[:, :, None] * total).sum(axis=1)
        return ratio(top, (n_in * (1 - share)).sum(axis=1)[:, None])

    return panel
