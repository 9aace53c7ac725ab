"""Labels that follow the source: site, scanner, folder, file name, size, format, or the look of another source."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whycad.audit.association import REST
from whycad.audit.bootstrap import Estimate, FloatArray
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import UNKNOWN, AuditCases, BoolArray, MetadataColumn
from whycad.audit.data.folders import name_patterns
from whycad.audit.data.vocabulary import names_a_source
from whycad.audit.data_words import auc_words, count, listed, sentence, shown
from whycad.audit.findings import MAX_CASES, Cell, CheckResult, Column, Finding, Severity, Table
from whycad.audit.permuted import permuted_rows
from whycad.audit.stats import CHECK_ALPHA, Auc, auc_from, auc_of, cramers_v, cramers_v_of, one_hot
from whycad.audit.trivial import probe

# A source that has one label alone: so many of its images do, and chance would not.
ALONE, CHANCE, LEAST_IMAGES = 0.98, 1e-4, 10
# From here on the source determines the label as good as fully.
DETERMINED_V = 0.8
# A source of one image has one label by necessity.
LEAST_OF_LEVEL, LEAST_SHARE = 2, 0.5
N_PERMUTATIONS = 600
# A label so well told by light and border alone looks as if it came from elsewhere.
OTHER_LOOK = 0.98
MOST_SOURCES, MOST_LISTED = 400, 60


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
    signs, untested = source_columns(context)
    found = ties(context, signs)
    findings = [_finding(context, tie) for tie in found if tie.levels or tie.determined]
    quiet = [tie.column.name for tie in found if not (tie.levels or tie.determined)]
    rest = _rest(cases, signs, quiet, untested, bool(findings))
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="Signs of a source are columns that name site, device, protocol, size or format, the folder, how files "
        f"are named, the size of the pictures, and colour or grey. A source is reported where {ALONE:.0%} of its "
        f"images have one label and chance would give that to as many groups with a probability below {CHANCE:g} "
        "(binomial, Bonferroni). A column is reported where all its sources together determine the label: Cramer's V, "
        f"corrected for bias, of {DETERMINED_V:g} or more, and in fewer than {CHECK_ALPHA:.1%} of permutations "
        f"of whole groups ({N_PERMUTATIONS} per column) as large (Bonferroni); its interval is by bootstrap over "
        "groups. Besides, each label is told from the others by light, colour and border alone, in cross-validation "
        "that keeps groups together.",
        references=("Zech 2018, doi:10.1371/journal.pmed.1002683", "Roberts 2021, doi:10.1038/s42256-021-00307-0"),
        findings=(*findings, *_other_looks(context), *rest),
        tables=tuple(_table(cases, column) for column in signs),
    )


def source_columns(context: AuditContext) -> tuple[list[MetadataColumn], list[str]]:
    """Return all signs of a source that differ between images, and the names of those that cannot be tested."""
    cases, facts = context.cases, context.facts
    found = [c for c in cases.columns if c.kind == "category" and names_a_source(c.name) and not _is_anatomy(c)]
    named = {column.name for column in found} | {"folder"}
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
    several = [column for column in found if len(set(column.values[column.known].tolist())) > 1]
    tested = [column for column in several if _can_be_tested(cases, column)]
    return tested, [c.name for c in several if c.name in named and not _can_be_tested(cases, c)]


def _can_be_tested(cases: AuditCases, column: MetadataColumn) -> bool:
    """Whether most images are of sources with several, and there are not too many of these."""
    counts = Counter(column.values[column.known & cases.labelled].tolist())
    shared = [n for n in counts.values() if n >= LEAST_OF_LEVEL]
    return 0 < len(shared) <= MOST_SOURCES and sum(shared) >= LEAST_SHARE * sum(counts.values())


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


@dataclass(frozen=True, eq=False)
class Tie:
    """How far one column gives the label.

    Attributes
    ----------
    column : MetadataColumn
    levels : list of Level
        Its sources that have one label alone, the largest first.
    v : Estimate
        Cramer's V.
    p : float
        By permutation, corrected for the number of columns.
    share : float
        Of the images, those with the commonest label of their source.
    """

    column: MetadataColumn
    levels: list[Level]
    v: Estimate
    p: float
    share: float

    @property
    def determined(self) -> bool:
        """Whether all sources together determine the label."""
        return self.v.value >= DETERMINED_V and self.p < CHECK_ALPHA


def ties(context: AuditContext, signs: Sequence[MetadataColumn]) -> list[Tie]:
    """Measure how far each sign of a source gives the label."""
    cases = context.cases
    if not signs:
        return []
    arrays = [_one_hot(cases, column) for column in signs]
    statistics = {column.name: cramers_v_of(*pair) for column, pair in zip(signs, arrays, strict=True)}
    estimates = context.bootstrap(cases.groups).estimate(statistics)
    found = []
    for column, pair in zip(signs, arrays, strict=True):
        v = estimates[column.name]
        # Few columns reach the size that matters, and only these are worth the draws.
        draws = N_PERMUTATIONS * len(signs)
        p = _permuted_p(cases, pair, v.value, draws, context.options.seed) if v.value >= DETERMINED_V else 1.0
        table = pair[0].T @ pair[1]
        share = float(table.max(axis=1).sum() / max(table.sum(), 1))
        found.append(Tie(column, levels_alone(cases, column, len(signs)), v, min(1.0, p * len(signs)), share))
    return found


def levels_alone(cases: AuditCases, column: MetadataColumn, n_columns: int) -> list[Level]:
    """Return the values of a column whose images have one label alone, the largest first.

    Chance is asked of groups: a patient's images are no more evidence than one.
    """
    from scipy.stats import binom

    known = column.known & cases.labelled
    overall = Counter(_group_labels(cases, known).values())
    values = Counter(column.values[known].tolist())
    found = []
    for value, n in values.most_common():
        rows = np.asarray(known & (column.values == value))
        label, n_label = Counter(cases.labels[rows].tolist()).most_common(1)[0]
        if n < LEAST_IMAGES or n_label < ALONE * n:
            continue
        of_groups = Counter(_group_labels(cases, rows).values())
        share = overall[label] / max(overall.total(), 1)
        p = float(binom.sf(of_groups[label] - 1, of_groups.total(), share)) * len(values) * max(n_columns, 1)
        if p < CHANCE:
            found.append(Level(str(value), str(label), n, n_label, rows))
    return found


def _group_labels(cases: AuditCases, rows: BoolArray) -> dict[str, str]:
    """Return each group's commonest label among some rows ``(n,)``."""
    counts: dict[str, Counter[str]] = {}
    for group, label in zip(cases.groups[rows].tolist(), cases.labels[rows].tolist(), strict=True):
        counts.setdefault(group, Counter())[label] += 1
    return {group: counter.most_common(1)[0][0] for group, counter in counts.items()}


