"""The figures of ``performance.json`` from an audit's own predictions: what the model card is renewed with."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from whycad.audit.context import AuditContext
from whycad.audit.performance import Evaluation, evaluate
from whycad.audit.predictions import Predictions
from whycad.datasets.pack_study import COLUMN_NAMES
from whycad.files import write_whole
from whycad.types import JsonObject, MetadataValue
from whycad.uncertainty.conformal import set_masks

CARD_COVERAGE = 0.9


def predictions_of(context: AuditContext) -> Predictions:
    """Return an audit's answers as ``whycad predict`` would have written them."""
    answers = context.answers
    scored = answers.scored
    probabilities = answers.probabilities[scored]
    in_set = set_masks(answers.conformal_p[scored], CARD_COVERAGE, probabilities.argmax(axis=1), context.manifest.kind)
    failed = answers.error != ""
    return Predictions(
        codes=answers.codes,
        row=context.scope[scored],
        group=context.in_scope.groups[scored],
        label=answers.label[scored],
        predicted=answers.predicted[scored],
        probabilities=probabilities,
        in_set=in_set,
        decision=answers.decision[scored],
        epistemic=answers.parts[2][scored],
        aleatoric=answers.parts[1][scored],
        n_failed=int(failed.sum()),
        n_unscored=int((~scored & ~failed).sum()),
    )


def performance_of(context: AuditContext) -> JsonObject:
    """Return the figures in the schema of ``performance.json``, with the data's hash and the run's command."""
    predictions = predictions_of(context)
    calibration = context.calibration
    evaluation = Evaluation(
        dataset=context.cases.name,
        split=context.split,
        command=context.command,
        thresholds={name: point.threshold for name, point in calibration.operating_points.items()},
        training_counts=calibration.training_counts,
        metadata=_metadata(context),
        n_draws=context.options.n_draws,
        seed=context.options.seed,
    )
    return {**evaluate(predictions, context.manifest, evaluation), "data_sha256": context.dataset.sha256}


def _metadata(context: AuditContext) -> list[dict[str, MetadataValue]]:
    """Return the facts of each scored case that the manifest wants subgroups of, under the manifest's names."""
    rows = np.flatnonzero(context.answers.scored)
    found: list[dict[str, MetadataValue]] = [{} for _ in rows]
    for field in context.manifest.audit.metadata_fields:
        names = COLUMN_NAMES.get(field, (field,))
        column = next((c for c in map(context.in_scope.column, names) if c is not None), None)
        if column is None:
            continue
        for facts, row in zip(found, rows, strict=True):
            if column.known[row]:
                value = column.values[row]
                facts[field] = float(value) if column.kind == "number" else str(value)
    return found


def write_performance(context: AuditContext, path: Path) -> None:
    """Write the figures, with null for what is not finite.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    write_whole(path, json.dumps(_finite(performance_of(context)), indent=1, allow_nan=False) + "\n")


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
