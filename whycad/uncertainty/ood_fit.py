"""Fit the gate on calibration data alone; thresholds come from grouped cross-fitting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import GroupKFold

from whycad.types import OutOfDistribution
from whycad.uncertainty.ood import (
    SCORES,
    FeatureSpace,
    FloatArray,
    Observed,
    OodGate,
    ScoreName,
    Tail,
    combined,
    findings,
    raw_scores,
    unit_length,
)
from whycad.uncertainty.packed import pack

MAX_PACKED = 120_000
MIN_OF_A_CLASS = 10
MAX_NEIGHBOURS = 400
TAIL_SHARES = (0.999, 0.9, 0.75, 0.5, 0.35, 0.25, 0.18, 0.13, 0.1, 0.075, 0.05)
REJECT_SHARE = 0.001


@dataclass(frozen=True)
class GateOptions:
    """How the gate is fitted.

    Attributes
    ----------
    n_components : int
        Principal directions at most; also at most a tenth of the cases.
    n_neighbours : int
        For the distance to the nearest calibration images.
    accept : float
        Percentage of calibration cases that must not be referred.
    n_folds : int
    seed : int
        For the choice of the stored neighbours.
    """

    n_components: int = 32
    n_neighbours: int = 5
    accept: float = 95.0
    n_folds: int = 10
    seed: int = 0


@dataclass(frozen=True, eq=False)
class GateData:
    """Calibration cases.

    Attributes
    ----------
    observed : Observed
    labels : ndarray of int64 (n,) or None
    groups : ndarray (n,)
        Patient or lesion of each case.
    """

    observed: Observed
    labels: NDArray[np.int64] | None
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, rows: NDArray[np.int64]) -> GateData:
        """Return some of the cases."""
        seen = self.observed
        part = Observed(
            seen.logits[:, :, rows],
            None if seen.features is None else seen.features[rows],
            None if seen.strange is None else seen.strange[rows],
        )
        return GateData(part, None if self.labels is None else self.labels[rows], self.groups[rows])


@dataclass(frozen=True, eq=False)
class FittedGate:
    """The gate, and what it says of each calibration case from a space fitted without its group."""

    gate: OodGate
    held_out: list[OutOfDistribution]


def fit_gate(data: GateData, options: GateOptions | None = None) -> FittedGate:
    """Fit every score that the data allow, and the thresholds of their combination.

    Parameters
    ----------
    data : GateData
    options : GateOptions or None

    Returns
    -------
    FittedGate
        About ``accept`` % of new cases like these lie below the gate's ``refer_above``.
    """
    options = options or GateOptions()
    raw = cross_fitted_scores(data, options)
    tails = {name: fit_tail(raw[name]) for name in SCORES if name in raw}
    surprises = {name: tail.of(raw[name]) for name, tail in tails.items()}
    together = combined(list(surprises.values()))
    refer = _upper_quantile(together, options.accept / 100)
    share = 1.0 - options.accept / 100
    gate = OodGate(
        space=None if data.observed.features is None else _fit_space(data, options),
        tails={_name(name): tail for name, tail in tails.items()},
        quantiles=tuple(_short(q) for q in np.percentile(together, np.arange(101))),
        refer_above=_short(refer),
        reject_above=_short(refer + fit_tail(together).scale * np.log(share / REJECT_SHARE)),
    )
    return FittedGate(gate, findings(surprises, gate))


def _name(name: str) -> ScoreName:
    return next(known for known in ScoreName.__args__ if known == name)  # type: ignore[attr-defined]


def fit_ood(features: FloatArray, groups: NDArray[np.str_], n_components: int = 32, accept: float = 95.0) -> OodGate:
    """Fit the gate from features ``(n, d)`` alone; see ``fit_gate``."""
    data = GateData(Observed(np.zeros((1, 1, len(features), 2)), features), None, groups)
    return fit_gate(data, GateOptions(n_components=n_components, accept=accept)).gate


def cross_fitted_scores(data: GateData, options: GateOptions) -> dict[str, FloatArray]:
    """Return each score ``(n,)``, each case's from a space fitted without its group.

    A score that never varies is left out.
    """
    found: dict[str, FloatArray] = {}
    for train, test in _folds(data, options):
        space = None if data.observed.features is None else _fit_space(data.take(train), options)
        for name, values in raw_scores(space, data.take(test).observed).items():
            found.setdefault(name, np.full(len(data), np.nan))[test] = values
    return {name: values for name, values in found.items() if np.isfinite(values).all() and np.ptp(values) > 0}


def _folds(data: GateData, options: GateOptions) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    n_folds = min(options.n_folds, len(np.unique(data.groups)))
    rows = np.arange(len(data))
    yield from GroupKFold(n_splits=n_folds).split(rows, groups=data.groups)


def fit_tail(scores: FloatArray) -> Tail:
    """Describe how rare large values of a score ``(n,)`` are."""
    shares = np.array(TAIL_SHARES)
    values = np.array([_upper_quantile(scores, 1 - share) for share in shares])
    # Knots that differ by nothing but round-off would make a slope that is not finite.
    step = 1e-9 * float(np.ptp(scores)) + 1e-12
    values = np.maximum.accumulate(np.round(values / step) * step)
    last = values[-1]
    above = scores[scores > last] - last
    # At least a little of the ordinary spread, so that a few equal values make no cliff.
    least = 0.1 * (last - np.median(scores)) + 1e-9
    return Tail(
        values=tuple(_short(v) for v in values),
        surprise=tuple(_short(v) for v in -np.log(shares)),
        scale=_short(max(float(above.mean()) if len(above) else 0.0, float(least))),
    )


def _upper_quantile(scores: FloatArray, share: float) -> float:
    """Return the value that a new case stays below with this chance (split conformal)."""
    ordered = np.sort(scores)
    rank = int(np.ceil(share * (len(ordered) + 1)))
    return float(ordered[min(max(rank, 1), len(ordered)) - 1])


def _short(value: float) -> float:
    return float(f"{float(value):.7g}")


def _fit_space(data: GateData, options: GateOptions) -> FeatureSpace:
    features = data.observed.features
    assert features is not None
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    n, d = features.shape
    p = max(1, min(options.n_components, n // 10, d, max(1, MAX_PACKED // d)))
    components = _principal((features - centre) / scale, p)
    projected = ((features - centre) / scale) @ components.T
    whiten = _whitener(projected)
    white = projected @ whiten.T
    means, within = _classes(white, data.labels)
    return FeatureSpace(
        centre=pack(centre),
        scale=pack(scale),
        components=pack(components, "float16"),
        whiten=pack(whiten),
        class_means=pack(means),
        class_whiten=pack(within),
        neighbours=pack(_reference(projected, data.groups, options), "float16"),
        n_neighbours=options.n_neighbours,
    )


def _principal(standard: FloatArray, p: int) -> FloatArray:
    """Return the first p principal directions ``(p, d)`` of centred rows ``(n, d)``."""
    n, d = standard.shape
    if d <= n:
        return np.asarray(np.linalg.eigh(standard.T @ standard)[1][:, ::-1][:, :p].T)
    values, vectors = np.linalg.eigh(standard @ standard.T)
    chosen = vectors[:, ::-1][:, :p] / np.sqrt(np.clip(values[::-1][:p], 1e-12, None))
    return np.asarray(chosen.T @ standard)


def _whitener(rows: FloatArray) -> FloatArray:
    covariance = LedoitWolf(assume_centered=True).fit(rows).covariance_
    values, vectors = np.linalg.eigh(np.atleast_2d(covariance))
    return np.asarray((vectors / np.sqrt(np.clip(values, 1e-12, None))) @ vectors.T)


def _classes(white: FloatArray, labels: NDArray[np.int64] | None) -> tuple[FloatArray, FloatArray]:
    """Return the means ``(c, p)`` of classes with enough cases, and the whitener within classes."""
    p = white.shape[1]
    if labels is None:
        return np.zeros((0, p)), np.eye(p)
    enough = [label for label in np.unique(labels) if np.sum(labels == label) >= MIN_OF_A_CLASS]
    if len(enough) < 2:
        return np.zeros((0, p)), np.eye(p)
    means = np.stack([white[labels == label].mean(axis=0) for label in enough])
    inside = np.concatenate([white[labels == label] - means[i] for i, label in enumerate(enough)])
    return means, _whitener(inside)


def _reference(projected: FloatArray, groups: NDArray[np.str_], options: GateOptions) -> FloatArray:
    """Return unit rows of some cases: one per group first, then others, in a seeded order."""
    order = np.random.default_rng(options.seed).permutation(len(projected))
    _, first = np.unique(groups[order], return_index=True)
    rest = np.setdiff1d(np.arange(len(order)), first)
    chosen = order[np.concatenate([np.sort(first), rest])][:MAX_NEIGHBOURS]
    return unit_length(projected[chosen])
