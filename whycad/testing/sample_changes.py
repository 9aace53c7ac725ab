"""What the sample audit finds when it changes images: invented numbers."""

from __future__ import annotations

from whycad.audit.findings import Chart, CheckResult, Finding, Mark, Picture, Series
from whycad.testing.sample_parts import CRITICAL, OK, WARNING, case_ids


def change_results() -> tuple[CheckResult, ...]:
    """Return what checks that change images or explain them found."""
    return (_insertion(), _region_only(), _robustness(), _explanation(), _ledger())


def _insertion() -> CheckResult:
    rows = (
        ("coloured patch", -0.19, -0.24, -0.14, CRITICAL),
        ("ink marking", 0.06, 0.02, 0.1, WARNING),
        ("ruler", 0.03, 0.0, 0.06, OK),
        ("hair", -0.02, -0.04, 0.01, OK),
        ("dark corner", 0.01, -0.01, 0.03, OK),
        ("gel bubble", 0.0, -0.02, 0.02, OK),
        ("sham", 0.0, -0.01, 0.01, OK),
    )
    marks = tuple(Mark(x=x, y=name, low=low, high=high, n=120, severity=s) for name, x, low, high, s in rows)
    return CheckResult(
        check="artefact_insertion",
        title="Inserted artefacts",
        question="Does the answer change when an artefact is put into the image?",
        method="Each artefact is drawn outside the lesion and the image is predicted again; the change of a sham of "
        "equal size is taken off. Intervals: bootstrap by lesion; Holm over artefacts.",
        references=("Winkler JK et al. JAMA Dermatol 2019. https://doi.org/10.1001/jamadermatol.2019.1735",),
        findings=(
            Finding(
                check="artefact_insertion",
                severity=CRITICAL,
                message="A coloured patch lowers the probability of melanoma by 0.19 (0.14 to 0.24).",
                column="coloured patch",
                label="melanoma",
                effect=-0.19,
                effect_name="change in probability",
                ci_low=-0.24,
                ci_high=-0.14,
                n=120,
                cases=case_ids(20, 26),
                n_cases=26,
            ),
            Finding(
                check="artefact_insertion",
                severity=WARNING,
                message="An ink marking raises the probability of melanoma by 0.06 (0.02 to 0.10).",
                column="ink marking",
                label="melanoma",
                effect=0.06,
                effect_name="change in probability",
                ci_low=0.02,
                ci_high=0.1,
                n=120,
            ),
        ),
        charts=(
            Chart(
                key="change",
                title="Change in melanoma probability when an artefact is inserted, against a sham of equal size",
                kind="interval",
                series=(Series(marks=marks),),
                x_title="change in probability",
                reference=0.0,
            ),
        ),
        pictures=tuple(
            Picture(
                file=f"pictures/artefact_insertion/patch-{i}.png",
                caption=("before" if i % 2 == 0 else "with a patch") + f": p(melanoma) {0.31 - 0.19 * (i % 2):.2f}",
                case=f"case-{20 + i // 2:04d}",
            )
            for i in range(4)
        ),
    )


def _region_only() -> CheckResult:
    return CheckResult(
        check="region_only",
        title="Background and border alone",
        question="Can the model tell the label without the lesion?",
        method="AUROC with everything but the border blanked.",
        findings=(
            Finding(
                check="region_only",
                severity=OK,
                message="From the border alone the model is at chance: AUROC 0.52 (0.45 to 0.58).",
                effect=0.52,
                effect_name="AUROC",
                no_effect=0.5,
                ci_low=0.45,
                ci_high=0.58,
                n=120,
            ),
        ),
    )


def _robustness() -> CheckResult:
    series = []
    for name, loss in (("noise", 0.05), ("blur", 0.02), ("rotation", 0.004)):
        marks = tuple(
            Mark(x=s, y=0.87 - loss * s, low=0.82 - loss * s, high=0.92 - loss * s, n=120, severity=OK)
            for s in range(6)
        )
        series.append(Series(name=name, marks=marks))
    return CheckResult(
        check="robustness",
        title="Robustness",
        question="How does the model do on worse images, and does it know?",
        method="Each corruption at five strengths.",
        references=("Hendrycks D, Dietterich T. ICLR 2019. https://doi.org/10.48550/arXiv.1903.12261",),
        findings=(
            Finding(
                check="robustness",
                severity=WARNING,
                message="Under strong noise AUROC falls by 0.25 (0.18 to 0.31) and referral does not rise.",
                column="noise",
                effect=-0.25,
                effect_name="change in AUROC",
                ci_low=-0.31,
                ci_high=-0.18,
                n=120,
            ),
        ),
        charts=(
            Chart(
                key="auroc",
                title="AUROC by strength of corruption",
                kind="line",
                series=tuple(series),
                x_title="strength",
                y_title="AUROC",
            ),
        ),
    )


def _explanation() -> CheckResult:
    methods, tests = ("Grad-CAM", "Integrated gradients", "Occlusion"), ("deletion", "randomisation", "stability")
    values = ((0.61, 0.9, 0.7), (0.55, 0.2, 0.4), (0.72, 0.8, None))
    marks = tuple(
        Mark(x=test, y=method, z=values[i][j], n=60) for i, method in enumerate(methods) for j, test in enumerate(tests)
    )
    return CheckResult(
        check="explanation",
        title="Explanations",
        question="How far can the maps be trusted?",
        method="Share of maps that pass each test.",
        references=("Adebayo J et al. NeurIPS 2018. https://doi.org/10.48550/arXiv.1810.03292",),
        findings=(
            Finding(
                check="explanation",
                severity=WARNING,
                message="Integrated gradients: 20 % (11 to 32 %) of the maps pass the randomisation test.",
                column="ig",
                effect=0.2,
                effect_name="share that passes",
                no_effect=1.0,
                ci_low=0.11,
                ci_high=0.32,
                n=60,
            ),
        ),
        charts=(
            Chart(
                key="passes",
                title="Share of maps that pass",
                kind="heatmap",
                series=(Series(marks=marks),),
                x_title="test",
                y_title="method",
            ),
        ),
    )


def _ledger() -> CheckResult:
    return CheckResult(
        check="ledger",
        title="Use of the split",
        question="How often was this split looked at?",
        findings=(
            Finding(check="ledger", severity=OK, message="This split has been used 2 times, for audits only.", n=2),
        ),
    )
