"""What a small model makes of trivial features: size, light, colour, border; never the finding itself."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import FloatArray, Statistic
from whycad.audit.data.facts import STATS
from whycad.audit.measures import auroc_of, mean_over
from whycad.datasets.splits import grouped_folds

if TYPE_CHECKING:
    from whycad.audit.context import AuditContext

FILE = ("height_px", "width_px", "aspect", "file_bytes")
BORDER = ("border_light", "border_contrast", "corner_light", "white_share", "black_share", "white_corner")
N_FOLDS = 5
# More rows make the probe slower and no better: it has some forty features.
MOST_ROWS = 4000
N_TREES, LEAST_LEAF = 80, 4


@dataclass(frozen=True, eq=False)
class Sample:
    """The rows that small models are tried on.

    Attributes
    ----------
    rows : ndarray of int64 (m,)
        Readable rows whose label has enough images; at most ``MOST_ROWS``, whole groups.
    labels : tuple of str (k,)
    target : ndarray of int64 (m,)
    groups : ndarray of str (m,)
        As given, or clusters of duplicates where none are.
    """

    rows: NDArray[np.int64]
    labels: tuple[str, ...]
    target: NDArray[np.int64]
    groups: NDArray[np.str_]

    def area(self, probabilities: FloatArray) -> Statistic:
        """Return the mean over the labels of the area of each against all others."""
        areas = [auroc_of(probabilities[:, k], self.target == k) for k in range(len(self.labels))]
        return areas[-1] if len(areas) == 2 else mean_over(areas)

    @property
    def least_groups(self) -> int:
        """Groups of the label that has the fewest."""
        return min((len(np.unique(self.groups[self.target == k])) for k in range(len(self.labels))), default=0)


def sample_of(context: AuditContext) -> Sample:
    """Return the rows for small models; without two labels of ``least_n`` images it is empty."""
    cases = context.cases
    sound = cases.labelled & (context.facts.error == "")
    counts = Counter(cases.labels[sound].tolist())
    labels = tuple(name for name in _ordered(cases.label_order, counts) if counts[name] >= context.options.least_n)
    if len(labels) < 2:
        labels = ()
    rows = np.flatnonzero(sound & np.isin(cases.labels, labels))
    groups = cases.groups if cases.groups_known else _duplicate_groups(context)
    rows = _thinned(rows, groups, context.options.seed)
    target = np.array([labels.index(str(name)) for name in cases.labels[rows]], np.int64)
    return Sample(rows, labels, target, groups[rows])


def _ordered(order: tuple[str, ...], counts: Counter[str]) -> list[str]:
    return [*(name for name in order if name in counts), *sorted(set(counts) - set(order))]


def _duplicate_groups(context: AuditContext) -> NDArray[np.str_]:
    from whycad.audit.checks.near_duplicate import duplicate_pairs
    from whycad.audit.duplicates import clusters_of

    return clusters_of(duplicate_pairs(context), len(context.cases)).astype(np.str_)


def _thinned(rows: NDArray[np.int64], groups: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    if len(rows) <= MOST_ROWS:
        return np.asarray(rows, np.int64)
    names, index = np.unique(groups[rows], return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    place = np.argsort(order)[index]
    kept = np.sort(np.argsort(place, kind="stable")[:MOST_ROWS])
    return np.asarray(rows[kept], np.int64)


def features_of(context: AuditContext, rows: NDArray[np.int64]) -> tuple[FloatArray, tuple[str, ...]]:
    """Return trivial features ``(m, d)`` with their names; NaN where unknown."""
    facts = context.facts
    n_bins = facts.histogram.shape[1] // 3
    names = [f"{colour}_{i}" for colour in ("red", "green", "blue") for i in range(n_bins)]
    return np.concatenate([facts.stats[rows], facts.histogram[rows]], axis=1), (*STATS, *names)


def cross_validated(sample: Sample, features: FloatArray, folds: NDArray[np.int64], seed: int = 0) -> FloatArray:
    """Return the probabilities ``(m, k)`` that trees trained on the other folds give each row."""
    from sklearn.ensemble import RandomForestClassifier

    out = np.full((len(sample.rows), len(sample.labels)), np.nan)
    # What is known of no image, such as the file's size where the images lie in one array, cannot be binned.
    features = features[:, np.isfinite(features).any(axis=0)]
    for fold in np.unique(folds):
        held = folds == fold
        model = RandomForestClassifier(
            n_estimators=N_TREES, min_samples_leaf=LEAST_LEAF, class_weight="balanced", random_state=seed
        )
        model.fit(features[~held], sample.target[~held])
        out[held] = 0.0
        out[np.ix_(held, model.classes_)] = model.predict_proba(features[held])
    return out


def grouped(sample: Sample, seed: int) -> NDArray[np.int64]:
    """Return folds that keep groups together."""
    with warnings.catch_warnings():
        # A label with fewer images than folds is missing from some folds; such labels were left out before.
        warnings.simplefilter("ignore", UserWarning)
        return grouped_folds(sample.target, sample.groups, min(N_FOLDS, sample.least_groups), seed)


def scattered(sample: Sample, seed: int) -> NDArray[np.int64]:
    """Return folds that take no heed of groups."""
    from sklearn.model_selection import StratifiedKFold

    folds = np.full(len(sample.rows), -1, np.int64)
    splitter = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    for fold, (_, held) in enumerate(splitter.split(sample.target, sample.target)):
        folds[held] = fold
    return folds


@dataclass(frozen=True, eq=False)
class Probe:
    """What the small model says with all trivial features.

    Attributes
    ----------
    sample : Sample
    features : ndarray (m, d)
    names : tuple of str (d,)
    grouped, random : ndarray (m, k) or None
        Cross-validated probabilities; None where some label has fewer than two groups.
    """

    sample: Sample
    features: FloatArray
    names: tuple[str, ...]
    grouped: FloatArray | None
    random: FloatArray | None

    def family(self, names: tuple[str, ...], seed: int) -> FloatArray | None:
        """Return the grouped probabilities from some of the features; None where these never vary."""
        if self.grouped is None:
            return None
        columns = self.features[:, [self.names.index(name) for name in names]]
        varies = [column for column in columns.T if len(np.unique(column[np.isfinite(column)])) > 1]
        if not varies:
            return None
        return cross_validated(self.sample, np.stack(varies, axis=1), grouped(self.sample, seed), seed)


def probe(context: AuditContext) -> Probe:
    """Return the probe of a data set, computed once for all checks."""

    def make() -> Probe:
        sample, seed = sample_of(context), context.options.seed
        features, names = features_of(context, sample.rows)
        if len(sample.labels) < 2:
            return Probe(sample, features, names, None, None)
        random = cross_validated(sample, features, scattered(sample, seed), seed)
        if sample.least_groups < 2:
            return Probe(sample, features, names, None, random)
        alone = len(np.unique(sample.groups)) == len(sample.groups)
        inside = random if alone else cross_validated(sample, features, grouped(sample, seed), seed)
        return Probe(sample, features, names, inside, random)

    found = context.once("trivial probe", make)
    assert isinstance(found, Probe)
    return found