def _one_hot(cases: AuditCases, column: MetadataColumn) -> tuple[FloatArray, FloatArray]:
    """Return sources and labels ``(n, r)`` and ``(n, c)``; those of one image together are one source."""
    known = column.known & cases.labelled
    common = [str(v) for v, n in Counter(column.values[known].tolist()).most_common() if n >= LEAST_OF_LEVEL]
    values = np.where(known, np.where(np.isin(column.values, common), column.values, REST), UNKNOWN)
    labels = np.where(known, cases.labels, UNKNOWN)
    return one_hot(values, [*common, REST]), one_hot(labels, sorted(set(labels.tolist()) - {UNKNOWN}))


def _permuted_p(
    cases: AuditCases, pair: tuple[FloatArray, FloatArray], observed: float, n_draws: int, seed: int
) -> float:
    """Return how often labels that change places with their whole group give as large a Cramer's V."""
    known = pair[0].any(axis=1)
    sources, labels = (np.asarray(part[known].argmax(axis=1)) for part in pair)
    n_labels = pair[1].shape[1]
    as_large = 0
    for order in permuted_rows(np.zeros(len(labels), np.int64), cases.groups[known], n_draws, seed):
        table = np.bincount(sources * n_labels + labels[order], minlength=pair[0].shape[1] * n_labels)
        as_large += cramers_v(table.reshape(1, -1, n_labels).astype(np.float64))[0] >= observed - 1e-12
    return (1 + as_large) / (1 + n_draws)


def _finding(context: AuditContext, tie: Tie) -> Finding:
    cases, column, levels, v = context.cases, tie.column, tie.levels, tie.v
    low, high = v.interval or (None, None)
    whole = [level for level in levels if _has_all_of_label(cases, level)]
    behind = [level.rows for level in levels] or [column.known & cases.labelled]
    rows = np.flatnonzero(np.any(behind, axis=0))
    said = "; ".join(level.words for level in levels[:3]) + (f"; {len(levels) - 3} more" if len(levels) > 3 else "")
    said = said or f"{tie.share:.0%} of the images have the commonest label of theirs"
    words = "" if low is None else f", Cramer's V {v.value:.2f}, {low:.2f} to {high:.2f}"
    name = shown(column.name)
    follows = tie.determined or bool(whole)
    if follows:
        message = f"labels follow the source: {name} gives the label ({said}{words})"
    else:
        message = f"some sources have one label alone: {name} ({said}{words})"
    return Finding(
        check=CHECK.id,
        severity=Severity.CRITICAL if follows else Severity.WARNING,
        message=sentence(message),
        column=column.name,
        label=levels[0].label if levels and len({level.label for level in levels}) == 1 else "",
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


def _rest(
    cases: AuditCases, signs: list[MetadataColumn], quiet: list[str], untested: list[str], said: bool
) -> list[Finding]:
    found = []
    if quiet:
        other = "other sign" if said else "sign"
        many = f"None of {count(len(quiet), other)}" if len(quiet) > 1 else f"No {other}"
        message = f"{many} of a source gives the label ({listed(quiet, 6)})."
        found.append(Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases)))
    if untested:
        message = f"Not established, too few images for each of too many sources: {listed(untested, 6)}."
        found.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(cases)))
    if not signs and not untested:
        message = "All images have one size and kind, and no column names a source."
        found.append(Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases)))
    return found


def _table(cases: AuditCases, column: MetadataColumn) -> Table:
    known = column.known & cases.labelled
    labels = [label for label in cases.label_order if (cases.labels[known] == label).any()][:20]
    values = [str(value) for value, _ in Counter(column.values[known].tolist()).most_common(MOST_LISTED)]
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
