"""The same picture twice: within a split it counts double, across splits it gives the answer away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import wilson_interval
from whycad.audit.checks import Check
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import UNKNOWN, AuditCases
from whycad.audit.data.facts import DETAIL
from whycad.audit.data_words import count
from whycad.audit.duplicates import DuplicatePair, exact_pairs, near_pairs
from whycad.audit.findings import MAX_CASES, Cell, CheckResult, Column, Finding, Severity, Table

SHARED_KEY = "duplicates"
# A few doubles change no figure; more than this share of the images make it look surer than it is.
MANY = 0.01
MAX_ROWS = 2000


def run(context: AuditContext) -> CheckResult:
    """Find pairs, and tell which cross splits and whose labels differ."""
    pairs = duplicate_pairs(context)
    cases = context.cases
    crossing = [pair for pair in pairs if _crosses(cases.splits, pair)]
    inside = [pair for pair in pairs if not _crosses(cases.splits, pair)]
    differing = [pair for pair in pairs if _crosses(cases.labels, pair)]
    findings = [_across(cases, crossing), _within(cases, inside), _labels(cases, pairs, differing)]
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="Files are compared by content. Of distinct pictures, grey thumbnails (16 x 16) are compared in eight "
        "positions and after central crops to 85 % and 70 %; pairs that correlate by 0.90 or more are laid over each "
        "other by phase correlation after the coarse structure was taken away. They are duplicates from a correlation "
        "of 0.68 on; where many pictures of the set resemble each other in the fine, from 4.5 robust standard "
        "deviations above the median of all such pairs on, at most 0.90. Crops far from the centre and strong "
        "distortions are missed. Intervals are Wilson's.",
        references=(
            "Kuglin 1975, Proc. Int. Conf. Cybernetics and Society 163",
            "Wilson 1927, doi:10.1080/01621459.1927.10502953",
        ),
        findings=tuple(finding for finding in findings if finding is not None),
        tables=(_table(cases, pairs),) if pairs else (),
    )


def duplicate_pairs(context: AuditContext) -> list[DuplicatePair]:
    """Return all pairs of the data set, identical ones first; computed once for all checks."""

    def make() -> list[DuplicatePair]:
        same = exact_pairs(context.facts.content)
        doubles = {pair.second for pair in same}
        rows = np.array([r for r, why in enumerate(context.facts.error) if not why and r not in doubles], np.int64)
        near = near_pairs(details_of(context)[rows]) if len(rows) > 1 else []
        found = [DuplicatePair(int(rows[p.first]), int(rows[p.second]), p.likeness, False) for p in near]
        return [*same, *sorted(found, key=lambda pair: -pair.likeness)]

    found = context.once(SHARED_KEY, make)
    assert isinstance(found, list)
    return found


def details_of(context: AuditContext) -> NDArray[np.uint8]:
    """Return the grey details of all rows ``(n, DETAIL, DETAIL)``."""
    out = np.zeros((len(context.cases), DETAIL, DETAIL), np.uint8)
    start = 0
    for table in context.fact_chunks.stream(["detail"]):
        for item in table["detail"]:
            out[start] = np.frombuffer(item.as_buffer(), np.uint8).reshape(DETAIL, DETAIL)
            start += 1
    return out


def _crosses(values: NDArray[np.str_], pair: DuplicatePair) -> bool:
    a, b = str(values[pair.first]), str(values[pair.second])
    return a != b and UNKNOWN not in (a, b)


def _across(cases: AuditCases, pairs: list[DuplicatePair]) -> Finding | None:
    if len(set(cases.splits.tolist()) - {UNKNOWN}) < 2:
        return None
    exact = sum(pair.exact for pair in pairs)
    if not pairs:
        message = "No picture occurs in two splits, exactly or nearly."
        return Finding(check=CHECK.id, severity=Severity.OK, message=message, effect=0.0, n=len(cases), column="split")
    names = " and ".join(sorted({str(cases.splits[row]) for pair in pairs for row in (pair.first, pair.second)}))
    message = (
        f"{count(len(pairs), 'pair')} of the same picture {'lies' if len(pairs) == 1 else 'lie'} in different "
        f"splits ({names}; {exact} identical, {len(pairs) - exact} nearly): results on one split are not independent "
        "of the other."
    )
    return _measured(cases, pairs, Severity.CRITICAL, message, "split")


def _within(cases: AuditCases, pairs: list[DuplicatePair]) -> Finding:
    where = " within a split" if len(set(cases.splits.tolist())) > 1 else ""
    if not pairs:
        message = f"No picture occurs twice{where}, exactly or nearly."
        return Finding(check=CHECK.id, severity=Severity.OK, message=message, effect=0.0, n=len(cases))
    exact = sum(pair.exact for pair in pairs)
    apart = [pair for pair in pairs if cases.groups[pair.first] != cases.groups[pair.second]]
    rows = _rows(apart)
    grouped = (
        f"{len(pairs) - len(apart)} of them within a known group" if cases.groups_known else "groups are not known"
    )
    severity = Severity.WARNING if len(rows) > MANY * len(cases) else Severity.OK
    message = (
        f"{count(len(pairs), 'pair')} of the same picture{where} ({exact} identical, {len(pairs) - exact} "
        f"nearly; {grouped})"
        + ("." if not apart else f": {count(len(rows), 'image')} count more than once across groups.")
    )
    return _measured(cases, pairs, severity, message, "")


def _labels(cases: AuditCases, pairs: list[DuplicatePair], differing: list[DuplicatePair]) -> Finding | None:
    both = [p for p in pairs if UNKNOWN not in (cases.labels[p.first], cases.labels[p.second])]
    if not both:
        return None
    low, high = wilson_interval(len(differing) / len(both), len(both))
    message = (
        f"Labels differ in {len(differing)} of {count(len(both), 'pair')} of the same picture ({low:.0%} to "
        f"{high:.0%})."
    )
    return Finding(
        check=CHECK.id,
        severity=Severity.WARNING if differing else Severity.OK,
        message=message,
        column="label",
        effect=len(differing) / len(both),
        effect_name="share of pairs",
        ci_low=low,
        ci_high=high,
        n=len(both),
        cases=tuple(str(cases.ids[row]) for row in _rows(differing))[:MAX_CASES],
        n_cases=len(_rows(differing)),
    )


def _rows(pairs: list[DuplicatePair]) -> list[int]:
    return list(dict.fromkeys(row for pair in pairs for row in (pair.first, pair.second)))


def _measured(cases: AuditCases, pairs: list[DuplicatePair], severity: Severity, message: str, column: str) -> Finding:
    rows = _rows(pairs)
    share = len(rows) / len(cases)
    low, high = wilson_interval(share, len(cases))
    ids = tuple(str(cases.ids[row]) for row in rows)
    return Finding(
        check=CHECK.id,
        severity=severity,
        message=message,
        column=column,
        effect=share,
        effect_name="share of images",
        ci_low=low,
        ci_high=high,
        n=len(cases),
        cases=ids[:MAX_CASES],
        n_cases=len(ids),
    )


def _table(cases: AuditCases, pairs: list[DuplicatePair]) -> Table:
    titles = (
        "First",
        "Second",
        "Likeness",
        "Identical",
        "Split",
        "Split of second",
        "Label",
        "Label of second",
        "Same group",
    )
    keys = ("first", "second", "likeness", "identical", "split_a", "split_b", "label_a", "label_b", "same_group")
    shown = pairs[:MAX_ROWS]
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            *(str(cases.ids[row]) for row in (pair.first, pair.second)),
            pair.likeness,
            pair.exact,
            *(str(cases.splits[row]) for row in (pair.first, pair.second)),
            *(str(cases.labels[row]) for row in (pair.first, pair.second)),
            bool(cases.groups[pair.first] == cases.groups[pair.second]),
        )
        for pair in shown
    )
    return Table(
        key="pairs",
        title="Pairs of the same picture",
        columns=tuple(Column(key=key, title=title) for key, title in zip(keys, titles, strict=True)),
        rows=rows,
        cases=tuple((str(cases.ids[pair.first]), str(cases.ids[pair.second])) for pair in shown),
        note="" if len(shown) == len(pairs) else f"The first {MAX_ROWS:,} of {len(pairs):,} pairs.",
    )


CHECK = Check("near_duplicate", "Duplicates", "Does a picture occur twice, and on both sides of a split?", run)
