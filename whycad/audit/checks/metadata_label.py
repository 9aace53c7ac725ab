"""Metadata and artefacts that tell the label: what a model could use instead of the finding."""

from __future__ import annotations

import numpy as np

from whycad.audit.association import Associations, Overall, Pair, associations
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import UNKNOWN, BoolArray, MetadataColumn
from whycad.audit.data_words import auc_words, compared, count, listed, ratio_words, sentence, shown
from whycad.audit.findings import (
    MAX_CASES,
    Chart,
    CheckResult,
    Column,
    Finding,
    Mark,
    Series,
    Severity,
    Table,
)
from whycad.audit.stats import CHECK_ALPHA, Auc

# Facts of patients often go with the label by nature; artefacts are suspects to begin with. With 0.005 and 0.02 all
# checks together rarely raise a false alarm.
ALPHA_ARTEFACT = 0.02
HINT, MOST_HINTS = 0.05, 4
# An artefact is no part of the disease: any association that is sure matters. Chen 2010 calls an odds ratio of
# 1.68 small and one of 6.71 large.
ARTEFACT_MATTERS, METADATA_MATTERS, LARGE = 1.2, 1.68, 6.71
# Age or site may well go with a disease; what nearly tells the label is another form of it, or a leak.
NEARLY_TELLS_V, NEARLY_TELLS_AUC, SAME_THING_AUC = 0.8, 0.9, 0.98
FINDINGS_PER_ARTEFACT, FINDINGS_PER_COLUMN = 3, 2
WHITE_CORNER = "white_corner_in_image"
WHITE_ENOUGH = 0.1
TABLE_CASES = 60


def run(context: AuditContext) -> CheckResult:
    """Test every column against every label."""
    cases = context.cases
    columns = (*cases.columns, *seen_columns(context))
    n_labels = len(set(cases.labels[cases.labelled].tolist()))
    if n_labels < 2:
        raise CheckSkippedError(f"it takes two labels, and the data set has {n_labels}")
    if not columns:
        raise CheckSkippedError("the data set has no metadata columns")
    found = associations(cases, columns, context.bootstrap(cases.groups), context.options.least_n)
    findings = [finding for column in columns for finding in _column_findings(context, found, column)]
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="Each level of a category against all others gives an odds ratio for each label against all others, "
        "with half a case added to each cell; each number gives an area under the ROC curve. Intervals come from a "
        "bootstrap over groups. p-values are adjusted by Benjamini and Hochberg over all pairs; what is called an "
        f"association is below {CHECK_ALPHA:g} (artefacts: {ALPHA_ARTEFACT:g}), and what is below {HINT:g} a hint that "
        "is not established. The commonest label is left out, because what holds of it follows from the others. "
        "Cramer's V is corrected for bias. Nothing is held constant.",
        references=(
            "Benjamini 1995, doi:10.1111/j.2517-6161.1995.tb02031.x",
            "Bergsma 2013, doi:10.1016/j.jkss.2012.10.002",
            "Chen 2010, doi:10.1080/03610911003650383",
        ),
        findings=(*findings, *_rest(context, found, findings)),
        tables=tuple(_tables(context, found)),
        charts=_charts(found),
    )


def seen_columns(context: AuditContext) -> tuple[MetadataColumn, ...]:
    """Return artefacts that are read off the pictures themselves."""
    facts = context.facts
    share = facts.stat("white_corner")
    flags = np.where(np.isfinite(share), np.where(share >= WHITE_ENOUGH, "yes", "no"), UNKNOWN)
    if (flags == "yes").sum() < context.options.least_n:
        return ()
    return (MetadataColumn(WHITE_CORNER, "category", flags, "artefact"),)


def _column_findings(context: AuditContext, found: Associations, column: MetadataColumn) -> list[Finding]:
    artefact = column.role == "artefact"
    pairs = [(pair, _severity(found, pair)) for pair in found.of(column.name)]
    sure = [(pair, severity) for pair, severity in pairs if severity is not Severity.OK]
    kept = sure[: FINDINGS_PER_ARTEFACT if artefact else FINDINGS_PER_COLUMN]
    if not kept and column.name == WHITE_CORNER and pairs:
        return [_present(context, pairs[0][0])]
    return [_finding(context, pair, severity) for pair, severity in kept]


def _severity(found: Associations, pair: Pair) -> Severity:
    if not pair.p < (ALPHA_ARTEFACT if pair.column.role == "artefact" else CHECK_ALPHA):
        return Severity.OK
    if pair.column.role == "artefact":
        large, matters = pair.strength >= LARGE, pair.strength >= ARTEFACT_MATTERS
    else:
        large, matters = _nearly_tells(found, pair), pair.strength >= METADATA_MATTERS
    return Severity.CRITICAL if large else Severity.WARNING if matters else Severity.OK


