"""Fit a Calibration on held-out groups: prior, scaling, conformal scores, thresholds, gate, figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.datasets.splits import grouped_folds
from whycad.errors import TrainingError
from whycad.manifest import Manifest, OperatingPoint
from whycad.training.conformal_fit import ScoreData, choose_score, cross_fitted_p, scores_by_class
from whycad.training.held_out import HeldOut, held_out_risk, reliability_of
from whycad.training.scaling_fit import N_FOLDS, ScalingData, choose_scaling
from whycad.types import ModelInput
from whycad.uncertainty.assemble import Numbers, uncertainty_parts
from whycad.uncertainty.calibration import (
    LEAST_PROBABILITY,
    Calibration,
    CalibrationSource,
    StoredOperatingPoint,
    member_log_probabilities,
    softmax,
)
from whycad.uncertainty.conformal import nonconformity
from whycad.uncertainty.decomposition import entropy
from whycad.uncertainty.ood import Observed
from whycad.uncertainty.ood_fit import GateData, fit_gate

if TYPE_CHECKING:
    from whycad.inference import Ensemble

FEWEST_GROUPS = 2


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
    strange : ndarray (n,) or None
        The plugin's own strangeness score, where it has one.
    strata : ndarray of str (n,) or None
        Parts of the cases, such as kinds of scanner, of which each is to be covered by itself.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    features: NDArray[np.float64] | None
    sampling_prior: NDArray[np.float64]
    source: CalibrationSource
    strange: NDArray[np.float64] | None = None
    strata: NDArray[np.str_] | None = None

    @property
    def observed(self) -> Observed:
        """What the gate looks at."""
        return Observed(self.logits, self.features, self.strange)


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

    In this order: the form of the probability scaling (``scaling_fit``), the conformal score
    (``conformal_fit``), the gate (``ood_fit``), and what the whole policy does to these cases
    (``held_out``). Scores, quantiles, thresholds and figures are cross-fitted.

    Parameters
    ----------
    data : CalibrationData
    manifest : Manifest

    Raises
    ------
    TrainingError
        When a class has too few calibration cases or groups.
    """
    prior = _prior(data, manifest)
    shift = np.log(prior) - np.log(data.sampling_prior / data.sampling_prior.sum())
    # No more folds than a class has groups, so that it is in every training part.
    folds = grouped_folds(data.labels, data.groups, min(N_FOLDS, *_groups_per_class(data, len(prior))))
    fitted = choose_scaling(_scaling_data(data, manifest, folds, shift))
    mean = fitted.members.mean(axis=0)
    scored = ScoreData(mean, data.labels, data.groups, folds, manifest.label_codes, manifest.kind, data.strata)
    rule = choose_score(scored)
    gate = fit_gate(GateData(data.observed, data.labels, data.groups))
    parts = uncertainty_parts(fitted.members, entropy(fitted.passes).mean(axis=(0, 1)))
    calibration = Calibration(
        source=data.source,
        labels=manifest.label_codes,
        log_prior_shift=tuple(float(v) for v in shift),
        temperature=float(1.0 / np.trace(fitted.scaling.matrix) * len(prior)),
        offset=fitted.scaling.offset,
        prior=tuple(float(v) for v in prior),
        conformal_scores=scores_by_class(nonconformity(mean, rule), data.labels, manifest.label_codes, data.strata),
        epistemic_quantiles=tuple(float(v) for v in np.percentile(parts[2], np.arange(101))),
        operating_points={
            point.name: _operating_point(point, mean, data.labels, manifest.label_codes)
            for point in manifest.operating_points
        },
        ood=gate.gate,
        scaling=fitted.scaling,
        score=rule,
        reliability=reliability_of(mean, data.labels, manifest.label_codes),
        epistemic_over_views=True,
    )
    numbers = Numbers(fitted.members, cross_fitted_p(scored, rule), parts, [*gate.held_out])
    risk = held_out_risk(HeldOut(numbers, data.labels, data.groups), manifest, calibration)
    return calibration.model_copy(update={"held_out": risk})


def _prior(data: CalibrationData, manifest: Manifest) -> NDArray[np.float64]:
    """Return the prevalence in the calibration data ``(k,)``."""
    k = len(manifest.labels)
    counts = np.bincount(data.labels, minlength=k)
    if counts.min() < N_FOLDS:
        raise TrainingError(f"calibration needs at least {N_FOLDS} cases of each class, found {counts.tolist()}")
    groups = _groups_per_class(data, k)
    if min(groups) < FEWEST_GROUPS:
        raise TrainingError(f"calibration needs at least {FEWEST_GROUPS} groups of each class, found {groups}")
    return np.asarray(counts / counts.sum())


def _groups_per_class(data: CalibrationData, k: int) -> list[int]:
    return [len(np.unique(data.groups[data.labels == label])) for label in range(k)]


def _scaling_data(
    data: CalibrationData, manifest: Manifest, folds: NDArray[np.int64], shift: NDArray[np.float64]
) -> ScalingData:
    views = softmax(data.logits + shift)
    return ScalingData(
        member_log_probabilities(data.logits, shift),
        np.log(np.clip(views, LEAST_PROBABILITY, 1.0)),
        data.labels,
        data.groups,
        folds,
        manifest.label_codes,
        _prior(data, manifest),
    )
