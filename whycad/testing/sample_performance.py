"""How good the sample audit finds its model, and for whom: invented numbers."""

from __future__ import annotations

import numpy as np

from whycad.audit.findings import Chart, CheckResult, Column, Finding, Mark, Series, Table
from whycad.testing.sample_parts import OK, UNKNOWN, WARNING, case_ids, table


def performance_results() -> tuple[CheckResult, ...]:
    """Return what checks of performance found."""
    return (_performance(), _calibration(), _imbalance(), _subgroup(), _slice())


def _curve(name: str, power: float) -> Series:
    places = np.linspace(0, 1, 21)
    marks = tuple(
        Mark(x=float(x), y=float(x**power), low=max(0.0, float(x**power) - 0.06), high=min(1.0, float(x**power) + 0.06))
        for x in places
    )
    return Series(name=name, marks=marks)


def _performance() -> CheckResult:
    curves = Chart(
        key="roc",
        title="ROC curves, each class against the rest",
        kind="line",
        series=(_curve("melanoma", 0.2), _curve("nevus", 0.3), _curve("keratosis", 0.45)),
        x_title="1 - specificity",
        y_title="sensitivity",
        diagonal=True,
        note="Bands: 95 %, bootstrap by lesion.",
    )
    members = Chart(
        key="members",
        title="AUROC of each member",
        kind="bar",
        series=(
            Series(
                marks=tuple(
                    Mark(x=f"member {i + 1}", y=y, low=y - 0.05, high=y + 0.05, n=148)
                    for i, y in enumerate((0.85, 0.87, 0.84))
                )
            ),
        ),
        y_title="AUROC",
        reference=0.5,
    )
    return CheckResult(
        check="performance",
        title="Performance",
        question="How good is the model on this split?",
        method="AUROC of each class against the rest, averaged over classes. Intervals: bootstrap by lesion, 95 %. "
        "A class with fewer than 30 cases is not established.",
        references=("Hanley JA, McNeil BJ. Radiology 1982. https://doi.org/10.1148/radiology.143.1.7063747",),
        findings=(
            Finding(
                check="performance",
                severity=OK,
                message="AUROC is 0.87 (0.81 to 0.92), averaged over the classes.",
                effect=0.87,
                effect_name="AUROC",
                no_effect=0.5,
                ci_low=0.81,
                ci_high=0.92,
                n=148,
            ),
            Finding(
                check="performance",
                severity=UNKNOWN,
                message="Sensitivity for keratosis is not established: 9 cases, 30 are needed.",
                label="keratosis",
                n=9,
                cases=case_ids(60, 9),
                n_cases=9,
            ),
        ),
        tables=(
            table(
                "per_class",
                "Per class",
                "Class|N|Sensitivity|Low|High",
                (
                    ("nevus", 101, 0.84, 0.77, 0.9),
                    ("melanoma", 38, 0.66, 0.5, 0.8),
                    ("keratosis", 9, None, None, None),
                ),
            ),
        ),
        charts=(curves, members),
    )


def _calibration() -> CheckResult:
    bins = ((0.1, 0.08, 40), (0.3, 0.27, 33), (0.5, 0.55, 30), (0.7, 0.66, 25), (0.9, 0.93, 20))
    reliability = Chart(
        key="reliability",
        title="Reliability",
        kind="line",
        series=(
            Series(
                marks=tuple(Mark(x=x, y=y, low=max(0.0, y - 0.09), high=min(1.0, y + 0.09), n=n) for x, y, n in bins)
            ),
        ),
        x_title="predicted probability",
        y_title="observed share",
        diagonal=True,
    )
    counts = Chart(
        key="confidence",
        title="How often each probability is given",
        kind="histogram",
        series=(Series(marks=tuple(Mark(x=x, y=n, n=n) for x, _, n in bins)),),
        x_title="probability of the predicted class",
        y_title="cases",
    )
    return CheckResult(
        check="calibration",
        title="Calibration and uncertainty",
        question="Do probabilities mean what they say?",
        method="Expected calibration error in 15 bins of equal count, less what chance alone gives.",
        references=("Guo C et al. ICML 2017. https://doi.org/10.48550/arXiv.1706.04599",),
        findings=(
            Finding(
                check="calibration",
                severity=OK,
                message="The expected calibration error beyond chance is 0.01 (-0.01 to 0.03).",
                effect=0.01,
                effect_name="calibration error beyond chance",
                ci_low=-0.01,
                ci_high=0.03,
                n=148,
            ),
        ),
        charts=(reliability, counts),
    )