def _nearly_tells(found: Associations, pair: Pair) -> bool:
    if pair.auc is not None:
        return pair.auc.size >= NEARLY_TELLS_AUC
    whole = next((item for item in found.overall if item.column.name == pair.column.name), None)
    return whole is not None and whole.cramers_v.value >= NEARLY_TELLS_V


def _finding(context: AuditContext, pair: Pair, severity: Severity) -> Finding:
    rows = _behind(context, pair)
    ids = tuple(str(name) for name in context.cases.ids[rows][:MAX_CASES])
    if pair.auc is not None:
        size = "larger" if pair.auc.value > 0.5 else "smaller"
        hint = _hint(pair.auc) if severity is Severity.CRITICAL else ""
        return Finding(
            check=CHECK.id,
            severity=severity,
            column=pair.column.name,
            label=pair.label,
            message=sentence(
                f"{shown(pair.column.name)} alone tells {context.said(pair.label)} from the other labels "
                f"({auc_words(pair.auc)}; {size} in {context.said(pair.label)}){hint}"
            ),
            effect=pair.auc.value,
            effect_name="AUC",
            no_effect=0.5,
            ci_low=pair.auc.low,
            ci_high=pair.auc.high,
            n=pair.auc.n,
            cases=ids,
            n_cases=len(rows),
        )
    assert pair.ratio is not None
    return Finding(
        check=CHECK.id,
        severity=severity,
        column=pair.column.name,
        level=pair.level,
        label=pair.label,
        share_ratio=pair.ratio.share_ratio if pair.ratio.comparable else None,
        message=sentence(f"{compared(context.said(pair.label), _where(pair), pair.ratio)} ({ratio_words(pair.ratio)})"),
        effect=pair.ratio.value,
        effect_name="odds ratio",
        no_effect=1.0,
        ci_low=pair.ratio.low,
        ci_high=pair.ratio.high,
        n=sum(pair.ratio.cells),
        cases=ids,
        n_cases=len(rows),
    )


def _hint(found: Auc) -> str:
    same = found.size >= SAME_THING_AUC
    return ": it may be another form of the label" if same else ": who knows it need hardly look at the image"


def _where(pair: Pair) -> str:
    name = shown(pair.column.name.removesuffix("_in_image"))
    if pair.level == "yes":
        return f"with {name}" if pair.column.role == "artefact" else f"where {name} is yes"
    return f"whose {name} is {pair.level}"


def _behind(context: AuditContext, pair: Pair) -> np.ndarray:
    """Return the rows behind a pair, those that make it first."""
    positive: BoolArray = context.cases.labels == pair.label
    if pair.ratio is not None:
        rows = np.flatnonzero(pair.exposed & context.cases.labelled)
        return rows[np.argsort(positive[rows] != (pair.ratio.value > 1), kind="stable")]
    assert pair.auc is not None
    rows = np.flatnonzero(pair.exposed & positive)
    values = pair.column.values[rows].astype(np.float64)
    return rows[np.argsort(-values if pair.auc.value > 0.5 else values, kind="stable")]


def _present(context: AuditContext, pair: Pair) -> Finding:
    """Say that white corners are there, and that they do not tell the label as far as can be seen."""
    assert pair.ratio is not None
    rows = _behind(context, pair)
    n = len(rows)
    return Finding(
        check=CHECK.id,
        severity=Severity.OK,
        message=f"White corners are present in {n:,} of {sum(pair.ratio.cells):,} images; an association with the "
        f"label is not established ({context.said(pair.label)}: {ratio_words(pair.ratio)}).",
        column=pair.column.name,
        label=pair.label,
        effect=pair.ratio.value,
        effect_name="odds ratio",
        no_effect=1.0,
        ci_low=pair.ratio.low,
        ci_high=pair.ratio.high,
        n=sum(pair.ratio.cells),
        cases=tuple(str(name) for name in context.cases.ids[rows][:MAX_CASES]),
        n_cases=n,
    )


def _rest(context: AuditContext, found: Associations, findings: list[Finding]) -> list[Finding]:
    """Sum up the columns in which nothing was found, and those that could not be tested."""
    said = {finding.column for finding in findings}
    tested = dict.fromkeys(pair.column.name for pair in found.pairs)
    hints = {name: pair for name in tested if name not in said and (pair := _hinted(found, name)) is not None}
    quiet = [name for name in tested if name not in said and name not in hints]
    lines = []
    if hints:
        words = [f"{shown(name)} and {context.said(pair.label)}, {_size(pair)}" for name, pair in hints.items()]
        more = f"; {len(words) - MOST_HINTS} more" if len(words) > MOST_HINTS else ""
        message = f"Hints that are not established: {'; '.join(words[:MOST_HINTS])}{more}."
        n = int(context.cases.labelled.sum())
        lines.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=n))
    if quiet:
        other = "other column" if said else "column"
        many = f"None of {count(len(quiet), other)}" if len(quiet) > 1 else f"No {other}"
        lines.append(
            Finding(
                check=CHECK.id,
                severity=Severity.OK,
                message=f"{many} tells the label to a degree that matters ({listed(quiet, 6)}).",
                n=int(context.cases.labelled.sum()),
            )
        )
    if found.too_few:
        least = context.options.least_n
        lines.append(
            Finding(
                check=CHECK.id,
                severity=Severity.UNKNOWN,
                message=f"Not established for {listed(found.too_few, 6)}: fewer than {least} images on one side of "
                "each comparison, or fewer than 5 groups.",
                n=int(context.cases.labelled.sum()),
            )
        )
    return lines


