"""Tables and charts of the calibration check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, FloatArray
from whycad.audit.calibration_stats import reliability_bins
from whycad.audit.checks.performance_charts import cells, estimate_columns
from whycad.audit.coverage import Coverage
from whycad.audit.findings import Chart, Column, Mark, Series, Severity, Table
from whycad.audit.judged import Judged, finite
from whycad.audit.selective import risk_coverage

if TYPE_CHECKING:
    from whycad.audit.checks.calibration import ClassBias

BRIER_PARTS = (
    "Brier score",
    "Reliability (0 is best)",
    "Resolution (large is good)",
    "Uncertainty of the data",
    "Within bins",
)
CURVE_POINTS = 100


def reliability_table(cases: Judged, top: FloatArray, hit: NDArray[np.bool_]) -> Table:
    """Return said against observed of the leading label."""
    bins = reliability_bins(top, hit)
    return Table(
        key="reliability",
        title="Said against observed, leading label",
        columns=(
            Column(key="said", title="Mean probability"),
            *estimate_columns("observed", "Share that was right"),
            Column(key="n", title="n"),
        ),
        rows=tuple((one.said, one.observed, *one.interval, one.n) for one in bins),
        cases=tuple(cases.worst_first(one.inside) for one in bins),
        note="Intervals are Wilson's and take cases as independent.",
    )


def reliability_chart(cases: Judged, top: FloatArray, hit: NDArray[np.bool_]) -> Chart:
    """Return the reliability diagram of the leading label, and of each class's own probability."""
    series = [_reliability(cases, "leading label", top, hit)]
    for index, code in enumerate(cases.codes):
        if len(cases.codes) > 2 or index == 1:
            series.append(_reliability(cases, cases.name(code), cases.probabilities[:, index], cases.label == index))
    return Chart(
        key="reliability",
        title="Reliability: what is said against what comes true",
        kind="scatter",
        series=tuple(series),
        x_title="Mean probability in the bin",
        y_title="Share that came true",
        diagonal=True,
        note="Bins without a case are left out; bars are 95 % intervals.",
    )


def _reliability(cases: Judged, name: str, probability: FloatArray, came_true: NDArray[np.bool_]) -> Series:
    marks = [
        Mark(
            x=b.said, y=b.observed, low=b.interval[0], high=b.interval[1], n=b.n, cases=cases.worst_first(b.inside, 20)
        )
        for b in reliability_bins(probability, came_true)
    ]
    return Series(name=name, marks=tuple(marks))


def bias_table(biases: Sequence[ClassBias]) -> Table:
    """Return calibration in the large and the class-wise calibration error."""
    return Table(
        key="classes",
        title="Calibration per class",
        columns=(
            Column(key="label", title="Class"),
            Column(key="n", title="n"),
            *estimate_columns("bias", "Mean probability less share of cases"),
            Column(key="p", title="p (Holm)"),
            *estimate_columns("excess", "Calibration error beyond chance"),
        ),
        rows=tuple((b.name, b.n, *cells(b.bias), finite(b.p), *cells(b.excess)) for b in biases),
    )


def brier_table(parts: Sequence[Estimate]) -> Table:
    """Return Murphy's decomposition."""
    return Table(
        key="brier",
        title="Brier score and its parts",
        columns=(Column(key="part", title="Part"), *estimate_columns("value", "Value")),
        rows=tuple((name, *cells(part)) for name, part in zip(BRIER_PARTS, parts, strict=True)),
        note="Score = reliability - resolution + uncertainty + within bins, summed over the classes.",
    )


def coverage_table(cases: Judged, classes: Sequence[Coverage], subgroups: Sequence[Coverage]) -> Table:
    """Return the coverage of the sets, per class and subgroup."""
    rows = [
        (_coverage_name(cases, row.name), row.n, row.n_groups, finite(row.share), *(row.interval or (None, None)))
        for row in [*classes, *subgroups]
    ]
    return Table(
        key="coverage",
        title=f"Coverage of the {cases.set_coverage:.0%} sets",
        columns=(
            Column(key="part", title="Class or subgroup"),
            Column(key="n", title="n"),
            Column(key="n_groups", title="Groups"),
            *estimate_columns("coverage", "Coverage"),
        ),
        rows=tuple(rows),
    )


def coverage_chart(cases: Judged, classes: Sequence[Coverage], subgroups: Sequence[Coverage]) -> Chart:
    """Return the same as an interval chart."""
    marks = [
        Mark(
            x=row.share,
            y=_coverage_name(cases, row.name),
            low=(row.interval or (None, None))[0],
            high=(row.interval or (None, None))[1],
            n=row.n,
            severity=_coverage_severity(row),
        )
        for row in [*classes, *subgroups]
        if np.isfinite(row.share)
    ]
    return Chart(
        key="coverage",
        title="How often sets hold the truth",
        kind="interval",
        series=(Series(marks=tuple(marks)),),
        x_title="Coverage",
        reference=cases.set_coverage,
    )


def _coverage_severity(row: Coverage) -> Severity:
    if not row.established:
        return Severity.UNKNOWN
    return Severity.OK if row.holds else Severity.WARNING


def _coverage_name(cases: Judged, name: str) -> str:
    return cases.name(name) if name in cases.codes else name


def risk_chart(cases: Judged) -> Chart:
    """Return the risk-coverage curve and the point at which the policy works."""
    coverage, risk = risk_coverage(cases.probabilities.max(axis=1), cases.wrong, CURVE_POINTS)
    curve = Series(
        name="most probable first",
        marks=tuple(Mark(x=float(c), y=float(r)) for c, r in zip(coverage, risk, strict=True)),
    )
    reported = cases.decision == "report"
    series = [curve]
    if reported.any():
        wrong = reported & cases.wrong
        point = Mark(
            x=float(reported.mean()), y=float(wrong.sum() / reported.sum()), n=int(reported.sum()),
            cases=cases.worst_first(wrong),
        )  # fmt: skip
        series.append(Series(name="the task's policy", marks=(point,)))
    return Chart(
        key="risk",
        title="Share of wrong answers by share of cases answered",
        kind="line",
        series=tuple(series),
        x_title="Share of cases answered",
        y_title="Share of wrong answers among them",
    )
