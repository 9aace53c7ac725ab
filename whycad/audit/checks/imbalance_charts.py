"""Tables and charts of the imbalance check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from whycad.audit.bootstrap import Estimate, wilson_interval
from whycad.audit.checks.performance_charts import NAMES, cells, estimate_columns, interval_mark
from whycad.audit.findings import Chart, Column, Mark, Series, Table
from whycad.audit.imbalance import FIGURES, PREVALENCES, Rule, Shifted, baselines, effective_numbers
from whycad.audit.judged import Judged, finite
from whycad.audit.words import within_sentence

if TYPE_CHECKING:
    from whycad.audit.checks.performance import ClassFigures, TargetFigures


def class_table(cases: Judged, classes: Sequence[ClassFigures], margins: Sequence[Estimate]) -> Table:
    """Return counts, effective numbers and margins per class."""
    training = cases.context.calibration.training_counts
    effective = effective_numbers(training)
    rows = tuple(
        (
            one.name,
            one.n,
            one.n / len(cases),
            *wilson_interval(one.n / len(cases), len(cases)),
            training.get(one.code),
            finite(effective[one.code]) if one.code in effective else None,
            *cells(margin),
            *cells(one.sensitivity),
        )
        for one, margin in zip(classes, margins, strict=True)
    )
    return Table(
        key="classes",
        title="How common the classes are, and how well they are learned",
        columns=(
            Column(key="label", title="Class"),
            Column(key="n", title="n"),
            *estimate_columns("share", "Share"),
            Column(key="training", title="Training images"),
            Column(key="effective", title="Effective number", decimals=0),
            *estimate_columns("margin", "Mean margin"),
            *estimate_columns("sensitivity", "Sensitivity"),
        ),
        rows=rows,
        cases=tuple(cases.worst_first((cases.label == i) & cases.wrong) for i in range(len(cases.codes))),
        note="Margin: probability of the label less that of the best other label; below 0 means not learned.",
    )


def hidden_table(cases: Judged, figures: dict[str, Estimate], most: str) -> Table:
    """Return each figure beside what costs nothing to achieve."""
    shares = np.bincount(cases.label, minlength=len(cases.codes)) / len(cases)
    free = baselines(shares)
    return Table(
        key="hidden",
        title="What each figure hides",
        columns=(
            Column(key="figure", title="Figure"),
            *estimate_columns("value", "The model"),
            Column(key="majority", title=f"Always {within_sentence(most)}"),
            Column(key="drawn", title="Labels drawn by prevalence"),
        ),
        rows=tuple(
            (NAMES[key], *cells(value), free[key].majority, free[key].drawn)
            for key, value in figures.items()
            if key in free
        ),
    )


def areas_table(targets: Sequence[TargetFigures]) -> Table:
    """Return the area under the precision-recall curve beside that under the ROC curve."""
    return Table(
        key="areas",
        title="Precision-recall against ROC",
        columns=(
            Column(key="label", title="Class"),
            Column(key="share", title="Share of cases (AUPRC of chance)"),
            *estimate_columns("auprc", "AUPRC"),
            *estimate_columns("auroc", "AUROC"),
        ),
        rows=tuple(
            (row.target.name, float(row.target.positive.mean()), *cells(row.auprc), *cells(row.auroc))
            for row in targets
        ),
    )


def shift_table(shifts: Sequence[Shifted]) -> tuple[Table, ...]:
    """Return predictive values at other prevalences; nothing where no question is asked."""
    if not shifts:
        return ()
    rows = [
        (shift.name, prevalence, *cells(ppv), *cells(npv))
        for shift in shifts
        for prevalence, ppv, npv in zip(PREVALENCES, shift.ppv, shift.npv, strict=True)
    ]
    columns = (
        Column(key="answer", title="Answer"),
        Column(key="prevalence", title="Prevalence"),
        *estimate_columns("ppv", "Positive predictive value"),
        *estimate_columns("npv", "Negative predictive value", ),
    )  # fmt: skip
    note = "Sensitivity and specificity are taken to stay as they are here."
    return (Table(key="shift", title="Other prevalences", columns=columns, rows=tuple(rows), note=note),)


def shift_chart(shifts: Sequence[Shifted]) -> tuple[Chart, ...]:
    """Return the positive predictive value over the prevalence."""
    if not shifts:
        return ()
    series = []
    for shift in shifts:
        marks = []
        for prevalence, ppv in zip(PREVALENCES, shift.ppv, strict=True):
            low, high = ppv.interval or (None, None)
            if np.isfinite(ppv.value):
                marks.append(Mark(x=prevalence, y=ppv.value, low=low, high=high))
        series.append(Series(name=shift.name, marks=tuple(marks)))
    return (
        Chart(
            key="shift",
            title="Positive predictive value if the disease were rarer or more common",
            kind="line",
            series=tuple(series),
            x_title="Prevalence",
            y_title="Positive predictive value",
        ),
    )


def margin_chart(cases: Judged, margins: Sequence[Estimate]) -> Chart:
    """Return the mean margin of each class over its training images, or over its cases where those are unknown."""
    training = cases.context.calibration.training_counts
    marks = []
    for index, (code, margin) in enumerate(zip(cases.codes, margins, strict=True)):
        if not np.isfinite(margin.value):
            continue
        low, high = margin.interval or (None, None)
        count = training.get(code, cases.n_of(code))
        ids = cases.worst_first(cases.label == index, 20)
        marks.append(
            (cases.name(code), Mark(x=float(count), y=margin.value, low=low, high=high, n=cases.n_of(code), cases=ids))
        )
    return Chart(
        key="margins",
        title="How well each class is learned",
        kind="scatter",
        series=tuple(Series(name=name, marks=(mark,)) for name, mark in marks),
        x_title="Training images" if training else "Audited images",
        y_title="Mean margin",
        reference=0.0,
    )


def rule_table(cases: Judged, rules: Sequence[Rule]) -> Table:
    """Return what other decision rules give."""
    return Table(
        key="rules",
        title="Other decision rules, on the audited cases",
        columns=(
            Column(key="rule", title="Rule"),
            *(column for name in FIGURES for column in estimate_columns(name, NAMES[name])),
            *estimate_columns("change", "Change of balanced accuracy"),
            *estimate_columns("change_accuracy", "Change of accuracy"),
            *(Column(key=f"sensitivity_{code}", title=f"Sensitivity {cases.name(code)}") for code in cases.codes),
        ),
        rows=tuple(
            (
                rule.name,
                *(cell for name in FIGURES for cell in cells(rule.figures[name])),
                *cells(rule.change["balanced_accuracy"]),
                *cells(rule.change["accuracy"]),
                *(finite(share) for share in rule.sensitivities),
            )
            for rule in rules
        ),
        note="Cross-fitted: each case is judged by weights that were fitted without its group.",
    )


def rule_chart(rules: Sequence[Rule]) -> Chart:
    """Return the change of balanced accuracy and of accuracy by each rule."""
    series = [
        Series(
            name=NAMES[name],
            marks=tuple(
                interval_mark(rule.name, rule.change[name])
                for rule in rules[1:]
                if np.isfinite(rule.change[name].value)
            ),
        )
        for name in ("balanced_accuracy", "accuracy")
    ]
    return Chart(
        key="rules",
        title="What another decision rule would change",
        kind="interval",
        series=tuple(series),
        x_title="Change against the present rule",
        reference=0.0,
    )