def _hinted(found: Associations, name: str) -> Pair | None:
    """Return a column's clearest pair, where it would matter but is too uncertain to be called an association."""
    pairs = [pair for pair in found.of(name) if pair.p < HINT and pair.strength >= _matters(pair)]
    return min(pairs, key=lambda pair: pair.p, default=None)


def _matters(pair: Pair) -> float:
    return ARTEFACT_MATTERS if pair.column.role == "artefact" else METADATA_MATTERS


def _size(pair: Pair) -> str:
    if pair.ratio is None:
        assert pair.auc is not None
        return auc_words(pair.auc)
    return ratio_words(pair.ratio)


def _tables(context: AuditContext, found: Associations) -> list[Table]:
    ids = context.cases.ids
    ratios = [pair for pair in found.pairs if pair.ratio is not None]
    areas = [pair for pair in found.pairs if pair.auc is not None]
    behind = {id(pair): tuple(str(name) for name in ids[_behind(context, pair)][:TABLE_CASES]) for pair in found.pairs}
    tables = [
        _table(
            "levels",
            "Levels against labels",
            "label level n with odds_ratio low high p",
            [
                (
                    p.column.name,
                    p.label,
                    p.level,
                    p.ratio.n_exposed,
                    p.ratio.cells[0],
                    p.ratio.value,
                    p.ratio.low,
                    p.ratio.high,
                    p.p,
                )
                for p in ratios
                if p.ratio is not None
            ],
            tuple(behind[id(p)] for p in ratios),
        ),
        _table(
            "numbers",
            "Numbers against labels",
            "label n with auc low high p",
            [
                (p.column.name, p.label, p.auc.n, p.auc.n_positive, p.auc.value, p.auc.low, p.auc.high, p.p)
                for p in areas
                if p.auc is not None
            ],
            tuple(behind[id(p)] for p in areas),
        ),
        _table(
            "overall",
            "Columns against all labels",
            "n cramers_v low high information",
            [_overall(item) for item in found.overall],
            (),
        ),
    ]
    return [table for table in tables if table.rows]


def _overall(item: Overall) -> tuple[str | int | float | None, ...]:
    low, high = item.cramers_v.interval or (None, None)
    values = [item.cramers_v.value, low, high, item.information.value]
    return (item.column.name, item.n, *(None if v is None or not np.isfinite(v) else float(v) for v in values))


TITLES = {
    "label": "Label",
    "level": "Value",
    "n": "Images",
    "with": "Of these with the label",
    "odds_ratio": "Odds ratio",
    "low": "95 % from",
    "high": "to",
    "p": "p, adjusted",
    "auc": "AUC",
    "cramers_v": "Cramer's V",
    "information": "Mutual information (nats)",
}


def _table(
    key: str,
    title: str,
    keys: str,
    rows: list[tuple[str | int | float | None, ...]],
    cases: tuple[tuple[str, ...], ...],
) -> Table:
    columns = [
        Column(key="column", title="Column"),
        *(Column(key=k, title=TITLES[k], decimals=4 if k == "p" else 3) for k in keys.split()),
    ]
    return Table(key=key, title=title, columns=tuple(columns), rows=tuple(rows), cases=cases)


def _charts(found: Associations) -> tuple[Chart, ...]:
    marks = [
        Mark(
            x=float(np.log(pair.ratio.value)),
            y=f"{shown(pair.column.name)}{'' if pair.level == 'yes' else ': ' + pair.level}, {shown(pair.label)}",
            low=float(np.log(pair.ratio.low)),
            high=float(np.log(pair.ratio.high)),
            n=sum(pair.ratio.cells),
            severity=_severity(found, pair),
        )
        for pair in sorted(found.pairs, key=lambda pair: -pair.strength)
        if pair.ratio is not None
    ][:40]
    if not marks:
        return ()
    title, axis = "Odds of a label where a column has a value", "Logarithm of the odds ratio; 0 is no association"
    return (
        Chart(
            key="odds", title=title, kind="interval", series=(Series(marks=tuple(marks)),), x_title=axis, reference=0.0
        ),
    )


CHECK = Check("metadata_label", "Metadata and labels", "Does anything but the finding itself tell the label?", run)
