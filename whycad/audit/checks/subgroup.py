"""For whom the model is worse: every metadata column, and two of them together."""

from __future__ import annotations

import numpy as np

from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.checks.performance_charts import cells, estimate_columns, interval_mark
from whycad.audit.context import AuditContext
from whycad.audit.findings import Cell, Chart, CheckResult, Column, Finding, Series, Severity, Table
from whycad.audit.judged import Judged, figure, finite, judged_cases, listed, metric, with_estimate
from whycad.audit.model_columns import column_levels, levels_of
from whycad.audit.stats import CHECK_ALPHA
from whycad.audit.subgroup_gaps import ColumnGap, Gap, LevelFigures, gaps_of, level_figures, told_gaps

# Five points are what is commonly called a relevant gap; 15 are half of a usual error rate.
RELEVANT, LARGE = 0.05, 0.15
MOST_FINDINGS, MOST_MARKS, MOST_ROWS = 6, 20, 60
METHOD = (
    "Every column is cut into levels (numbers into thirds, ages at 40 and 60). fairlearn's MetricFrame gives accuracy, "
    "balanced accuracy and mean AUROC per level and the largest difference and ratio per column; all intervals are "
    "bootstrap intervals over groups. Each level, and each pair of levels of two columns, is held against all other "
    "cases: AUROC per class and sensitivity of each class, which unlike accuracy do not depend on how common the "
    "classes are in the subgroup. p-values are corrected for the whole search (Benjamini and Hochberg). Findings name "
    "the worse side of a gap: the table also has the better side, and pairs of levels that repeat a level's gap."
)
REFERENCES = (
    "Weerts 2023, Fairlearn, JMLR 24(257)",
    "Seyyed-Kalantari 2021, doi:10.1038/s41591-021-01595-0",
    "Benjamini 1995, doi:10.1111/j.2517-6161.1995.tb02031.x",
)
TITLES = {"accuracy": "Accuracy", "balanced_accuracy": "Balanced accuracy", "auroc": "AUROC, mean over classes"}


def run(context: AuditContext) -> CheckResult:
    """Measure subgroups."""
    cases = judged_cases(context)
    if not cases.columns:
        raise CheckSkippedError("the data set has no metadata columns")
    levels = levels_of(cases.columns, cases.least_n)
    figures, column_gaps = level_figures(cases, levels)
    gaps = sorted(gaps_of(cases), key=lambda gap: (gap.q if np.isfinite(gap.q) else 2.0, -abs(gap.gap.value)))
    clear = {place: gap for place, gap in enumerate(gaps) if is_clear(gap)}
    told = told_gaps(cases, clear)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(_findings(cases, gaps, list(told.values()), len(clear))),
        tables=(level_table(cases, figures), column_table(column_gaps), gap_table(cases, gaps)),
        charts=(_level_chart(figures, cases), _gap_chart(cases, gaps, told)),
        metrics={
            f"{TITLES_KEYS[i]}/{row.level.column}={row.level.name}": metric(estimate, row.level.n)
            for row in figures
            for i, estimate in enumerate(row.estimates)
        },
    )


TITLES_KEYS = tuple(f"subgroup_{name}" for name in TITLES)


def is_clear(gap: Gap) -> bool:
    """Tell whether a gap is more than chance and relevant, whichever side is worse."""
    return gap.q < CHECK_ALPHA and abs(gap.gap.value) >= RELEVANT


def severity_of(gap: Gap) -> Severity:
    """Return how a gap is to be read: only where the model is worse does it ask for a look."""
    if not is_clear(gap) or gap.gap.value > 0:
        return Severity.OK
    return Severity.CRITICAL if -gap.gap.value >= LARGE else Severity.WARNING


def _findings(cases: Judged, gaps: list[Gap], told: list[Gap], n_clear: int) -> list[Finding]:
    shown = told[:MOST_FINDINGS]
    found = [_finding(cases, gap) for gap in shown]
    found.sort(key=lambda finding: finding.severity is not Severity.CRITICAL)
    rest = len(gaps) - n_clear
    if rest:
        more = f"; {len(told) - len(shown)} more gaps are in the table" if len(told) > len(shown) else ""
        if n_clear > len(told):
            more += f"; {n_clear - len(told)} only repeat a gap, from its better side or in part of its images"
        message = f"No relevant gap in {'the other ' if shown else ''}{rest} comparisons of subgroups{more}."
        found.append(Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases)))
    return [*found, *_not_established(cases, gaps)]


def _finding(cases: Judged, gap: Gap) -> Finding:
    size = figure(gap.gap, signed=True)
    than = "," if gap.others else " than in the others"
    message = f"{_figure_words(cases, gap)} is lower in images {gap.words}{than} by {size}."
    index = cases.codes.index(gap.label)
    behind = gap.mask & cases.wrong & (cases.label == index)
    return with_estimate(
        Finding(
            check=CHECK.id,
            severity=severity_of(gap),
            message=message,
            column=" and ".join(level.column for level in gap.levels),
            label=gap.label,
            effect_name=f"difference in {gap.figure}",
            n=gap.n,
            cases=cases.worst_first(behind),
            n_cases=int(behind.sum()),
        ),
        gap.gap,
    )


