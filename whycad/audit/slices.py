"""The worst slices: combinations of metadata, and clusters of features, with too many wrong answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import FloatArray
from whycad.audit.judged import Judged
from whycad.audit.model_columns import Level, levels_of
from whycad.audit.permuted import max_p_values, permuted_rows

BoolArray = NDArray[np.bool_]
LEAST_SUPPORT = 30
DEEPEST = 3
# Slices in all: chosen by size, never by outcome, so that the permutation test holds for the family.
MOST_SLICES = 3000
PERMUTATIONS = 600
MOST_CLUSTERS = 12
CASES_PER_CLUSTER = 60
COMPONENTS = 20
AT_ONCE = 500


@dataclass(frozen=True, eq=False)
class Slice:
    """Cases with something in common.

    Attributes
    ----------
    words : str
        Which: ``with site face and ruler``, or a feature cluster and what is common in it.
    columns : tuple of str
        Metadata columns that describe it; empty for a cluster.
    inside : ndarray of bool (n,)
    """

    words: str
    columns: tuple[str, ...]
    inside: BoolArray

    @property
    def n(self) -> int:
        """Cases inside."""
        return int(self.inside.sum())


@dataclass(frozen=True, eq=False)
class FoundSlice:
    """A slice with its error.

    Attributes
    ----------
    slice : Slice
    error : float
        Share of wrong answers.
    excess : float
        That less what its mix of labels has over all cases.
    interval : tuple of float
        95 %, simultaneous over all slices that were searched.
    p : float
        Corrected for the search.
    """

    slice: Slice
    error: float
    excess: float
    interval: tuple[float, float]
    p: float


def metadata_slices(cases: Judged, least: int = LEAST_SUPPORT) -> list[Slice]:
    """Return combinations of up to three levels with enough cases, the largest ``MOST_SLICES``."""
    levels = levels_of(cases.columns, least)
    found: list[tuple[tuple[Level, ...], BoolArray]] = [((level,), level.inside) for level in levels]
    newest = found
    for _ in range(DEEPEST - 1):
        grown = sorted(_grown(newest, levels, least), key=lambda item: -int(item[1].sum()))
        newest = grown[: max(MOST_SLICES - len(found), 0)]
        found = found + newest
    return [Slice(_words(group), tuple(level.column for level in group), inside) for group, inside in found]


def _grown(
    slices: Sequence[tuple[tuple[Level, ...], BoolArray]], levels: Sequence[Level], least: int
) -> Iterator[tuple[tuple[Level, ...], BoolArray]]:
    """Yield every slice with one more level of a later column; a slice that a level does not narrow is no new one."""
    order = {name: i for i, name in enumerate(dict.fromkeys(level.column for level in levels))}
    for group, inside in slices:
        before = int(inside.sum())
        for level in levels:
            if order[level.column] <= order[group[-1].column]:
                continue
            both = inside & level.inside
            if least <= int(both.sum()) < before:
                yield (*group, level), both


def _words(group: Sequence[Level]) -> str:
    first, *more = (level.words for level in group)
    return " and ".join([first, *(word.removeprefix("with ") for word in more)])


def cluster_slices(cases: Judged, least: int = LEAST_SUPPORT) -> list[Slice]:
    """Return clusters of the model's features, each described by what is over-represented in it."""
    features = cases.context.features
    if features is None:
        return []
    own = features[cases.rows]
    usable = np.isfinite(own).all(axis=1)
    n_clusters = min(MOST_CLUSTERS, int(usable.sum()) // CASES_PER_CLUSTER)
    if n_clusters < 2:
        return []
    member = np.full(len(cases), -1)
    member[usable] = _clusters(own[usable], n_clusters, cases.context.options.seed)
    masks = [member == index for index in range(n_clusters)]
    return [
        Slice(f"of feature cluster {i + 1} ({_over_represented(cases, inside)})", (), inside)
        for i, inside in enumerate(masks)
        if inside.sum() >= least
    ]


def _clusters(features: NDArray[np.float32], n_clusters: int, seed: int) -> NDArray[np.int64]:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    parts = PCA(min(COMPONENTS, *scaled.shape), random_state=seed).fit_transform(scaled)
    return np.asarray(KMeans(n_clusters, n_init=4, random_state=seed).fit_predict(parts), np.int64)


def _over_represented(cases: Judged, inside: BoolArray, most: int = 3) -> str:
    """Describe a cluster by the labels and levels that are clearly more common inside than outside."""
    named = [(cases.name(code), cases.label == i, np.ones(len(cases), bool)) for i, code in enumerate(cases.codes)]
    levels = levels_of(cases.columns, 10)
    named += [(level.words.removeprefix("with "), level.inside, level.known) for level in levels]
    scored = []
    for name, has, known in named:
        here, there = has[inside & known], has[~inside & known]
        if not len(here) or not len(there):
            continue
        pooled = has[known].mean()
        error = np.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / len(here) + 1 / len(there)))
        scored.append(((here.mean() - there.mean()) / error, f"{name} {here.mean():.0%} against {there.mean():.0%}"))
    clear = [text for z, text in sorted(scored, reverse=True)[:most] if z > 3]
    return ", ".join(clear) or "nothing stands out in its metadata"


