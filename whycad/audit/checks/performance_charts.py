"""Tables and charts of the performance check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from whycad.audit.bootstrap import Estimate, FloatArray
from whycad.audit.findings import Cell, Chart, Column, Mark, Series, Table
from whycad.audit.judged import Judged, finite
from whycad.audit.model_stats import pr_points, roc_points

if TYPE_CHECKING:
    from whycad.audit.checks.performance import ClassFigures, PointFigures, TargetFigures

NAMES = {
    "macro_auroc": "AUROC, mean over classes",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "mcc": "Matthews' correlation",
    "kappa": "Cohen's kappa",
    "macro_f1": "F1, mean over classes",
}
EXAMPLES_PER_CELL = 60


def cells(estimate: Estimate) -> tuple[Cell, Cell, Cell]:
    """Return value, low and high end for a table."""
    low, high = estimate.interval or (None, None)
    return finite(estimate.value), low, high


def estimate_columns(key: str, title: str) -> tuple[Column, Column, Column]:
    """Return the columns for a value and the ends of its interval."""
    return (
        Column(key=key, title=title),
        Column(key=f"{key}_low", title="from"),
        Column(key=f"{key}_high", title="to"),
    )


def interval_mark(name: str, estimate: Estimate, n: int | None = None, cases: tuple[str, ...] = ()) -> Mark:
    """Return a row of an interval chart; the value must be finite."""
    low, high = estimate.interval or (None, None)
    return Mark(x=estimate.value, y=name, low=low, high=high, n=n, cases=cases)


def headline_table(macro: Estimate | None, summary: dict[str, Estimate], n: int) -> Table:
    """Return the figures over all classes."""
    figures = {"macro_auroc": macro, **summary}
    rows = tuple((NAMES[key], *cells(value), n) for key, value in figures.items() if value is not None)
    columns = (Column(key="figure", title="Figure"), *estimate_columns("value", "Value"))
    return Table(key="headlines", title="Over all classes", columns=(*columns, Column(key="n", title="n")), rows=rows)


def per_class_table(cases: Judged, classes: Sequence[ClassFigures], targets: Sequence[TargetFigures]) -> Table:
    """Return the figures of each class; the cases are those that were missed."""
    areas = {row.target.key: row for row in targets}
    nothing: tuple[Cell, Cell, Cell] = (None, None, None)
    rows, missed = [], []
    for index, one in enumerate(classes):
        area = areas.get(one.code)
        rows.append(
            (
                one.name,
                one.n,
                one.n_groups,
                *(cells(area.auroc) if area else nothing),
                *(cells(area.auprc) if area else nothing),
                *cells(one.sensitivity),
                *cells(one.specificity),
                *cells(one.precision),
                *cells(one.f1),
            )
        )
        missed.append(cases.worst_first((cases.label == index) & cases.wrong))
    columns = (
        Column(key="label", title="Class"),
        Column(key="n", title="n"),
        Column(key="n_groups", title="Groups"),
        *estimate_columns("auroc", "AUROC"),
        *estimate_columns("auprc", "AUPRC"),
        *estimate_columns("sensitivity", "Sensitivity"),
        *estimate_columns("specificity", "Specificity"),
        *estimate_columns("ppv", "Positive predictive value"),
        *estimate_columns("f1", "F1"),
    )
    note = "Sensitivity, specificity, predictive value and F1 are of the answer by the task's rule."
    return Table(key="classes", title="Per class", columns=columns, rows=tuple(rows), cases=tuple(missed), note=note)


def point_table(points: Sequence[PointFigures]) -> tuple[Table, ...]:
    """Return the operating points; nothing where there are none."""
    if not points:
        return ()
    rows = tuple(
        (p.name, p.threshold, p.promised, p.n_positive, *cells(p.sensitivity), p.n_negative, *cells(p.specificity))
        for p in points
    )
    columns = (
        Column(key="point", title="Operating point"),
        Column(key="threshold", title="Threshold"),
        Column(key="promised", title="Promised sensitivity"),
        Column(key="n_positive", title="Positive"),
        *estimate_columns("sensitivity", "Sensitivity"),
        Column(key="n_negative", title="Negative"),
        *estimate_columns("specificity", "Specificity"),
    )
    return (Table(key="points", title="Operating points", columns=columns, rows=rows),)


def member_table(members: dict[str, FloatArray]) -> tuple[Table, ...]:
    """Return each member's own figures with mean and standard deviation; nothing for a single member."""
    ranks, balanced = members["macro_auroc"], members["balanced_accuracy"]
    if len(ranks) < 2:
        return ()
    rows: list[tuple[Cell, ...]] = [
        (f"member {i + 1}", finite(a), finite(b)) for i, (a, b) in enumerate(zip(ranks, balanced, strict=True))
    ]
    rows.append(("mean", finite(ranks.mean()), finite(balanced.mean())))
    rows.append(("standard deviation", finite(ranks.std(ddof=1)), finite(balanced.std(ddof=1))))
    columns = (
        Column(key="member", title="Member"),
        Column(key="auroc", title=NAMES["macro_auroc"]),
        Column(key="balanced", title=NAMES["balanced_accuracy"]),
    )
    note = "Members of the shipped ensemble, each alone. They may share a training run."
    return (Table(key="members", title="Members", columns=columns, rows=tuple(rows), note=note),)


