"""What can be read off the model's features, and off the picture without the model: linear probes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, FloatArray
from whycad.audit.judged import Judged
from whycad.audit.model_columns import Level, contrasts_of
from whycad.audit.model_stats import estimate_panel, panel_of, stratified_auroc_of

BoolArray = NDArray[np.bool_]
MOST_ROWS = 3000
MOST_PROBED = 24
COMPONENTS = 50
FOLDS = 5
DRAWS = 300
# Folds of fewer cases of either kind give a probe of chance.
LEAST_PER_SIDE = 15


@dataclass(frozen=True, eq=False)
class Probe:
    """How well a level can be told, among cases of the same label.

    Attributes
    ----------
    level : Level
        On all judged cases.
    n : int
        Cases that the probe was tested on.
    features, image : Estimate
        AUROC within labels, from the model's features and from the picture.
    difference : Estimate
        Features less image.
    """

    level: Level
    n: int
    features: Estimate
    image: Estimate
    difference: Estimate


def feature_probes(cases: Judged) -> list[Probe]:
    """Return a probe for each level that enough cases have and lack; nothing where there are no features."""
    features = cases.context.features
    if features is None:
        return []
    rows = _some_rows(cases, features)
    levels = [level for level in contrasts_of(cases.columns, cases.least_n) if _enough(level, rows)]
    # Flags of artefacts first: they are what probes are for.
    levels = sorted(levels, key=lambda level: not level.artefact)[:MOST_PROBED]
    if not levels:
        return []
    seed = cases.context.options.seed
    from_features = principal_parts(features[cases.rows[rows]].astype(np.float64), seed)
    from_image = image_parts(cases, rows, seed)
    return [_probe(cases, level, rows, from_features, from_image) for level in levels]


def _some_rows(cases: Judged, features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return at most ``MOST_ROWS`` of the cases that have features, whole groups, drawn at random."""
    usable = np.flatnonzero(np.isfinite(features[cases.rows]).all(axis=1))
    if len(usable) <= MOST_ROWS:
        return usable
    rng = np.random.default_rng(cases.context.options.seed)
    _, group = np.unique(cases.groups[usable], return_inverse=True)
    order = np.argsort(rng.random(int(group.max()) + 1)[group], kind="stable")
    return np.sort(usable[order[:MOST_ROWS]])


def _enough(level: Level, rows: NDArray[np.int64]) -> bool:
    return min(int(level.inside[rows].sum()), int(level.rest[rows].sum())) >= LEAST_PER_SIDE


def principal_parts(values: FloatArray, seed: int) -> FloatArray:
    """Return the first principal components ``(n, c)`` of standardised columns, each of variance 1."""
    from sklearn.decomposition import PCA

    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    size = min(COMPONENTS, scaled.shape[0] - 1, scaled.shape[1])
    return np.asarray(PCA(size, whiten=True, random_state=seed).fit_transform(scaled))


def image_parts(cases: Judged, rows: NDArray[np.int64], seed: int) -> FloatArray:
    """Return what the pictures give: components of the small picture, and the facts of light and size."""
    facts = cases.context.facts
    chosen = cases.context.scope[cases.rows[rows]]
    thumbs = principal_parts(facts.thumb[chosen].reshape(len(rows), -1).astype(np.float64), seed)
    stats = facts.stats[chosen]
    known = np.isfinite(stats)
    counts = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, stats, np.where(known, stats, 0.0).sum(axis=0) / counts)
    spread = filled.std(axis=0)
    return np.hstack([thumbs, (filled - filled.mean(axis=0)) / np.where(spread > 0, spread, 1.0)])


def _probe(
    cases: Judged, level: Level, rows: NDArray[np.int64], from_features: FloatArray, from_image: FloatArray
) -> Probe:
    known = level.known[rows]
    chosen, has = rows[known], level.inside[rows[known]]
    seed = cases.context.options.seed
    scores = [held_out_scores(parts[known], has, cases.groups[chosen], seed) for parts in (from_features, from_image)]
    by_feature, by_image = (stratified_auroc_of(score, has, cases.label[chosen]) for score in scores)
    whole = [lambda w, f=one: f(w[:, chosen]) for one in (by_feature, by_image)]  # type: ignore[misc]
    panel = panel_of([*whole, lambda w: whole[0](w) - whole[1](w)])
    (features, image, difference), _ = estimate_panel(cases.bootstrap(DRAWS), panel, len(cases))
    return Probe(level, len(chosen), features, image, difference)


def held_out_scores(parts: FloatArray, has: BoolArray, groups: NDArray[np.str_], seed: int) -> FloatArray:
    """Return the score ``(n,)`` that a logistic regression fitted without each case's group gives it.

    Parameters
    ----------
    parts : ndarray (n, c)
    has : ndarray of bool (n,)
        What is to be told.
    groups : ndarray of str (n,)
    seed : int
    """
    from sklearn.linear_model import LogisticRegression

    scores = np.zeros(len(has))
    folds = folds_of_groups(groups, FOLDS, seed)
    for fold in range(FOLDS):
        train, test = folds != fold, folds == fold
        if len(np.unique(has[train])) < 2 or not test.any():
            continue
        model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=500)
        scores[test] = model.fit(parts[train], has[train]).decision_function(parts[test])
    return scores


def folds_of_groups(groups: NDArray[np.str_], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Return a fold ``(n,)`` for every row, whole groups at random: quick also for thousands of groups."""
    _, group = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(int(group.max()) + 1)
    return np.asarray(order[group] % n_folds, np.int64)
