"""Labels that follow the source: site, scanner, folder, file name, size, format, or the look of another source."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from whycad.audit.association import REST
from whycad.audit.bootstrap import Estimate
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import UNKNOWN, AuditCases, BoolArray, MetadataColumn
from whycad.audit.data.folders import name_patterns
from whycad.audit.data_words import auc_words, count, listed, sentence, shown
from whycad.audit.findings import MAX_CASES, Cell, CheckResult, Column, Finding, Severity, Table
from whycad.audit.stats import Auc, auc_from, auc_of, cramers_v_of, one_hot
from whycad.audit.trivial import probe

_SOURCE_WORDS = re.compile(
    r"source|manufacturer|vendor|scanner|device|camera|machine|model|kernel|institution|hospital|centre|center|station|"
    r"site|clinic|modality|photometric|codec|format|size|dataset|origin|protocol|field_t|kvp|bits_stored|lossy|simulated|synthetic",
    re.IGNORECASE,
)
# A source that has one label alone: so many of its images do, and chance would not.
ALONE, CHANCE, LEAST_IMAGES = 0.98, 1e-4, 10
# From here on the source determines the label as good as fully.
DETERMINED_V = 0.8
# A label so well told by light and border alone looks as if it came from elsewhere.
OTHER_LOOK = 0.98
MOST_SOURCES = 60


@dataclass(frozen=True, eq=False)
class Level:
    """One source that has one label alone."""

    value: str
    label: str
    n: int
    n_label: int
    rows: BoolArray

    @property
    def words(self) -> str:
        """Return the source with its counts."""
        return f"{self.value}: {self.n_label:,} of {self.n:,} {shown(self.label)}"


def run(context: AuditContext) -> CheckResult:
    """Ask of every sign of a source whether it gives the label."""
    cases = context.cases
    if len(set(cases.labels[cases.labelled].tolist())) < 2:
        raise CheckSkippedError("it takes two labels")
    signs = source_columns(context)
    estimates = _cramers_v(context, signs)
    findings, quiet = [], []
    for column in signs:
        levels = levels_alone(cases, column, len(signs))
        finding = _finding(context, column, levels, estimates[column.name])
        if finding is None:
            quiet.append(column.name)
        else:
            findings.append(finding)
    findings += _other_looks(context)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="Signs of a source are columns that name site, device, protocol, size or format, the folder, how files "
        f"are named, the size of the pictures, and colour or grey. A source is reported where {ALONE:.0%} of its "
        f"images have one label and chance would give that with a probability below {CHANCE:g} (binomial, "
        "Bonferroni). Cramer's V with an interval by bootstrap over groups says how much of the label the source "
        "gives. Besides, each label is told from the others by light, colour and border alone, in cross-validation "
        "that keeps groups together.",
        references=("Zech 2018, doi:10.1371/journal.pmed.1002683", "Roberts 2021, doi:10.1038/s42256-021-00307-0"),
        findings=(*findings, *_rest(cases, signs, quiet, bool(findings))),
        tables=tuple(_table(cases, column) for column in signs),
    )


def source_columns(context: AuditContext) -> list[MetadataColumn]:
    """Return all signs of a source that differ between images."""
    cases, facts = context.cases, context.facts
    found = [c for c in cases.columns if c.kind == "category" and _SOURCE_WORDS.search(c.name) and not _is_anatomy(c)]
    known = facts.error == ""
    sizes = [f"{w:.0f} x {h:.0f}" for h, w in np.nan_to_num(facts.stats[:, :2])]
    grey = np.where(facts.stat("colourfulness") < 0.004, "grey", "colour")
    own = {
        "size of the picture": np.array(sizes, np.str_),
        "colour or grey": grey,
        "file name": name_patterns(cases.ids, cases.labels),
    }
    if context.dataset.kind == "pack":
        del own["file name"]
    if cases.sources is not None:
        own["folder"] = _without_labels(cases)
    found += [MetadataColumn(name, "category", np.where(known, values, UNKNOWN)) for name, values in own.items()]
    return [column for column in found if 2 <= len(set(column.values[column.known].tolist())) <= MOST_SOURCES]


def _is_anatomy(column: MetadataColumn) -> bool:
    """Whether a column called site says where on the body, not where it was taken."""
    from whycad.imaging.vocabulary import BODY_PARTS, SITES

    parts = {*SITES.values(), *BODY_PARTS.values()}
    return bool(parts & {str(value).casefold() for value in np.unique(column.values)})


def _without_labels(cases: AuditCases) -> np.ndarray:
    """Return the folders, with the label's own name left out: a class folder is where labels are kept."""
    assert cases.sources is not None
    pairs = zip(cases.sources.tolist(), cases.labels.tolist(), strict=True)
    return np.array(
        ["/".join(p for p in source.split("/") if p.casefold() != label.casefold()) or "." for source, label in pairs]
    )