def judge_slices(cases: Judged, slices: Sequence[Slice]) -> list[FoundSlice]:
    """Return the slices, the clearest excess of errors first.

    A slice's errors are held against what its labels have over all cases, so that a slice is not found
    for holding a hard class. The largest excess of many is large by chance: p-values and intervals come
    from the largest one in data whose errors were permuted within labels, whole groups at a time.

    References
    ----------
    Chung 2020, Slice Finder, doi:10.1109/TKDE.2019.2916074
    Westfall 1993, Resampling-based multiple testing, ISBN 978-0471557616
    """
    if not slices:
        return []
    rate = np.array([cases.wrong[cases.label == i].mean() if cases.n_of(c) else 0.0 for i, c in enumerate(cases.codes)])
    # A rate of exactly 0 or 1 is not known to be that: one more case could be of the other kind.
    counts = np.array([cases.n_of(code) for code in cases.codes])
    safe = (rate * counts + 0.5) / (counts + 1)
    excess = (cases.wrong - rate[cases.label]).astype(np.float32)
    spread = (safe * (1 - safe))[cases.label].astype(np.float32)
    options = cases.context.options
    permuted = np.stack([excess[r] for r in permuted_rows(cases.label, cases.groups, PERMUTATIONS, options.seed)])
    sums, errors, maxima = [], [], np.zeros(PERMUTATIONS)
    for start in range(0, len(slices), AT_ONCE):
        members = np.stack([one.inside for one in slices[start : start + AT_ONCE]]).astype(np.float32)
        error = np.sqrt(members @ spread)
        sums.append(members @ excess)
        errors.append(error)
        maxima = np.maximum(maxima, np.abs((permuted @ members.T) / error).max(axis=1))
    return _found(cases, slices, np.concatenate(sums), np.concatenate(errors), maxima)


def _found(
    cases: Judged, slices: Sequence[Slice], sums: FloatArray, errors: FloatArray, maxima: FloatArray
) -> list[FoundSlice]:
    z = sums / errors
    p = max_p_values(z.astype(np.float64), maxima)
    critical = float(np.quantile(maxima, 0.95))
    found = []
    for index in np.argsort(-z, kind="stable"):
        one = slices[index]
        excess, half = float(sums[index] / one.n), critical * float(errors[index] / one.n)
        interval = (excess - half, excess + half)
        found.append(FoundSlice(one, float(cases.wrong[one.inside].mean()), excess, interval, float(p[index])))
    return found


def distinct(found: Sequence[FoundSlice], most: int, overlap: float = 0.6) -> list[FoundSlice]:
    """Return the first ``most`` slices of which none shares most of its cases with an earlier one."""
    kept: list[FoundSlice] = []
    for one in found:
        if len(kept) == most:
            break
        if all(_shared(one.slice.inside, other.slice.inside) < overlap for other in kept):
            kept.append(one)
    return kept


def _shared(one: BoolArray, other: BoolArray) -> float:
    return float((one & other).sum() / min(one.sum(), other.sum()))
