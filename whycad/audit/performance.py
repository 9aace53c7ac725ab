"""How good a model is on labelled cases: the figures of ``performance.json`` and of the model card.

Probabilities are judged as they are (calibration, ranking, sets); the decision rule is judged by
``pred``. Every interval is a 95 % bootstrap interval over groups (patients or lesions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, GroupBootstrap, Statistic, share_interval
from whycad.audit.measures import (
    aurc_of,
    auroc_of,
    brier_scores,
    ece_of,
    expected_ece,
    log_losses,
    mean_of,
    mean_over,
)
from whycad.audit.predictions import UNKNOWN, Predictions
from whycad.audit.subgroups import subgroup_masks
from whycad.errors import DatasetError
from whycad.manifest import Manifest
from whycad.types import JsonObject, MetadataValue

MIN_CASES_OF_A_SUBGROUP = 30


@dataclass(frozen=True)
class Evaluation:
    """What was evaluated, and how.

    Attributes
    ----------
    dataset, split, command : str
        For the record.
    thresholds : mapping of str to float
        Of the operating points, from the calibration.
    training_counts : mapping of str to int
        Training images per label code.
    metadata : sequence of mapping
        Facts of each case ``(n,)``, for subgroups; empty where unknown.
    n_draws : int
        Bootstrap draws, and draws of labels for the expected calibration error.
    seed : int
    """

    dataset: str = ""
    split: str = ""
    command: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    training_counts: Mapping[str, int] = field(default_factory=dict)
    metadata: Sequence[Mapping[str, MetadataValue]] = ()
    n_draws: int = 1000
    seed: int = 0


def evaluate(predictions: Predictions, manifest: Manifest, evaluation: Evaluation) -> JsonObject:
    """Measure predictions against labels.

    Parameters
    ----------
    predictions : Predictions
        Rows without a label are left out, and counted.
    manifest : Manifest
    evaluation : Evaluation
        ``metadata`` has one entry per row of ``predictions``, or none at all.

    Returns
    -------
    JsonObject
        As ``performance.json`` holds it; None stands for what is not defined.

    Raises
    ------
    DatasetError
        When no row has a label.
    """
    known = predictions.label != UNKNOWN
    cases = predictions.select(known)
    if not len(cases):
        raise DatasetError("no row of the predictions has a label of this task, so there is nothing to measure")
    bootstrap = GroupBootstrap(cases.group, evaluation.n_draws, evaluation.seed)
    metadata = (
        [facts for facts, keep in zip(evaluation.metadata, known, strict=True) if keep] if evaluation.metadata else []
    )
    return {
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "command": evaluation.command,
        "n": len(cases),
        "n_groups": bootstrap.n_groups,
        "n_without_label": int((~known).sum()),
        "n_failed": predictions.n_failed,
        "n_unscored": predictions.n_unscored,
        "metrics": _metrics(cases, bootstrap, evaluation),
        "per_class": _per_class(cases, bootstrap),
        "operating_points": _operating_points(cases, manifest, bootstrap, evaluation.thresholds),
        "subgroups": _subgroups(cases, metadata, evaluation),
        "training_counts": dict(evaluation.training_counts),
    }


def class_aurocs(cases: Predictions) -> dict[str, Statistic]:
    """Return one-against-rest AUROC for every class that has cases and others to tell them from."""
    found = {}
    for index, code in enumerate(cases.codes):
        positive = cases.label == index
        if positive.any() and not positive.all():
            found[code] = auroc_of(cases.probabilities[:, index], positive)
    return found


def class_recalls(cases: Predictions, within: NDArray[np.bool_] | None = None) -> dict[str, Statistic]:
    """Return the share of each present class that ``pred`` finds."""
    inside = np.ones(len(cases), bool) if within is None else within
    correct = cases.predicted == cases.label
    masks = {code: (cases.label == index) & inside for index, code in enumerate(cases.codes)}
    return {code: mean_of(correct, mask) for code, mask in masks.items() if mask.any()}


def _class_coverages(cases: Predictions) -> dict[str, Statistic]:
    covered = cases.in_set[np.arange(len(cases)), cases.label]
    present = np.unique(cases.label)
    return {cases.codes[index]: mean_of(covered, cases.label == index) for index in present}


def _metrics(cases: Predictions, bootstrap: GroupBootstrap, evaluation: Evaluation) -> JsonObject:
    top = cases.probabilities.max(axis=1)
    correct = cases.predicted == cases.label
    reported = cases.decision == "report"
    statistics: dict[str, Statistic] = {
        "macro_auroc": mean_over(list(class_aurocs(cases).values())),
        "balanced_accuracy": mean_over(list(class_recalls(cases).values())),
        "accuracy": mean_of(correct),
        "accuracy_reported": mean_of(correct, reported),
        "brier": mean_of(brier_scores(cases.probabilities, cases.label)),
        "log_loss": mean_of(log_losses(cases.probabilities, cases.label)),
        "aurc": aurc_of(top, ~correct),
        "macro_coverage": mean_over(list(_class_coverages(cases).values())),
        "mean_set_size": mean_of(cases.in_set.sum(axis=1).astype(np.float64)),
        "share_report": mean_of(reported),
        "share_refer": mean_of(cases.decision == "refer"),
        "share_reject": mean_of(cases.decision == "reject"),
    }
    found = {name: estimate.as_json() for name, estimate in bootstrap.estimate(statistics).items()}
    return {**found, **_calibration_metrics(cases, evaluation)}


def _calibration_metrics(cases: Predictions, evaluation: Evaluation) -> JsonObject:
    """Return calibration errors of the top label; no interval, as resampling only ever adds error."""
    top = cases.probabilities.max(axis=1)
    hit = cases.probabilities.argmax(axis=1) == cases.label
    ece = float(ece_of(top, hit)(np.ones((1, len(cases))))[0])
    expected = expected_ece(top, n_draws=evaluation.n_draws, seed=evaluation.seed)
    values = {"ece": ece, "ece_expected": expected, "ece_excess": ece - expected}
    return {name: {"value": value, "interval": None} for name, value in values.items()}


def _per_class(cases: Predictions, bootstrap: GroupBootstrap) -> JsonObject:
    aurocs = bootstrap.estimate(class_aurocs(cases))
    recalls = bootstrap.estimate(class_recalls(cases))
    coverages = bootstrap.estimate(_class_coverages(cases))
    found: JsonObject = {}
    for index, code in enumerate(cases.codes):
        mask = cases.label == index
        n_groups = len(np.unique(cases.group[mask]))
        found[code] = {"n": int(mask.sum()), "n_groups": n_groups}
        if code in recalls:
            found[code] |= _share("sensitivity", "interval", recalls[code], n_groups)
            found[code] |= _share("coverage", "coverage_interval", coverages[code], n_groups)
            found[code]["coverage_se"] = coverages[code].standard_error
        if code in aurocs:
            found[code] |= {"auroc": aurocs[code].value, "auroc_interval": aurocs[code].interval}
    return found


def _share(name: str, interval_name: str, estimate: Estimate, n_groups: int) -> JsonObject:
    interval = share_interval(estimate, n_groups)
    return {name: estimate.value, interval_name: None if interval is None else list(interval)}


def _operating_points(
    cases: Predictions, manifest: Manifest, bootstrap: GroupBootstrap, thresholds: Mapping[str, float]
) -> JsonObject:
    found: JsonObject = {}
    for point in manifest.operating_points:
        members = [cases.codes.index(code) for code in point.labels]
        positive = np.isin(cases.label, members)
        if point.name not in thresholds or positive.all() or not positive.any():
            continue
        score = cases.probabilities[:, members].sum(axis=1)
        flagged = score >= thresholds[point.name]
        estimates = bootstrap.estimate(
            {
                "sensitivity": mean_of(flagged, positive),
                "specificity": mean_of(~flagged, ~positive),
                "auroc": auroc_of(score, positive),
            }
        )
        found[point.name] = {
            "threshold": thresholds[point.name],
            "n_positive": int(positive.sum()),
            "n_negative": int((~positive).sum()),
            **_share("sensitivity", "interval", estimates["sensitivity"], len(np.unique(cases.group[positive]))),
            **_share(
                "specificity", "specificity_interval", estimates["specificity"], len(np.unique(cases.group[~positive]))
            ),
            **_share("auroc", "auroc_interval", estimates["auroc"], 0),
        }
    return found


def _subgroups(
    cases: Predictions, metadata: Sequence[Mapping[str, MetadataValue]], evaluation: Evaluation
) -> list[JsonObject]:
    """Measure every subgroup that is large enough to say something."""
    found = []
    for name, value, mask in subgroup_masks(metadata):
        if mask.sum() < MIN_CASES_OF_A_SUBGROUP:
            continue
        part = cases.select(mask)
        bootstrap = GroupBootstrap(part.group, evaluation.n_draws, evaluation.seed)
        overall = bootstrap.estimate(
            {
                "macro_auroc": mean_over(list(class_aurocs(part).values())),
                "balanced_accuracy": mean_over(list(class_recalls(part).values())),
                "accuracy": mean_of(part.predicted == part.label),
                "macro_coverage": mean_over(list(_class_coverages(part).values())),
            }
        )
        found.append(
            {
                "field": name,
                "value": value,
                "n": len(part),
                "n_groups": bootstrap.n_groups,
                "metrics": {key: estimate.as_json() for key, estimate in overall.items()},
                "per_class": _recalls(part, bootstrap),
            }
        )
    return found


def _recalls(part: Predictions, bootstrap: GroupBootstrap) -> JsonObject:
    estimates = bootstrap.estimate(class_recalls(part))
    found: JsonObject = {}
    for code, estimate in estimates.items():
        mask = part.label == part.codes.index(code)
        n_groups = len(np.unique(part.group[mask]))
        found[code] = {
            "n": int(mask.sum()),
            "n_groups": n_groups,
            **_share("sensitivity", "interval", estimate, n_groups),
        }
    return found
