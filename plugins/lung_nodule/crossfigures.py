"""Figures of grouped cross-validation: model beside diameter, descriptors, labels compared, outline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import rankdata

from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic
from whycad.audit.measures import auroc_of, brier_scores, ece_of, expected_ece, log_losses, mean_of
from whycad.types import JsonObject

FloatArray = NDArray[np.float64]
BANDS_MM = ((0.0, 6.0), (6.0, 10.0), (10.0, 20.0), (20.0, float("inf")))
# A band needs this many nodules of either label, and an interval no wider than this.
LEAST_OF_A_LABEL = 15
WIDEST_INTERVAL = 0.3


@dataclass(frozen=True, eq=False)
class Scored:
    """Labelled nodules with what they are scored by.

    Attributes
    ----------
    score, diameter_mm : ndarray (n,)
    malignant : ndarray of bool (n,)
    patient : ndarray of str (n,)
    """

    score: FloatArray
    diameter_mm: FloatArray
    malignant: NDArray[np.bool_]
    patient: NDArray[np.str_]


def difference(first: Statistic, second: Statistic) -> Statistic:
    """Return a statistic less another, draw by draw."""
    return lambda weights: first(weights) - second(weights)


def auc_figures(cases: Scored) -> JsonObject:
    """Return the AUROC of the model and of the diameter alone, and their difference, with intervals."""
    counts = {
        "n_benign": int((~cases.malignant).sum()),
        "n_malignant": int(cases.malignant.sum()),
        "n_patients": len(np.unique(cases.patient)),
    }
    if not (counts["n_benign"] and counts["n_malignant"]):
        return {**counts, **{name: {"value": None, "interval": None} for name in ("model", "diameter", "difference")}}
    model, size = (auroc_of(values, cases.malignant) for values in (cases.score, cases.diameter_mm))
    found = GroupBootstrap(cases.patient).estimate(
        {"model": model, "diameter": size, "difference": difference(model, size)}
    )
    return {**counts, **{name: estimate.as_json() for name, estimate in found.items()}}


def band_figures(cases: Scored) -> list[JsonObject]:
    """Return the same within bands of diameter; what a band cannot carry is ``not established``."""
    rows = []
    for low, high in BANDS_MM:
        inside = (cases.diameter_mm >= low) & (cases.diameter_mm < high)
        part = Scored(*(getattr(cases, name)[inside] for name in Scored.__dataclass_fields__))
        figures = auc_figures(part)
        rows.append(
            {"from_mm": low, "to_mm": None if np.isinf(high) else high, **figures, "established": carries(figures)}
        )
    return rows


def carries(figures: JsonObject) -> bool:
    """Tell whether a band has enough of either label, and an interval that says something."""
    interval = figures["model"]["interval"]
    enough = min(figures["n_benign"], figures["n_malignant"]) >= LEAST_OF_A_LABEL
    return bool(enough and interval is not None and interval[1] - interval[0] <= WIDEST_INTERVAL)


def partial_spearman(x: FloatArray, y: FloatArray, given: FloatArray) -> float:
    """Return the rank correlation of x and y with the ranks of ``given`` taken out of both, linearly."""
    ranks = [rankdata(values) for values in (x, y, given)]
    basis = np.stack([np.ones(len(x)), ranks[2]], axis=1)
    left, right = (r - basis @ np.linalg.lstsq(basis, r, rcond=None)[0] for r in ranks[:2])
    scale = float(np.sqrt((left**2).sum() * (right**2).sum()))
    return float((left * right).sum() / scale) if scale > 0 else float("nan")


def over_cases(statistic: Callable[[NDArray[np.int64]], float]) -> Statistic:
    """Turn a function of case numbers (with repeats) into a statistic of weights."""

    def weighted(weights: FloatArray) -> FloatArray:
        everyone = np.arange(weights.shape[1])
        return np.array([statistic(np.repeat(everyone, row.astype(int))) for row in weights])

    return weighted


def concept_figure(
    expected: FloatArray, rated: FloatArray, diameter_mm: FloatArray, patient: NDArray[np.str_]
) -> Estimate:
    """Return the partial Spearman correlation of expected and mean rating given diameter, with its interval."""
    found = GroupBootstrap(patient).estimate(
        {"rho": over_cases(lambda rows: partial_spearman(expected[rows], rated[rows], diameter_mm[rows]))}
    )
    return found["rho"]


def cross_fitted(logit: FloatArray, malignant: NDArray[np.bool_], fold: NDArray[np.int64]) -> FloatArray:
    """Return calibrated probabilities ``(n,)``: slope and offset fitted on the other folds."""
    out = np.empty(len(logit))
    for held_out in np.unique(fold):
        test = fold == held_out
        slope, offset = fit_platt(logit[~test], malignant[~test])
        out[test] = 1 / (1 + np.exp(-(slope * logit[test] + offset)))
    return out


def fit_platt(logit: FloatArray, malignant: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of a logit that minimise the log loss (Platt 1999)."""
    sign = np.where(malignant, 1.0, -1.0)

    def loss(p: FloatArray) -> float:
        return float(np.logaddexp(0, -sign * (p[0] * logit + p[1])).mean())

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B").x
    return float(slope), float(offset)


def calibration_figures(probability: FloatArray, malignant: NDArray[np.bool_], patient: NDArray[np.str_]) -> JsonObject:
    """Return log loss, Brier score, calibration error beyond chance and AUROC of probabilities ``(n,)``."""
    both, labels = np.stack([1 - probability, probability], axis=1), malignant.astype(np.int64)
    confidence, correct = both.max(axis=1), both.argmax(axis=1) == labels
    found = GroupBootstrap(patient).estimate(
        {
            "log_loss": mean_of(log_losses(both, labels)),
            "brier": mean_of(brier_scores(both, labels)),
            "auroc": auroc_of(probability, malignant),
        }
    )
    chance = expected_ece(confidence)
    error = float(ece_of(confidence, correct)(np.ones((1, len(labels))))[0])
    return {**{name: estimate.as_json() for name, estimate in found.items()}, "ece_beyond_chance": error - chance}


def paired_log_loss(
    first: FloatArray, second: FloatArray, malignant: NDArray[np.bool_], patient: NDArray[np.str_]
) -> JsonObject:
    """Return the log loss of the first less the second, with its interval by patient."""
    labels = malignant.astype(np.int64)
    losses = [log_losses(np.stack([1 - p, p], axis=1), labels) for p in (first, second)]
    found = GroupBootstrap(patient).estimate({"difference": mean_of(losses[0] - losses[1])})
    return found["difference"].as_json()


def entropy_of(probability: FloatArray) -> FloatArray:
    """Return the binary entropy in nats."""
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.asarray(-p * np.log(p) - (1 - p) * np.log(1 - p))


def ambiguity_figures(aleatoric: FloatArray, label: NDArray[np.int64], patient: NDArray[np.str_]) -> JsonObject:
    """Return how much more ambiguous indeterminate nodules are found than labelled ones."""
    unsure = label < 0
    found = GroupBootstrap(patient).estimate(
        {
            "indeterminate": mean_of(aleatoric, unsure),
            "labelled": mean_of(aleatoric, ~unsure),
            "difference": difference(mean_of(aleatoric, unsure), mean_of(aleatoric, ~unsure)),
            "auroc": auroc_of(aleatoric, unsure),
        }
    )
    return {name: estimate.as_json() for name, estimate in found.items()}


def dice_of(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the overlap of two masks: 1 where they agree, 0 where they are apart or both empty."""
    total = int(first.sum() + second.sum())
    return 2 * float((first & second).sum()) / total if total else 0.0
