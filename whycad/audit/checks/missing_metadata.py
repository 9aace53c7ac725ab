"""Metadata that is missing, and whether it is missing more often for one label than for another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whycad.audit.association import LEAST_GROUPS, tested_labels
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import BoolArray, MetadataColumn
from whycad.audit.data_words import count, listed, ratio_words, sentence, shown, times_words
from whycad.audit.findings import MAX_CASES, CheckResult, Column, Finding, Severity, Table
from whycad.audit.stats import Exposure, OddsRatio, benjamini_hochberg, odds_ratio_from

# Below a fifth, leaving the rows out changes little; above it, whoever is left may be another population.
MUCH_MISSING = 0.2
# Chen 2010 calls an odds ratio of 1.68 small and one of 6.71 large.
MATTERS, LARGE = 1.68, 6.71
ALPHA = 0.05


def run(context: AuditContext) -> CheckResult:
    """Count what is missing, and compare labels."""
    cases = context.cases
    if not cases.columns:
        raise CheckSkippedError("the data set has no metadata columns")
    tested = _by_label(context)
    findings = [_differs(context, column, label, found) for column, label, found, p in tested if _matters(found, p)]
    said = {finding.column for finding in findings}
    shares = {column.name: float(1 - column.known.mean()) for column in cases.columns}
    findings += [_much(context, c) for c in cases.columns if shares[c.name] > MUCH_MISSING and c.name not in said]
    said = {finding.column for finding in findings}
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="The share of images without a value, per column. Whether it is missing is compared between each label and all "
        "others as an odds ratio with an interval by bootstrap over groups; p-values are adjusted by Benjamini and "
        "Hochberg over all comparisons.",
        references=("Rubin 1976, doi:10.1093/biomet/63.3.581",),
        findings=(*findings, *_rest([name for name in shares if name not in said], len(cases))),
        tables=(_table(context, shares),),
    )


Tested = tuple[MetadataColumn, str, OddsRatio, float]


def _by_label(context: AuditContext) -> list[Tested]:
    """Return an odds ratio of being missing for each column and label that has enough images."""
    cases, least = context.cases, context.options.least_n
    plans: list[tuple[MetadataColumn, str, Exposure]] = []
    for column in cases.columns:
        missing = ~column.known & cases.labelled
        groups = len(np.unique(cases.groups[missing]))
        if missing.sum() >= least and groups >= LEAST_GROUPS and (~missing & cases.labelled).sum() >= least:
            plans += [(column, label, Exposure(missing, cases.labels == label, cases.labelled)) for label in _labels(context)]
    if not plans:
        return []
    found = context.bootstrap(cases.groups).estimate({str(i): plan[2].log_odds_ratio for i, plan in enumerate(plans)})
    ratios = [odds_ratio_from(found[str(i)], plan[2]) for i, plan in enumerate(plans)]
    adjusted = benjamini_hochberg([ratio.p for ratio in ratios])
    return [(*plan[:2], ratio, float(p)) for plan, ratio, p in zip(plans, ratios, adjusted, strict=True)]


def _labels(context: AuditContext) -> Sequence[str]:
    return tested_labels(context.cases, context.options.least_n)


def _matters(found: OddsRatio, p: float) -> bool:
    return p < ALPHA and found.size >= MATTERS


def _differs(context: AuditContext, column: MetadataColumn, label: str, found: OddsRatio) -> Finding:
    missing = ~column.known & context.cases.labelled
    return Finding(
        check=CHECK.id,
        severity=Severity.CRITICAL if found.size >= LARGE else Severity.WARNING,
        message=sentence(
            f"{shown(label)} is {times_words(found)} in images without a value of {shown(column.name)} ({ratio_words(found)})"
        ),
        column=column.name,
        label=label,
        effect=found.value,
        effect_name="odds ratio",
        no_effect=1.0,
        ci_low=found.low,
        ci_high=found.high,
        n=sum(found.cells),
        cases=_ids(context, missing),
        n_cases=int(missing.sum()),
    )


def _much(context: AuditContext, column: MetadataColumn) -> Finding:
    from whycad.audit.bootstrap import wilson_interval

    missing = ~column.known
    share = float(missing.mean())
    low, high = wilson_interval(share, len(missing))
    return Finding(
        check=CHECK.id,
        severity=Severity.WARNING,
        message=f"{sentence(shown(column.name))[:-1]} is missing in {share:.0%} of the images ({low:.0%} to {high:.0%}).",
        column=column.name,
        effect=share,
        effect_name="share missing",
        ci_low=low,
        ci_high=high,
        n=len(missing),
        cases=_ids(context, missing),
        n_cases=int(missing.sum()),
    )


def _ids(context: AuditContext, rows: BoolArray) -> tuple[str, ...]:
    return tuple(str(name) for name in context.cases.ids[rows][:MAX_CASES])


def _rest(names: list[str], n: int) -> list[Finding]:
    if not names:
        return []
    message = (
        f"{count(len(names), 'column')} {'is' if len(names) == 1 else 'are'} complete enough ({listed(names, 6)}): at most a "
        f"fifth is missing, and not clearly more for one label than for another."
    )
    return [Finding(check=CHECK.id, severity=Severity.OK, message=message, n=n)]


def _table(context: AuditContext, shares: dict[str, float]) -> Table:
    cases = context.cases
    labels = [label for label in cases.label_order if (cases.labels == label).any()][:20]
    rows = []
    for column in cases.columns:
        missing = ~column.known
        by_label = [float(missing[cases.labels == label].mean()) for label in labels]
        rows.append((column.name, shares[column.name], int(missing.sum()), *by_label))
    titles = [Column(key=f"label_{i}", title=f"Of {shown(label)}") for i, label in enumerate(labels)]
    head = (Column(key="column", title="Column"), Column(key="missing", title="Share missing"), Column(key="n", title="Images"))
    return Table(
        key="missing",
        title="Missing values",
        columns=(*head, *titles),
        rows=tuple(rows),
        cases=tuple(_ids(context, ~column.known)[:60] for column in cases.columns),
    )


CHECK = Check("missing_metadata", "Missing metadata", "Is metadata missing, and is it missing at random?", run)