def levels_alone(cases: AuditCases, column: MetadataColumn, n_columns: int) -> list[Level]:
    """Return the values of a column whose images have one label alone, the largest first."""
    from scipy.stats import binom

    known = column.known & cases.labelled
    overall = Counter(cases.labels[known].tolist())
    values = Counter(column.values[known].tolist())
    found = []
    for value, n in values.most_common():
        rows = np.asarray(known & (column.values == value))
        label, n_label = Counter(cases.labels[rows].tolist()).most_common(1)[0]
        share = overall[label] / max(int(known.sum()), 1)
        p = float(binom.sf(n_label - 1, n, share)) * len(values) * max(n_columns, 1)
        if n >= LEAST_IMAGES and n_label >= ALONE * n and p < CHANCE:
            found.append(Level(str(value), str(label), n, n_label, rows))
    return found


def _cramers_v(context: AuditContext, signs: list[MetadataColumn]) -> dict[str, Estimate]:
    cases = context.cases
    statistics = {}
    for column in signs:
        known = column.known & cases.labelled
        common = [str(v) for v, n in Counter(column.values[known].tolist()).most_common() if n >= LEAST_IMAGES]
        values = np.where(known, np.where(np.isin(column.values, common), column.values, REST), UNKNOWN)
        labels = np.where(known, cases.labels, UNKNOWN)
        classes = sorted(set(labels.tolist()) - {UNKNOWN})
        statistics[column.name] = cramers_v_of(one_hot(values, [*common, REST]), one_hot(labels, classes))
    return context.bootstrap(cases.groups).estimate(statistics) if statistics else {}


def _finding(context: AuditContext, column: MetadataColumn, levels: list[Level], v: Estimate) -> Finding | None:
    low, high = v.interval or (None, None)
    determined = bool(levels) and v.value >= DETERMINED_V
    if not levels:
        return None
    cases = context.cases
    whole = [level for level in levels if _has_all_of_label(cases, level)]
    rows = np.flatnonzero(np.any([level.rows for level in levels], axis=0))
    said = "; ".join(level.words for level in levels[:3]) + (f"; {len(levels) - 3} more" if len(levels) > 3 else "")
    words = "" if low is None else f", Cramer's V {v.value:.2f}, {low:.2f} to {high:.2f}"
    name = shown(column.name)
    if determined or whole:
        message = f"labels follow the source: {name} gives the label ({said}{words})"
    else:
        message = f"some sources have one label alone: {name} ({said}{words})"
    return Finding(
        check=CHECK.id,
        severity=Severity.CRITICAL if determined or whole else Severity.WARNING,
        message=sentence(message),
        column=column.name,
        label=levels[0].label if len({level.label for level in levels}) == 1 else "",
        effect=float(v.value) if np.isfinite(v.value) else None,
        effect_name="Cramer's V",
        ci_low=low,
        ci_high=high,
        n=int((column.known & cases.labelled).sum()),
        cases=tuple(str(i) for i in cases.ids[rows][:MAX_CASES]),
        n_cases=len(rows),
    )


def _has_all_of_label(cases: AuditCases, level: Level) -> bool:
    """Whether nearly all images of the label come from this source."""
    total = int((cases.labels == level.label).sum())
    return total >= LEAST_IMAGES and level.n_label >= ALONE * total


