"""Whether performance falls when a confounder is balanced, or points the wrong way."""

from __future__ import annotations

import numpy as np

from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.checks.performance_charts import cells, estimate_columns, interval_mark
from whycad.audit.context import AuditContext
from whycad.audit.findings import Chart, CheckResult, Column, Finding, Series, Severity, Table
from whycad.audit.judged import Judged, figure, finite, judged_cases, listed, with_estimate
from whycad.audit.matching import Matched, matched_pairs
from whycad.audit.model_columns import contrasts_of
from whycad.audit.stats import CHECK_ALPHA
from whycad.audit.words import within_sentence

# Against the confounder the AUROC of a model that uses it falls several times as far as when it is balanced.
RELEVANT_CONFLICT, LARGE_CONFLICT = 0.05, 0.15
RELEVANT_BALANCED, LARGE_BALANCED = 0.02, 0.05
CHANCE = 0.5
MOST_FINDINGS, MOST_MARKS = 6, 8
METHOD = (
    "For every column that goes with a label in these data, the AUROC over all cases is held against that within the "
    "column's levels, that of cases weighted so that column and label are independent, and that of the conflicting "
    "cases only (positive without what usually goes with it, negative with it). A model that does not use the column "
    "has the same AUROC everywhere. Drops have bootstrap intervals by group and p-values corrected over all columns "
    "and labels (Holm). For what is of the patient, such as age, a drop may be real difficulty and is not called "
    "worrying."
)
REFERENCES = (
    "Rosenbaum 1983, doi:10.1093/biomet/70.1.41",
    "Oakden-Rayner 2020, doi:10.1145/3368555.3384468",
    "DeGrave 2021, doi:10.1038/s42256-021-00338-7",
)


def run(context: AuditContext) -> CheckResult:
    """Hold performance against confounders."""
    cases = judged_cases(context)
    if not cases.columns:
        raise CheckSkippedError("the data set has no metadata columns")
    pairs, unusable = matched_pairs(cases)
    pairs.sort(key=lambda one: (severity_of(one) is Severity.OK, -one.conflict_drop.value))
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(_findings(cases, pairs, unusable)),
        tables=(_table(cases, pairs),),
        charts=(_chart(cases, pairs),) if pairs else (),
    )


def severity_of(pair: Matched) -> Severity:
    """Return how a drop is to be read."""
    by_conflict = pair.conflict_p < CHECK_ALPHA and pair.conflict_drop.value >= RELEVANT_CONFLICT
    by_balance = pair.balanced_p < CHECK_ALPHA and pair.balanced_drop.value >= RELEVANT_BALANCED
    if not (by_conflict or by_balance):
        return Severity.OK
    reversed_order = pair.conflicting.interval is not None and pair.conflicting.interval[1] < CHANCE
    large = (by_conflict and pair.conflict_drop.value >= LARGE_CONFLICT) or (
        by_balance and pair.balanced_drop.value >= LARGE_BALANCED
    )
    return Severity.CRITICAL if pair.level.artefact and (large or reversed_order) else Severity.WARNING


def _findings(cases: Judged, pairs: list[Matched], unusable: int) -> list[Finding]:
    flagged = [pair for pair in pairs if severity_of(pair) is not Severity.OK]
    found = [_finding(cases, pair) for pair in _one_per_column(flagged)[:MOST_FINDINGS]]
    found.sort(key=lambda finding: finding.severity is not Severity.CRITICAL)
    quiet = list(dict.fromkeys(p.level.column for p in pairs if p not in flagged))
    quiet = [name.replace("_", " ") for name in quiet if name not in {p.level.column for p in flagged}]
    if quiet:
        message = f"Performance does not fall when {listed(quiet)} {'is' if len(quiet) == 1 else 'are'} balanced."
        found.append(Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases)))
    if unusable:
        message = (
            f"Not established: {unusable} associations of a column with a label have fewer than 10 cases in a cell."
        )
        found.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(cases)))
    if not found:
        enough = bool(contrasts_of(cases.columns, cases.least_n)) and bool(cases.targets(cases.least_n))
        message = (
            "No column goes with a label in these data, so there is no confounder to balance."
            if enough
            else "Not established: too few cases of a label, or with and without a column."
        )
        severity = Severity.OK if enough else Severity.UNKNOWN
        found.append(Finding(check=CHECK.id, severity=severity, message=message, n=len(cases)))
    return found


