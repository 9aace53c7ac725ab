"""Metadata that is missing, and whether it is missing more often for one label than for another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whycad.audit.association import LEAST_GROUPS, tested_labels
from whycad.audit.bootstrap import wilson_interval
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import BoolArray, MetadataColumn
from whycad.audit.data_words import compared, count, listed, ratio_words, sentence, shown
from whycad.audit.findings import MAX_CASES, Cell, CheckResult, Column, Finding, Severity, Table
from whycad.audit.stats import Exposure, OddsRatio, benjamini_hochberg, odds_ratio_from

# Below a fifth, leaving the rows out changes little; above it, whoever is left may be another population.
MUCH_MISSING = 0.2
# Chen 2010 calls an odds ratio of 1.68 small. However large: a gap misleads who compares groups, not a model.
MATTERS = 1.68
ALPHA = 0.05
Tested = tuple[MetadataColumn, str, OddsRatio, float]


def run(context: AuditContext) -> CheckResult:
    """Count what is missing, and compare labels."""
    cases = context.cases
    labels = _of_labels(context)
    if not cases.columns and not labels:
        raise CheckSkippedError("the data set has no metadata columns")
    tested = _by_label(context)
    alike = _alike(cases.columns)
    findings = [_differs(context, alike, item) for item in _strongest(tested)]
    shares = {column.name: float(1 - column.known.mean()) for column in cases.columns}
    said = _said(findings, alike)
    findings += [_much(context, c) for c in cases.columns if shares[c.name] > MUCH_MISSING and c.name not in said]
    said = _said(findings, alike)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="The share of images without a value, per column. Whether it is missing is compared between each label "
        "and all others as an odds ratio with an interval by bootstrap over groups; p-values are adjusted by "
        "Benjamini and Hochberg over all comparisons.",
        references=("Rubin 1976, doi:10.1093/biomet/63.3.581",),
        findings=(*labels, *findings, *_rest([name for name in shares if name not in said], len(cases))),
        tables=(_table(context, shares),) if cases.columns else (),
    )


def _of_labels(context: AuditContext) -> list[Finding]:
    """Say how many images have no label, and where there is nothing to tell apart."""
    cases = context.cases
    found = []
    n, missing = len(cases), ~cases.labelled
    if missing.any():
        share = float(missing.mean())
        low, high = wilson_interval(share, n)
        found.append(
            Finding(
                check=CHECK.id,
                severity=Severity.WARNING if share > MUCH_MISSING else Severity.OK,
                message=f"{int(missing.sum()):,} of {n:,} images have no label that is known: they count for no figure "
                "about labels.",
                column="label",
                effect=share,
                effect_name="share missing",
                ci_low=low,
                ci_high=high,
                n=n,
                cases=_ids(context, missing),
                n_cases=int(missing.sum()),
            )
        )
    there = sorted(set(cases.labels[cases.labelled].tolist()))
    if len(there) < 2:
        only = f"All images with a label have the same ({context.said(there[0])})" if there else "No image has a label"
        message = f"{only}: whatever compares labels is not established."
        found.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, column="label", n=n))
    return found


def _alike(columns: Sequence[MetadataColumn]) -> dict[str, list[str]]:
    """Return, by the first column of each kind, the names of all that are missing in the same images."""
    first: dict[bytes, str] = {}
    found: dict[str, list[str]] = {}
    for column in columns:
        name = first.setdefault(column.known.tobytes(), column.name)
        found.setdefault(name, []).append(column.name)
    return found


def _said(findings: Sequence[Finding], alike: dict[str, list[str]]) -> set[str]:
    return {name for finding in findings for name in alike.get(finding.column, [finding.column])}


def _strongest(tested: list[Tested]) -> list[Tested]:
    """Return, per column, the label that is missing most unevenly, where that matters."""
    best: dict[str, Tested] = {}
    for item in sorted(tested, key=lambda item: -item[2].size):
        if item[3] < ALPHA and item[2].size >= MATTERS:
            best.setdefault(item[0].name, item)
    return list(best.values())


def _by_label(context: AuditContext) -> list[Tested]:
    """Return an odds ratio of being missing for each column and label that has enough images."""
    cases, least = context.cases, context.options.least_n
    plans: list[tuple[MetadataColumn, str, Exposure]] = []
    for name in _alike(cases.columns):
        column = cases.column(name)
        assert column is not None
        missing = ~column.known & cases.labelled
        groups = len(np.unique(cases.groups[missing]))
        if missing.sum() >= least and groups >= LEAST_GROUPS and (~missing & cases.labelled).sum() >= least:
            plans += [
                (column, label, Exposure(missing, cases.labels == label, cases.labelled)) for label in _labels(context)
            ]
    if not plans:
        return []
    found = context.bootstrap(cases.groups).estimate({str(i): plan[2].log_odds_ratio for i, plan in enumerate(plans)})
    ratios = [odds_ratio_from(found[str(i)], plan[2]) for i, plan in enumerate(plans)]
    adjusted = benjamini_hochberg([ratio.p for ratio in ratios])
    return [(*plan[:2], ratio, float(p)) for plan, ratio, p in zip(plans, ratios, adjusted, strict=True)]


def _labels(context: AuditContext) -> Sequence[str]:
    return tested_labels(context.cases, context.options.least_n)


def _differs(context: AuditContext, alike: dict[str, list[str]], item: Tested) -> Finding:
    column, label, found, _p = item
    missing = ~column.known & context.cases.labelled
    where = f"without a value of {listed(alike[column.name])}"
    return Finding(
        check=CHECK.id,
        severity=Severity.WARNING,
        message=sentence(f"{compared(context.said(label), where, found)} ({ratio_words(found)})"),
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
    missing = ~column.known
    share = float(missing.mean())
    low, high = wilson_interval(share, len(missing))
    return Finding(
        check=CHECK.id,
        severity=Severity.WARNING,
        message=f"{sentence(shown(column.name))[:-1]} is missing in {share:.0%} of the images ({low:.0%} to "
        f"{high:.0%}).",
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
        f"{count(len(names), 'column')} {'is' if len(names) == 1 else 'are'} complete enough ({listed(names, 6)}): at "
        "most a fifth is missing, and not clearly more for one label than for another."
    )
    return [Finding(check=CHECK.id, severity=Severity.OK, message=message, n=n)]


def _table(context: AuditContext, shares: dict[str, float]) -> Table:
    cases = context.cases
    labels = [label for label in cases.label_order if (cases.labels == label).any()][:20]
    rows: list[tuple[Cell, ...]] = []
    for column in cases.columns:
        missing = ~column.known
        by_label = [float(missing[cases.labels == label].mean()) for label in labels]
        rows.append((column.name, shares[column.name], int(missing.sum()), *by_label))
    titles = [Column(key=f"label_{i}", title=f"Of {shown(label)}") for i, label in enumerate(labels)]
    head = (
        Column(key="column", title="Column"),
        Column(key="missing", title="Share missing"),
        Column(key="n", title="Images"),
    )
    return Table(
        key="missing",
        title="Missing values",
        columns=(*head, *titles),
        rows=tuple(rows),
        cases=tuple(_ids(context, ~column.known)[:60] for column in cases.columns),
    )


CHECK = Check("missing_metadata", "Missing metadata", "Is metadata missing, and is it missing at random?", run)