def _imbalance() -> CheckResult:
    learned = Chart(
        key="margins",
        title="Margin of each class",
        kind="bar",
        series=(
            Series(
                name="training",
                marks=(
                    Mark(x="nevus", y=0.71, low=0.66, high=0.76, n=380),
                    Mark(x="melanoma", y=0.42, low=0.31, high=0.53, n=140),
                    Mark(x="keratosis", y=0.2, low=-0.02, high=0.42, n=80, severity=WARNING),
                ),
            ),
            Series(
                name="validation",
                marks=(
                    Mark(x="nevus", y=0.62, low=0.55, high=0.69, n=101),
                    Mark(x="melanoma", y=0.21, low=0.05, high=0.37, n=38),
                    Mark(x="keratosis", y=-0.11, low=-0.4, high=0.18, n=9, severity=UNKNOWN),
                ),
            ),
        ),
        y_title="mean margin",
        reference=0.0,
    )
    return CheckResult(
        check="imbalance",
        title="Class imbalance",
        question="What does the unequal size of the classes do?",
        method="Accuracy against always answering the commonest class, paired, bootstrap by lesion.",
        findings=(
            Finding(
                check="imbalance",
                severity=WARNING,
                message="Accuracy is 0.76, only 0.09 above always answering “nevus” (0.05 to 0.13).",
                effect=0.09,
                effect_name="accuracy above the commonest class",
                ci_low=0.05,
                ci_high=0.13,
                n=148,
            ),
        ),
        charts=(learned,),
    )


def _subgroup() -> CheckResult:
    rows = (
        ("under 40 years", -0.13, -0.27, -0.02, 34, WARNING),
        ("40 to 59 years", 0.02, -0.08, 0.12, 61, OK),
        ("60 years and over", 0.05, -0.04, 0.14, 48, OK),
        ("female", -0.01, -0.09, 0.07, 70, OK),
        ("male", 0.01, -0.07, 0.09, 76, OK),
    )
    marks = tuple(
        Mark(x=x, y=name, low=low, high=high, n=n, severity=severity, cases=case_ids(10 * i, 12))
        for i, (name, x, low, high, n, severity) in enumerate(rows)
    )
    gaps = Chart(
        key="gaps",
        title="Sensitivity for melanoma, difference from the rest",
        kind="interval",
        series=(Series(marks=marks),),
        x_title="difference in sensitivity",
        reference=0.0,
    )
    table = Table(
        key="gaps",
        title="Subgroups",
        columns=(
            Column(key="group", title="Group"),
            Column(key="difference", title="Difference", decimals=2),
            Column(key="low", title="Low", decimals=2),
            Column(key="high", title="High", decimals=2),
            Column(key="n", title="n", decimals=0),
        ),
        rows=tuple((str(m.y), float(m.x), m.low, m.high, m.n) for m in marks),
        cases=tuple(m.cases for m in marks),
    )
    return CheckResult(
        check="subgroup",
        title="Subgroups",
        question="Is the model worse for some patients than for others?",
        method="Sensitivity in each subgroup less that in the rest; Holm over subgroups.",
        references=("Seyyed-Kalantari L et al. Nat Med 2021. https://doi.org/10.1038/s41591-021-01595-0",),
        findings=(
            Finding(
                check="subgroup",
                severity=WARNING,
                message="Sensitivity for melanoma under 40 years is lower by 0.13 (0.02 to 0.27).",
                column="age_years",
                label="melanoma",
                effect=-0.13,
                effect_name="difference in sensitivity",
                ci_low=-0.27,
                ci_high=-0.02,
                n=34,
                cases=case_ids(0, 12),
                n_cases=12,
            ),
            Finding(
                check="subgroup",
                severity=OK,
                message="None of 4 other subgroups differs from the rest.",
                n=148,
            ),
        ),
        tables=(table,),
        charts=(gaps,),
    )


def _slice() -> CheckResult:
    rng = np.random.default_rng(0)
    clouds = []
    for name, centre, n in (("right", (0.0, 0.0), 60), ("wrong", (1.5, 1.0), 25)):
        points = rng.normal(centre, 0.8, (n, 2)).round(3)
        marks = tuple(
            Mark(x=float(x), y=float(y), cases=(case,)) for (x, y), case in zip(points, case_ids(0, n), strict=True)
        )
        clouds.append(Series(name=name, marks=marks))
    return CheckResult(
        check="slice",
        title="Worst slices",
        question="Is there a kind of image on which the model fails?",
        method="Clusters of the model's features; the error of each against the rest, corrected for the search.",
        findings=(
            Finding(
                check="slice",
                severity=UNKNOWN,
                message="The worst slice (25 images, pale and blurred) is not established: 25 cases, 30 are needed.",
                n=25,
                cases=case_ids(40, 25),
                n_cases=25,
            ),
        ),
        charts=(
            Chart(
                key="map",
                title="Features in two dimensions",
                kind="scatter",
                series=tuple(clouds),
                x_title="first component",
                y_title="second component",
            ),
        ),
    )
