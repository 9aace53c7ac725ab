"""Similar cases: what lies nearest in the members' features, of the labels that matter to a case.

A reference set is features, labels and nothing else. Each member's features are scaled to length 1
and put side by side, the reference set's mean is taken away (all images share most of their
features), and what is left is projected on its leading directions. Distances are cosine
distances there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whycad.errors import PredictionError
from whycad.types import FloatArray, Prediction, SimilarCase
from whycad.uncertainty.ood import unit_length

SAME_IMAGE = 0.001
"""Cosine distance below which two images are taken for the same one, or for copies of it."""
NOTICEABLE = 0.05
N_LEADING, N_RUNNER_UP = 2, 2
# So many are looked at for each one shown, since several images of one patient may lie together.
LOOKED_AT = 12
SAME_IMAGE_REMARK = "The same image, or a copy of it, is in the reference set of similar cases."


def case_name(label: str, row: int) -> str:
    """Return a reference case's id: its label and its number in the set."""
    return f"{label}-{row:05d}"


def embed(features: NDArray[np.floating], mean: FloatArray, basis: FloatArray) -> FloatArray:
    """Project features on a reference set's directions.

    Parameters
    ----------
    features : ndarray (m, n, d)
        Of m members and n images.
    mean : ndarray of float32 (m * d,)
    basis : ndarray of float32 (m * d, p)

    Returns
    -------
    ndarray of float32 (n, p)
        Of length 1.

    Raises
    ------
    PredictionError
        When the features are of another size than the reference set's.
    """
    joined = side_by_side(features)
    if joined.shape[1] != len(mean):
        raise PredictionError(
            f"the model gives {joined.shape[1]} features, and the reference set was made with {len(mean)}",
            remedy="make the reference set again with `whycad index`",
        )
    return project(joined, mean, basis)


def project(rows: FloatArray, mean: FloatArray, basis: FloatArray) -> FloatArray:
    """Project members' features side by side ``(n, m * d)`` to rows of length 1 ``(n, p)``."""
    return np.asarray(unit_length((rows - mean) @ basis), np.float32)


def side_by_side(features: NDArray[np.floating]) -> FloatArray:
    """Return members' features ``(m, n, d)`` as rows ``(n, m * d)``, each member's part of length 1 / sqrt(m)."""
    scaled = [unit_length(np.asarray(member, np.float64)) for member in features]
    return np.asarray(np.concatenate(scaled, axis=1) / np.sqrt(len(scaled)), np.float32)


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference set, ready to be asked.

    Attributes
    ----------
    task, weights_sha256 : str
        Whose features these are.
    labels : tuple of str
        The task's codes.
    must_not_miss : tuple of str
    vectors : ndarray of float32 (n, p)
        Of length 1.
    label_of : ndarray of int64 (n,)
        Index into ``labels``.
    groups : ndarray of int64 (n,)
        Numbers that stand for lesions or patients.
    mean, basis : ndarray of float32
        See ``embed``.
    dataset : str
        What the cases are, for the reader.
    simulated : bool
    nearest : mapping of str to ndarray
        By label, ascending, each case's distance to the nearest other group's of its label.
    """

    task: str
    weights_sha256: str
    labels: tuple[str, ...]
    must_not_miss: tuple[str, ...]
    vectors: FloatArray
    label_of: NDArray[np.int64]
    groups: NDArray[np.int64]
    mean: FloatArray
    basis: FloatArray
    dataset: str = ""
    simulated: bool = False
    nearest: Mapping[str, FloatArray] = field(default_factory=dict)

    def rows_of(self, label: str) -> NDArray[np.int64]:
        """Return the rows that have a label."""
        return np.flatnonzero(self.label_of == self.labels.index(label))

    def name(self, row: int) -> str:
        """Return a row's id: its label and number."""
        return case_name(self.labels[self.label_of[row]], row)


def nearest_of_label(reference: Reference, query: FloatArray, label: str, count: int) -> list[tuple[int, float]]:
    """Return the nearest rows of a label, each of another group, as (row, cosine distance).

    Parameters
    ----------
    reference : Reference
    query : ndarray of float32 (p,)
        As ``embed`` gives it.
    label : str
    count : int
        At most so many.
    """
    from usearch.index import MetricKind, search

    rows = reference.rows_of(label)
    if not len(rows):
        return []
    n = min(len(rows), count * LOOKED_AT)
    found = search(np.ascontiguousarray(reference.vectors[rows]), query, n, MetricKind.Cos, exact=True, threads=1)
    kept: dict[int, tuple[int, float]] = {}
    for key, distance in zip(found.keys.tolist(), found.distances.tolist(), strict=True):
        row = int(rows[key])
        kept.setdefault(int(reference.groups[row]), (row, max(0.0, float(distance))))
    return list(kept.values())[:count]


def find_similar(
    prediction: Prediction, features: NDArray[np.floating], reference: Reference
) -> tuple[SimilarCase, ...]:
    """Return the nearest reference cases of the labels that matter to a case.

    Two of the predicted label, two of the runner-up, and one or two of each label that must not be
    missed and is in the set or has a probability of at least 5 %.

    Parameters
    ----------
    prediction : Prediction
        With numbers.
    features : ndarray (m, d)
        Of the members, for this case.
    reference : Reference

    Raises
    ------
    PredictionError
        When the features do not fit the reference set.
    """
    query = embed(np.asarray(features)[:, None], reference.mean, reference.basis)[0]
    cases = []
    for label, role, count in _wanted(prediction, reference.must_not_miss):
        for row, distance in nearest_of_label(reference, query, label, count):
            percentile = percentile_within(reference.nearest.get(label), distance)
            cases.append(SimilarCase(reference.name(row), label, distance, percentile, role))
    return tuple(cases)


def _wanted(prediction: Prediction, must_not_miss: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return label, role and number of cases, without repeats."""
    leading = prediction.predicted
    others = sorted((c for c in prediction.labels if c != leading), key=prediction.probability, reverse=True)
    wanted = [(leading, "leading", N_LEADING), (others[0], "runner_up", N_RUNNER_UP)]
    dangerous = [
        code
        for code in must_not_miss
        if code not in (leading, others[0])
        and (code in prediction.conformal_set or prediction.probability(code) >= NOTICEABLE)
    ]
    return wanted + [(code, "must_not_miss", 2 if len(dangerous) == 1 else 1) for code in dangerous]


def percentile_within(nearest: FloatArray | None, distance: float) -> float:
    """Return the share (0..100) of ascending distances that are smaller; NaN of none."""
    if nearest is None or not len(nearest):
        return float("nan")
    return float(100 * np.searchsorted(nearest, distance, side="left") / len(nearest))


def is_same_image(case: SimilarCase) -> bool:
    """Tell whether a similar case is the image itself, or a copy of it."""
    return case.distance < SAME_IMAGE


def nearest_distances(
    vectors: FloatArray, label_of: NDArray[np.int64], groups: NDArray[np.int64], labels: Sequence[str]
) -> dict[str, FloatArray]:
    """Return, by label and ascending, the cosine distance of each case to the nearest other group's of its label."""
    found = {}
    for index, label in enumerate(labels):
        rows = np.flatnonzero(label_of == index)
        apart = 1.0 - vectors[rows] @ vectors[rows].T
        apart[groups[rows][:, None] == groups[rows][None, :]] = np.inf
        best = apart.min(axis=1) if len(rows) else np.empty(0)
        found[label] = np.sort(best[np.isfinite(best)]).astype(np.float32)
    return found