def _one_per_column(pairs: list[Matched]) -> list[Matched]:
    kept: dict[str, Matched] = {}
    for pair in pairs:
        kept.setdefault(pair.level.column, pair)
    return list(kept.values())


def _finding(cases: Judged, pair: Matched) -> Finding:
    conflict = pair.conflict
    name, subject = within_sentence(pair.target.name), pair.level.words.removeprefix("with ")
    against = f"{name} without, others with it" if pair.phi > 0 else f"{name} with, others without it"
    message = (
        f"Where {subject} points the wrong way ({against}), the AUROC for {name} is "
        f"{figure(pair.conflicting)} instead of {pair.overall.value:.2f}; balanced by weights it is "
        f"{figure(pair.balanced)}."
    )
    return with_estimate(
        Finding(
            check=CHECK.id,
            severity=severity_of(pair),
            message=message,
            column=pair.level.column,
            level=pair.level.name,
            label=pair.target.key,
            effect_name="drop of the AUROC on conflicting cases",
            n=int(conflict.sum()),
            cases=cases.worst_first(conflict),
            n_cases=int(conflict.sum()),
        ),
        pair.conflict_drop,
    )


def _table(cases: Judged, pairs: list[Matched]) -> Table:
    return Table(
        key="matched",
        title="AUROC with and without the help of a column",
        columns=(
            Column(key="label", title="Class"),
            Column(key="column", title="Column"),
            Column(key="level", title="Level"),
            Column(key="phi", title="Association (phi)"),
            *estimate_columns("overall", "All"),
            *estimate_columns("stratified", "Within levels"),
            *estimate_columns("balanced", "Balanced"),
            *estimate_columns("free", "Without the level"),
            *estimate_columns("conflicting", "Conflicting cases"),
            *estimate_columns("balanced_drop", "Drop when balanced"),
            Column(key="balanced_p", title="p (Holm)"),
            *estimate_columns("conflict_drop", "Drop on conflicting cases"),
            Column(key="conflict_p", title="p (Holm)"),
            Column(key="n_conflict", title="Conflicting n"),
        ),
        rows=tuple(
            (
                p.target.name,
                p.level.column,
                p.level.name,
                p.phi,
                *cells(p.overall),
                *cells(p.stratified),
                *cells(p.balanced),
                *cells(p.free),
                *cells(p.conflicting),
                *cells(p.balanced_drop),
                finite(p.balanced_p),
                *cells(p.conflict_drop),
                finite(p.conflict_p),
                int(p.conflict.sum()),
            )
            for p in pairs
        ),
        cases=tuple(cases.worst_first(p.conflict, 30) for p in pairs),
    )


def _chart(cases: Judged, pairs: list[Matched]) -> Chart:
    shown = pairs[:MOST_MARKS]
    parts = {
        "all cases": "overall",
        "within levels": "stratified",
        "balanced": "balanced",
        "without the level": "free",
        "conflicting cases": "conflicting",
    }
    series = []
    for title, name in parts.items():
        marks = []
        for pair in shown:
            estimate = getattr(pair, name)
            if np.isfinite(estimate.value):
                ids = cases.worst_first(pair.conflict, 20) if name == "conflicting" else ()
                row = f"{pair.target.name}, {pair.level.words}"
                marks.append(interval_mark(row, estimate, cases=ids))
        series.append(Series(name=title, marks=tuple(marks)))
    return Chart(
        key="matched", title="AUROC with and without the help of a column", kind="interval", series=tuple(series),
        x_title="AUROC", reference=CHANCE,
    )  # fmt: skip


CHECK = Check(
    "matched_performance",
    "Performance without the confounder",
    "Does performance fall when what goes with the label in these data is balanced, or says the opposite?",
    run,
)
