"""The worst slices of the data, over metadata and over the model's own features."""

from __future__ import annotations

from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.findings import Chart, CheckResult, Column, Finding, Mark, Series, Severity, Table
from whycad.audit.judged import Judged, judged_cases
from whycad.audit.slices import FoundSlice, cluster_slices, distinct, judge_slices, metadata_slices
from whycad.audit.stats import CHECK_ALPHA

# Ten more errors in a hundred are worth a look; twenty-five mean that the answers there are of little use.
RELEVANT, LARGE = 0.1, 0.25
MOST_FINDINGS, MOST_SHOWN = 5, 25
METHOD = (
    "All combinations of up to three metadata levels with at least 30 images (where there are too many, the largest), "
    "and clusters of the model's features (k-means on principal components), are held against what their labels have "
    "over all images: the excess of wrong answers. The search for the worst is paid for: p-values and intervals come "
    "from the largest excess in data whose errors were permuted within labels, whole groups at a time, and hold for "
    "all slices together."
)
REFERENCES = (
    "Chung 2020, Slice Finder, doi:10.1109/TKDE.2019.2916074",
    "Eyuboglu 2022, Domino, arXiv:2203.14960",
    "Westfall 1993, Resampling-based multiple testing, ISBN 978-0471557616",
)


def run(context: AuditContext) -> CheckResult:
    """Search for the worst slices."""
    cases = judged_cases(context)
    slices = [*metadata_slices(cases), *cluster_slices(cases)]
    if not slices and len(cases) >= cases.least_n:
        raise CheckSkippedError("there are neither metadata nor features to cut the data by")
    found = judge_slices(cases, slices)
    shown = distinct(found, MOST_SHOWN)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(_findings(cases, shown, len(slices))),
        tables=(_table(cases, shown),),
        charts=(_chart(cases, shown),),
        note=f"{len(slices)} slices were searched; of slices that share most of their images only the first is shown.",
    )


def severity_of(found: FoundSlice) -> Severity:
    """Return how a slice is to be read."""
    if not (found.p < CHECK_ALPHA and found.excess >= RELEVANT):
        return Severity.OK
    return Severity.CRITICAL if found.excess >= LARGE else Severity.WARNING


def _findings(cases: Judged, shown: list[FoundSlice], n_slices: int) -> list[Finding]:
    if not shown:
        message = f"Slices are not established: no slice has 30 of the {len(cases)} images."
        return [Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(cases))]
    worrying = [one for one in shown if severity_of(one) is not Severity.OK][:MOST_FINDINGS]
    if worrying:
        return sorted((_finding(cases, one) for one in worrying), key=lambda f: f.severity is not Severity.CRITICAL)
    worst = shown[0]
    low, high = worst.interval
    message = (
        f"No slice stands out of {n_slices}; the worst are images {worst.slice.words} (n = {worst.slice.n}), excess of "
        f"errors {worst.excess:+.2f} ({low:+.2f} to {high:+.2f})."
    )
    one = Finding(check=CHECK.id, severity=Severity.OK, message=message, effect_name="excess of errors")
    update = {"effect": worst.excess, "ci_low": low, "ci_high": high, "n": worst.slice.n}
    return [one.model_copy(update=update)]


def _finding(cases: Judged, found: FoundSlice) -> Finding:
    low, high = found.interval
    wrong = found.slice.inside & cases.wrong
    message = (
        f"Images {found.slice.words} (n = {found.slice.n}) have {found.error:.0%} wrong answers, "
        f"{found.excess:+.2f} ({low:+.2f} to {high:+.2f}) against other images of the same labels."
    )
    return Finding(
        check=CHECK.id,
        severity=severity_of(found),
        message=message,
        column=" and ".join(found.slice.columns),
        effect=found.excess,
        effect_name="excess of errors",
        ci_low=low,
        ci_high=high,
        n=found.slice.n,
        cases=cases.worst_first(wrong),
        n_cases=int(wrong.sum()),
    )


def _table(cases: Judged, shown: list[FoundSlice]) -> Table:
    return Table(
        key="slices",
        title="Worst slices",
        columns=(
            Column(key="slice", title="Images"),
            Column(key="n", title="n"),
            Column(key="error", title="Share of wrong answers"),
            Column(key="excess", title="Excess for its labels"),
            Column(key="excess_low", title="from"),
            Column(key="excess_high", title="to"),
            Column(key="p", title="p, corrected"),
        ),
        rows=tuple((s.slice.words, s.slice.n, s.error, s.excess, *s.interval, s.p) for s in shown),
        cases=tuple(cases.worst_first(s.slice.inside & cases.wrong, 30) for s in shown),
        note="Intervals are simultaneous: they hold for all slices that were searched.",
    )


def _chart(cases: Judged, shown: list[FoundSlice]) -> Chart:
    marks = tuple(
        Mark(
            x=s.excess, y=s.slice.words, low=s.interval[0], high=s.interval[1], n=s.slice.n, severity=severity_of(s),
            cases=cases.worst_first(s.slice.inside & cases.wrong, 30),
        )
        for s in shown[:12]
    )  # fmt: skip
    return Chart(
        key="slices",
        title="Excess of wrong answers in the worst slices",
        kind="interval",
        series=(Series(marks=marks),),
        x_title="Excess share of wrong answers",
        reference=0.0,
    )


CHECK = Check("slice", "Worst slices", "Which combinations of metadata, or clusters of features, fail most?", run)
