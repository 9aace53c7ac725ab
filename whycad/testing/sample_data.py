"""What the sample audit finds in its data: invented numbers."""

from __future__ import annotations

from whycad.audit.findings import Cell, Chart, CheckResult, Column, Finding, Mark, Series, Table
from whycad.testing.sample_parts import CRITICAL, OK, WARNING, case_ids, table


def data_results() -> tuple[CheckResult, ...]:
    """Return what the checks of the data found."""
    return (_metadata_label(), _near_duplicate(), _missing_metadata())


def _metadata_label() -> CheckResult:
    rows = (
        ("coloured patch", 0.06, 0.02, 0.19, CRITICAL, 0.31),
        ("ruler", 2.4, 1.5, 3.9, WARNING, 0.18),
        ("sex", 1.1, 0.8, 1.6, OK, 0.02),
    )
    marks = tuple(
        Mark(x=x, y=name, low=low, high=high, n=600, severity=severity, cases=case_ids(30 * i, 20))
        for i, (name, x, low, high, severity, _) in enumerate(rows)
    )
    table = Table(
        key="associations",
        title="Association with melanoma",
        columns=(
            Column(key="column", title="Column"),
            Column(key="odds_ratio", title="Odds ratio", decimals=2),
            Column(key="low", title="Low", decimals=2),
            Column(key="high", title="High", decimals=2),
            Column(key="cramers_v", title="Cramer's V", decimals=2),
        ),
        rows=tuple((name, x, low, high, v) for name, x, low, high, _, v in rows),
        cases=tuple(m.cases for m in marks),
        note="Intervals: bootstrap by lesion, 95 %.",
    )
    return CheckResult(
        check="metadata_label",
        title="Metadata and label",
        question="Does anything that is not of the patient's disease tell the label?",
        method="Odds ratio and Cramer's V of each column with each label; Benjamini-Hochberg over all pairs.",
        references=("Cramer H. Mathematical Methods of Statistics. Princeton 1946.",),
        findings=(
            Finding(
                check="metadata_label",
                severity=CRITICAL,
                message="Melanoma is 16 times rarer in images with a coloured patch (odds ratio 0.06, 0.02 to 0.19).",
                column="coloured patch",
                level="yes",
                label="melanoma",
                share_ratio=1 / 16,
                effect=0.06,
                effect_name="odds ratio",
                no_effect=1.0,
                ci_low=0.02,
                ci_high=0.19,
                n=600,
                cases=case_ids(20, 26),
                n_cases=126,
            ),
            Finding(
                check="metadata_label",
                severity=WARNING,
                message="Melanoma is 2.4 times commoner in images with a ruler (odds ratio 2.4, 1.5 to 3.9).",
                column="ruler",
                level="yes",
                label="melanoma",
                share_ratio=2.4,
                effect=2.4,
                effect_name="odds ratio",
                no_effect=1.0,
                ci_low=1.5,
                ci_high=3.9,
                n=600,
            ),
            Finding(
                check="metadata_label",
                severity=OK,
                message="None of 6 other columns tells the label.",
                n=600,
            ),
        ),
        tables=(table,),
        charts=(
            Chart(
                key="odds",
                title="Odds ratio of melanoma",
                kind="interval",
                series=(Series(marks=marks),),
                x_title="odds ratio",
                reference=1.0,
            ),
        ),
    )


def _near_duplicate() -> CheckResult:
    bins = tuple(Mark(x=float(x), y=float(y), n=y) for x, y in ((0, 25), (2, 6), (4, 3), (6, 11), (8, 40), (10, 96)))
    pairs: tuple[tuple[Cell, ...], ...] = tuple(
        (f"case-{2 * i:04d}", f"case-{2 * i + 1:04d}", "train" if i % 2 else "val", i % 7, i % 3 == 0)
        for i in range(120)
    )
    return CheckResult(
        check="near_duplicate",
        title="Near duplicates",
        question="Are there images that are the same, or nearly, in different splits?",
        method="Perceptual hash (64 bit); pairs at a distance of at most 4 are confirmed by correlation.",
        findings=(
            Finding(
                check="near_duplicate",
                severity=CRITICAL,
                message="25 near-duplicate pairs cross the official splits.",
                n=600,
                cases=case_ids(100, 50),
                n_cases=50,
            ),
        ),
        tables=(table("pairs", "Pairs", "First|Second|Split|Distance|Same label", pairs),),
        charts=(
            Chart(
                key="distances",
                title="Distances of nearest pairs",
                kind="histogram",
                series=(Series(marks=bins),),
                x_title="bits that differ",
                y_title="pairs",
            ),
        ),
    )


def _missing_metadata() -> CheckResult:
    return CheckResult(
        check="missing_metadata",
        title="Missing metadata",
        question="Is metadata missing, and is it missing at random?",
        findings=(
            Finding(
                check="missing_metadata",
                severity=OK,
                message="None of 8 columns is missing in more than 20 % of the images.",
                n=600,
            ),
        ),
    )