def auroc_chart(targets: Sequence[TargetFigures]) -> Chart:
    """Return the AUROC of each question with its interval."""
    marks = tuple(
        interval_mark(row.target.name, row.auroc, int(row.target.positive.sum()))
        for row in targets
        if np.isfinite(row.auroc.value)
    )
    return Chart(
        key="auroc",
        title="AUROC per class, one against the rest",
        kind="interval",
        series=(Series(marks=marks),),
        x_title="AUROC",
        reference=0.5,
    )


def curve_charts(targets: Sequence[TargetFigures]) -> tuple[Chart, Chart]:
    """Return the ROC and the precision-recall curves."""
    roc, pr = [], []
    for row in targets:
        target = row.target
        false, true = roc_points(target.scores, target.positive)
        found, precision = pr_points(target.scores, target.positive)
        roc.append(_line(target.name, false, true))
        pr.append(_line(target.name, found, precision))
    return (
        Chart(
            key="roc",
            title="ROC curves",
            kind="line",
            series=tuple(roc),
            x_title="1 - specificity",
            y_title="Sensitivity",
            diagonal=True,
        ),
        Chart(
            key="pr",
            title="Precision-recall curves",
            kind="line",
            series=tuple(pr),
            x_title="Sensitivity (recall)",
            y_title="Positive predictive value (precision)",
        ),
    )


def _line(name: str, x: FloatArray, y: FloatArray) -> Series:
    return Series(name=name, marks=tuple(Mark(x=float(a), y=float(b)) for a, b in zip(x, y, strict=True)))


def confusion_chart(cases: Judged) -> Chart:
    """Return the confusion matrix: share of each class by answer, with the cases of every cell."""
    marks = []
    for true, code in enumerate(cases.codes):
        n = int((cases.label == true).sum())
        for said, answer in enumerate(cases.codes):
            here = (cases.label == true) & (cases.predicted == said)
            share = float(here.sum() / n) if n else None
            ids = cases.worst_first(here, EXAMPLES_PER_CELL)
            marks.append(Mark(x=cases.name(answer), y=cases.name(code), z=share, n=int(here.sum()), cases=ids))
    return Chart(
        key="confusion",
        title="Confusion matrix",
        kind="heatmap",
        series=(Series(marks=tuple(marks)),),
        x_title="Answer",
        y_title="Label",
        note="Colour is the share of the label's cases; the number counts them.",
    )