def _other_looks(context: AuditContext) -> list[Finding]:
    """Tell labels by light, colour and border alone."""
    found = probe(context)
    scores = found.grouped if found.grouped is not None else found.random
    if scores is None:
        least = context.options.least_n
        message = (
            f"Not established whether a label looks as if it came from elsewhere: it takes two labels of {least} "
            "readable images."
        )
        return [Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(found.sample.rows))]
    sample = found.sample
    labels = range(1, 2) if len(sample.labels) == 2 else range(len(sample.labels))
    known = np.ones(len(sample.rows), bool)
    parts = {k: (np.nan_to_num(scores[:, k]), sample.target == k, known) for k in labels}
    estimates = context.bootstrap(sample.groups).estimate({str(k): auc_of(*parts[k]) for k in labels})
    areas = {sample.labels[k]: auc_from(estimates[str(k)], parts[k][1], known) for k in labels}
    elsewhere = [label for label, area in areas.items() if area.low >= OTHER_LOOK]
    best = max(areas, key=lambda label: areas[label].value)
    return [_look(context, areas[best], best, elsewhere)]


def _look(context: AuditContext, area: Auc, best: str, elsewhere: list[str]) -> Finding:
    rows = np.flatnonzero(context.cases.labels == best)
    said = [context.said(label) for label in elsewhere or [best]]
    if elsewhere:
        message = (
            "labels follow the source by the look of the pictures: light, colour and border alone tell "
            f"{listed(said)} from the other labels without fail ({auc_words(area)}), as where labels come from "
            "different sources or some are simulated"
        )
    else:
        message = (
            f"no label looks as if it came from another source; light, colour and border tell {said[0]} best "
            f"({auc_words(area)})"
        )
    return Finding(
        check=CHECK.id,
        severity=Severity.CRITICAL if elsewhere else Severity.OK,
        message=sentence(message),
        column="look of the pictures",
        label=best,
        effect=area.value,
        effect_name="AUC",
        no_effect=0.5,
        ci_low=area.low,
        ci_high=area.high,
        n=area.n,
        cases=tuple(str(i) for i in context.cases.ids[rows][:60]) if elsewhere else (),
        n_cases=len(rows) if elsewhere else 0,
    )


def _rest(cases: AuditCases, signs: list[MetadataColumn], quiet: list[str], said: bool) -> list[Finding]:
    if not signs:
        message = "All images have one size and kind, and no column names a source."
        return [Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases))]
    if not quiet:
        return []
    other = "other sign" if said else "sign"
    many = f"None of {count(len(quiet), other)}" if len(quiet) > 1 else f"No {other}"
    message = f"{many} of a source has one label alone ({listed(quiet, 6)})."
    return [Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases))]


def _table(cases: AuditCases, column: MetadataColumn) -> Table:
    known = column.known & cases.labelled
    labels = [label for label in cases.label_order if (cases.labels[known] == label).any()][:20]
    values = [str(value) for value, _ in Counter(column.values[known].tolist()).most_common(MOST_SOURCES)]
    members = {value: np.flatnonzero(known & (column.values == value)) for value in values}
    rows: list[tuple[Cell, ...]] = [
        (value, len(rows), *(int((cases.labels[rows] == label).sum()) for label in labels))
        for value, rows in members.items()
    ]
    titles = [Column(key=f"label_{i}", title=shown(label)) for i, label in enumerate(labels)]
    return Table(
        key="source_" + re.sub(r"\W+", "_", column.name),
        title=f"Labels by {shown(column.name)}",
        columns=(
            Column(key="source", title=sentence(shown(column.name))[:-1]),
            Column(key="n", title="Images"),
            *titles,
        ),
        rows=tuple(rows),
        cases=tuple(tuple(str(i) for i in cases.ids[members[value]][:60]) for value in values),
    )


CHECK = Check("label_by_source", "Labels and sources", "Can the label be told from where the image comes from?", run)