def _figure_words(cases: Judged, gap: Gap) -> str:
    return f"{gap.figure[0].upper()}{gap.figure[1:]} for {cases.said(gap.label)}"


def _not_established(cases: Judged, gaps: list[Gap]) -> list[Finding]:
    """Name the levels that are too small, and classes that were compared nowhere."""
    few = [
        f"{level.column.replace('_', ' ')} {level.name} (n = {level.n})"
        for column in cases.columns
        for level in column_levels(column)
        if level.n < cases.least_n
    ]
    found = []
    if few:
        message = f"Not established, fewer than {cases.least_n} cases: {listed(few)}."
        found.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message))
    compared = {gap.label for gap in gaps}
    unseen = [f"{cases.name(code)} (n = {cases.n_of(code)})" for code in cases.codes if code not in compared]
    if unseen and (len(cases.codes) > 2 or not compared):
        message = f"No subgroup has enough cases to compare: {listed(unseen)}."
        found.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message))
    return found


def level_table(cases: Judged, figures: list[LevelFigures]) -> Table:
    """Return the figures of every level; the cases are those with a wrong answer."""
    rows: list[tuple[Cell, ...]] = [
        (row.level.column, row.level.name, row.level.n, *(cell for e in row.estimates for cell in cells(e)))
        for row in figures
    ]
    return Table(
        key="levels",
        title="Subgroups",
        columns=(
            Column(key="column", title="Column"),
            Column(key="level", title="Level"),
            Column(key="n", title="n"),
            *(column for key, title in TITLES.items() for column in estimate_columns(key, title)),
        ),
        rows=tuple(rows),
        cases=tuple(cases.worst_first(row.level.inside & cases.wrong) for row in figures),
        note="Accuracy depends on how common the classes are in a subgroup.",
    )


def column_table(gaps: list[ColumnGap]) -> Table:
    """Return fairlearn's largest difference and smallest ratio per column."""
    return Table(
        key="columns",
        title="Largest difference between the levels of a column",
        columns=(
            Column(key="column", title="Column"),
            Column(key="figure", title="Figure"),
            *estimate_columns("difference", "Largest difference"),
            Column(key="ratio", title="Smallest ratio"),
        ),
        rows=tuple((g.column, TITLES[g.figure], *cells(g.difference), finite(g.ratio)) for g in gaps),
    )


def gap_table(cases: Judged, gaps: list[Gap]) -> Table:
    """Return the comparisons with the smallest corrected p-values."""
    shown = gaps[:MOST_ROWS]
    return Table(
        key="gaps",
        title=f"Subgroups against the rest: {len(shown)} of {len(gaps)} comparisons",
        columns=(
            Column(key="subgroup", title="Images"),
            Column(key="figure", title="Figure"),
            Column(key="label", title="Class"),
            Column(key="n", title="n"),
            Column(key="inside", title="In the subgroup"),
            *estimate_columns("gap", "Difference to the rest"),
            Column(key="q", title="q (Benjamini-Hochberg)"),
        ),
        rows=tuple(
            (g.words, g.figure, cases.name(g.label), g.n, finite(g.inside), *cells(g.gap), finite(g.q)) for g in shown
        ),
        cases=tuple(cases.worst_first(g.mask & cases.wrong, 20) for g in shown),
        note="Intervals are not corrected for the search; q is.",
    )


def _level_chart(figures: list[LevelFigures], cases: Judged) -> Chart:
    marks = tuple(
        interval_mark(
            f"{row.level.column.replace('_', ' ')}: {row.level.name}", row.estimates[2], row.level.n,
            cases.worst_first(row.level.inside & cases.wrong, 20),
        )
        for row in figures
        if np.isfinite(row.estimates[2].value)
    )  # fmt: skip
    return Chart(
        key="levels", title="AUROC, mean over classes, per subgroup", kind="interval", series=(Series(marks=marks),),
        x_title="AUROC",
    )  # fmt: skip


def _gap_chart(cases: Judged, gaps: list[Gap], told: dict[int, Gap]) -> Chart:
    """Draw the clearest gaps: those that a finding tells as it tells them, all others as they are in the table."""
    shown = [told.get(place, gap) for place, gap in enumerate(gaps[:MOST_MARKS])]
    marks = tuple(
        interval_mark(
            f"{cases.name(gap.label)}, {gap.figure}, {gap.words}", gap.gap, gap.n, cases.worst_first(gap.mask, 20)
        ).model_copy(update={"severity": severity_of(gap)})
        for gap in shown
        if np.isfinite(gap.gap.value)
    )
    return Chart(
        key="gaps",
        title="Clearest differences between a subgroup and the rest",
        kind="interval",
        series=(Series(marks=marks),),
        x_title="Difference",
        reference=0.0,
    )


CHECK = Check("subgroup", "Subgroups", "Is the model worse for some patients or some images?", run)
