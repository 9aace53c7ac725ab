"""Fit a Calibration on held-out groups: prior, temperature, offset, conformal scores, thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.model_selection import StratifiedGroupKFold

from whycad.errors import TrainingError
from whycad.manifest import Manifest, OperatingPoint
from whycad.types import ModelInput
from whycad.uncertainty.calibration import (
    Calibration,
    CalibrationSource,
    StoredOperatingPoint,
    member_log_probabilities,
    softmax,
)
from whycad.uncertainty.conformal import nonconformity
from whycad.uncertainty.decomposition import decompose
from whycad.uncertainty.ood_fit import fit_ood

if TYPE_CHECKING:
    from whycad.inference import Ensemble

N_FOLDS = 5
# Candidates for how firmly the per-class offset is held at 0; infinity is temperature alone.
OFFSET_PENALTIES = (1.0, 10.0, 100.0, float("inf"))


@dataclass(frozen=True, eq=False)
class CalibrationData:
    """Held-out cases.

    Attributes
    ----------
    logits : ndarray (m, v, n, k)
    labels : ndarray of int64 (n,)
    groups : ndarray of str (n,)
    features : ndarray (n, d) or None
        Members' features side by side.
    sampling_prior : ndarray (k,)
        How often training drew each class.
    source : CalibrationSource
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    features: NDArray[np.float64] | None
    sampling_prior: NDArray[np.float64]
    source: CalibrationSource


def run_members(
    inputs: Iterable[ModelInput], ensemble: Ensemble, batch_size: int = 32
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Run the ensemble over many inputs with the code that serves them.

    Returns
    -------
    (ndarray (m, v, n, k), ndarray (n, d) or None)
        Logits, and the members' features side by side where members give features.
    """
    import torch

    logits, features = [], []
    waiting = iter(inputs)
    while chunk := list(islice(waiting, batch_size)):
        output = ensemble.forward(torch.from_numpy(np.stack([item.array for item in chunk])), with_features=True)
        logits.append(output.logits.numpy().astype(np.float64))
        if output.features is not None:
            features.append(np.concatenate(list(output.features.numpy().astype(np.float64)), axis=1))
    return np.concatenate(logits, axis=2), np.concatenate(features) if features else None


def _apply(logs: NDArray[np.float64], parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    return softmax(logs * np.exp(-parameters[0]) + parameters[1:])


def _fit_scaling(logs: NDArray[np.float64], labels: NDArray[np.int64], penalty: float) -> NDArray[np.float64]:
    """Return log temperature and offset ``(1 + k,)`` that minimise the penalised log loss."""
    k, n = logs.shape[-1], logs.shape[1]
    rows = np.arange(n)

    def loss(parameters: NDArray[np.float64]) -> float:
        full = parameters if np.isfinite(penalty) else np.concatenate([parameters, np.zeros(k)])
        chosen = _apply(logs, full).mean(axis=0)[rows, labels]
        shrink = penalty * float(np.sum(full[1:] ** 2)) / n if np.isfinite(penalty) else 0.0
        return float(-np.log(np.clip(chosen, 1e-12, 1)).mean()) + shrink

    start = np.zeros(1 + k if np.isfinite(penalty) else 1)
    found = minimize(loss, start, method="L-BFGS-B").x
    return found if np.isfinite(penalty) else np.concatenate([found, np.zeros(k)])


def _cross_fitted(
    logs: NDArray[np.float64], labels: NDArray[np.int64], groups: NDArray[np.str_], penalty: float
) -> NDArray[np.float64]:
    """Return members' probabilities ``(m, n, k)``, each case's from folds that lack its group."""
    out = np.empty_like(logs)
    folds = StratifiedGroupKFold(n_splits=N_FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(logs[0], labels, groups):
        out[:, test] = _apply(logs[:, test], _fit_scaling(logs[:, train], labels[train], penalty))
    return out


def _log_loss(members: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    chosen = members.mean(axis=0)[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, 1e-12, 1)).mean())


def threshold_for_sensitivity(scores: NDArray[np.float64], positive: NDArray[np.bool_], sensitivity: float) -> float:
    """Return the largest threshold at which ``score >= threshold`` finds this share of positives."""
    ordered = np.sort(scores[positive])[::-1]
    return float(ordered[int(np.ceil(sensitivity * len(ordered))) - 1])


def _operating_point(
    point: OperatingPoint, probabilities: NDArray[np.float64], labels: NDArray[np.int64], codes: tuple[str, ...]
) -> StoredOperatingPoint:
    columns = [codes.index(code) for code in point.labels]
    positive = np.isin(labels, columns)
    scores = probabilities[:, columns].sum(axis=1)
    threshold = threshold_for_sensitivity(scores, positive, point.sensitivity)
    called = scores >= threshold
    return StoredOperatingPoint(
        threshold=threshold,
        sensitivity=float(called[positive].mean()),
        specificity=float((~called[~positive]).mean()),
        n_positive=int(positive.sum()),
        n_negative=int((~positive).sum()),
    )


def fit_calibration(data: CalibrationData, manifest: Manifest) -> Calibration:
    """Fit everything that the decision needs on held-out groups.

    The form of the scaling is chosen by grouped cross-validated log loss; conformal scores,
    quantiles and thresholds use the cross-fitted probabilities.

    Raises
    ------
    TrainingError
        When a class has no calibration case.
    """
    codes = manifest.label_codes
    counts = np.bincount(data.labels, minlength=len(codes))
    if counts.min() < N_FOLDS:
        raise TrainingError(f"calibration needs at least {N_FOLDS} cases of each class, found {counts.tolist()}")
    prior = counts / counts.sum()
    shift = np.log(prior) - np.log(data.sampling_prior / data.sampling_prior.sum())
    logs = member_log_probabilities(data.logits, shift)
    trials = {p: _cross_fitted(logs, data.labels, data.groups, p) for p in OFFSET_PENALTIES}
    penalty = min(trials, key=lambda p: _log_loss(trials[p], data.labels))
    parameters, members = _fit_scaling(logs, data.labels, penalty), trials[penalty]
    mean = members.mean(axis=0)
    own = nonconformity(mean)[np.arange(len(data.labels)), data.labels]
    return Calibration(
        source=data.source,
        labels=codes,
        log_prior_shift=tuple(float(v) for v in shift),
        temperature=float(np.exp(parameters[0])),
        offset=tuple(float(v) for v in parameters[1:]),
        prior=tuple(float(v) for v in prior),
        conformal_scores={
            code: tuple(sorted(float(v) for v in own[data.labels == index])) for index, code in enumerate(codes)
        },
        epistemic_quantiles=tuple(float(v) for v in np.percentile(decompose(members)[2], np.arange(101))),
        operating_points={
            point.name: _operating_point(point, mean, data.labels, codes) for point in manifest.operating_points
        },
        ood=None if data.features is None else fit_ood(data.features, data.groups),
    )
