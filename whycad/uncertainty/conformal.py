"""Class-conditional (Mondrian) conformal sets from stored scores.

References
----------
Vovk et al., Algorithmic Learning in a Random World, 2005, chapter 4.5 (Mondrian predictors).
Sadinle et al., Least Ambiguous Set-Valued Classifiers with Bounded Error Levels, JASA 2019.
Romano et al., Classification with Valid and Adaptive Coverage, NeurIPS 2020 (APS).
Angelopoulos et al., Uncertainty Sets for Image Classifiers, ICLR 2021 (RAPS).
Lu et al., Improving Trustworthiness of AI Disease Severity Rating in Medical Imaging with
Ordinal Conformal Prediction Sets, MICCAI 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.types import Prediction, TaskKind
from whycad.uncertainty.calibration_parts import ScoreRule

PLAIN = ScoreRule()


def nonconformity(probabilities: NDArray[np.float64], rule: ScoreRule = PLAIN) -> NDArray[np.float64]:
    """Return how strange each label would be.

    Thresholds are per class, so rare labels are not left out for being rare.

    Parameters
    ----------
    probabilities : ndarray (n, k)
        Calibrated, of the ensemble.
    rule : ScoreRule
        Which score; one minus the probability by default.

    Returns
    -------
    ndarray (n, k)
        Larger is stranger; 0..1 but for the penalties of ``raps``.
    """
    if rule.form == "plain":
        return np.asarray(1.0 - probabilities)
    if rule.form == "ordinal_aps":
        return _run_mass(probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    mass = np.cumsum(ordered, axis=1) - 0.5 * ordered
    if rule.form == "raps":
        ranks = np.arange(1, probabilities.shape[1] + 1)
        mass = mass + rule.penalty * np.clip(ranks - rule.free_ranks, 0, None)
    scores = np.empty_like(mass)
    np.put_along_axis(scores, order, mass, axis=1)
    return scores


def _run_mass(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mass of the run of neighbours, grown from the mode, up to the middle of each label."""
    n, k = probabilities.shape
    rows = np.arange(n)
    first = probabilities.argmax(axis=1)
    last = first.copy()
    padded = np.pad(probabilities, ((0, 0), (1, 1)), constant_values=-1.0)
    mass = probabilities[rows, first]
    scores = np.zeros_like(probabilities)
    scores[rows, first] = 0.5 * mass
    for _ in range(k - 1):
        down, up = padded[rows, first], padded[rows, last + 2]
        left = down >= up
        first, last = np.where(left, first - 1, first), np.where(left, last, last + 1)
        added = np.maximum(down, up)
        scores[rows, np.where(left, first, last)] = mass + 0.5 * added
        mass = mass + added
    return scores


def p_values(scores: NDArray[np.float64], calibration: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    """Return the conformal p-value of each label.

    Parameters
    ----------
    scores : ndarray (n, k)
        Nonconformity, columns in the order of ``calibration``.
    calibration : mapping of str to sequence of float
        Nonconformity of the true label over calibration cases of each class, ascending.

    Returns
    -------
    ndarray (n, k)
        ``(1 + number of calibration scores at least as large) / (1 + n_class)``.
    """
    columns = []
    for index, values in enumerate(calibration.values()):
        ordered = np.asarray(values, dtype=np.float64)
        as_strange = len(ordered) - np.searchsorted(ordered, scores[:, index], side="left")
        columns.append((1.0 + as_strange) / (1.0 + len(ordered)))
    return np.stack(columns, axis=1)


def set_masks(
    p: NDArray[np.float64], coverage: float, leading: NDArray[np.int64], kind: TaskKind = TaskKind.MULTICLASS
) -> NDArray[np.bool_]:
    """Return which labels are in each case's set.

    Parameters
    ----------
    p : ndarray (n, k)
        Conformal p-values.
    coverage : float
        Nominal class-conditional coverage, such as 0.9.
    leading : ndarray of int64 (n,)
        Most probable label of each case.
    kind : TaskKind
        Labels whose p-value exceeds ``1 - coverage`` are in. Binary: nothing else, so that a set
        may hold both labels or neither. Multi-class: and the leading one, so that no set is empty.
        Ordinal: and every stage between those, so that a set is one run. Adding labels can only
        raise the coverage.

    Returns
    -------
    ndarray of bool (n, k)
    """
    # Round off: 1 - 0.9 is 0.0999.., and a p-value of exactly 0.1 must not be kept by that.
    # p-values are stored in single precision, where 0.1 must stay on its side too.
    kept = np.round(np.asarray(p, dtype=np.float64), 7) > round(1.0 - coverage, 7)
    if kind is TaskKind.BINARY:
        return np.asarray(kept)
    kept[np.arange(len(kept)), leading] = True
    if kind is TaskKind.ORDINAL:
        from_below = np.maximum.accumulate(kept, axis=1)
        kept = from_below & np.maximum.accumulate(kept[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(kept)


def conformal_set(
    p: NDArray[np.float64],
    labels: Sequence[str],
    coverage: float,
    leading: str,
    kind: TaskKind = TaskKind.MULTICLASS,
) -> tuple[str, ...]:
    """Return one case's set; see ``set_masks``.

    Parameters
    ----------
    p : ndarray (k,)
        Conformal p-values.
    labels : sequence of str
    coverage : float
    leading : str
        Most probable label.
    kind : TaskKind
    """
    mask = set_masks(p[None], coverage, np.array([list(labels).index(leading)]), kind)[0]
    return tuple(label for label, kept in zip(labels, mask, strict=True) if kept)


def sets_at(prediction: Prediction, coverage: float, kind: TaskKind = TaskKind.MULTICLASS) -> tuple[str, ...]:
    """Redraw a stored result's set at another level; no model is run.

    Parameters
    ----------
    prediction : Prediction
        As stored. A set is a statement for each class alone, so that it does not change with the
        prevalence; draw it from the stored prediction, not from a re-weighted one.
    coverage : float
    kind : TaskKind

    Returns
    -------
    tuple of str
        Label codes; empty where the image was not scored, or for a binary task where neither fits.
    """
    if not np.isfinite(prediction.conformal_p).all() or not prediction.predicted:
        return ()
    leading = prediction.labels[int(prediction.probabilities.argmax())]
    return conformal_set(prediction.conformal_p.astype(np.float64), prediction.labels, coverage, leading, kind)


def highest_coverage(n_class: int) -> float:
    """Return the highest level at which n calibration cases can still leave a class out.

    A p-value is at least ``1 / (n + 1)``: above this level the class is in every set, which keeps
    the promise but says nothing.
    """
    return n_class / (n_class + 1.0)


def always_included(calibration: Mapping[str, Sequence[float]], coverage: float) -> tuple[str, ...]:
    """Return the labels that have too few calibration cases to be left out at this level."""
    return tuple(
        code
        for code, scores in calibration.items()
        if coverage > highest_coverage(len(scores)) and not math.isclose(coverage, highest_coverage(len(scores)))
    )
