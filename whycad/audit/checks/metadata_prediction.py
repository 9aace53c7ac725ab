"""Whether the model's answers follow metadata among cases of the same label."""

from __future__ import annotations

import numpy as np

from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.checks.performance_charts import cells, estimate_columns, interval_mark
from whycad.audit.conditional import Followed, followed_columns
from whycad.audit.context import AuditContext
from whycad.audit.findings import Chart, CheckResult, Column, Finding, Series, Severity, Table
from whycad.audit.judged import Judged, figure, finite, judged_cases, listed, with_estimate
from whycad.audit.stats import CHECK_ALPHA

# Three points of probability move a case over a referral threshold; 15 change answers.
RELEVANT, LARGE = 0.03, 0.15
MOST_FINDINGS, MOST_MARKS = 8, 30
METHOD = (
    "For every level of every column the mean probability of each class is compared between images with and without "
    "it among cases of the same label, and pooled over the labels. So a column that goes with the label is not "
    "flagged for that alone. p-values come from permuting answers within labels, whole groups at a time, and hold for "
    "all columns, levels and classes together (largest statistic of the family). Intervals are bootstrap intervals by "
    "group. For an artefact a large effect is called worrying; for what is of the patient, such as age, it is to be "
    "judged by the reader, since it may truly show in the image."
)
REFERENCES = (
    "Berrett 2020, The conditional permutation test, doi:10.1111/rssb.12340",
    "Westfall 1993, Resampling-based multiple testing, ISBN 978-0471557616",
    "Zech 2018, doi:10.1371/journal.pmed.1002683",
)


def run(context: AuditContext) -> CheckResult:
    """Look for columns that answers follow."""
    cases = judged_cases(context)
    if not cases.columns:
        raise CheckSkippedError("the data set has no metadata columns")
    effects = followed_columns(cases)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(_findings(cases, effects)),
        tables=(_table(cases, effects),),
        charts=(_chart(cases, effects),),
    )


def is_followed(effect: Followed) -> bool:
    """Tell whether an effect is established and large enough to matter."""
    return effect.p < CHECK_ALPHA and abs(effect.effect.value) >= RELEVANT


def severity_of(effect: Followed) -> Severity:
    """Return how an effect is to be read."""
    if not is_followed(effect):
        return Severity.OK
    large = abs(effect.effect.value) >= LARGE and effect.level.artefact
    return Severity.CRITICAL if large else Severity.WARNING


def strongest_per_column(cases: Judged, effects: list[Followed]) -> list[Followed]:
    """Return each column's largest effect, of a binary task on the label that matters more; strongest first."""
    wanted = {target.key for target in cases.targets()} or set(cases.codes)
    found: dict[str, Followed] = {}
    for effect in sorted(effects, key=lambda e: (not is_followed(e), -abs(e.effect.value))):
        if effect.code in wanted:
            found.setdefault(effect.level.column, effect)
    return list(found.values())


def _findings(cases: Judged, effects: list[Followed]) -> list[Finding]:
    strongest = strongest_per_column(cases, effects)
    worrying = [effect for effect in strongest if is_followed(effect)]
    found = [_finding(cases, effect) for effect in worrying[:MOST_FINDINGS]]
    found.sort(key=lambda finding: finding.severity is not Severity.CRITICAL)
    quiet = [effect.level.column.replace("_", " ") for effect in strongest if not is_followed(effect)]
    if quiet:
        message = f"Among cases of the same label answers do not follow {listed(quiet, 8)}."
        found.append(Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases)))
    seen = {effect.level.column for effect in effects}
    unseen = [column.name.replace("_", " ") for column in cases.columns if column.name not in seen]
    if unseen:
        message = f"Not established, too few cases with and without: {listed(unseen, 8)}."
        found.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message))
    return found


def _finding(cases: Judged, effect: Followed) -> Finding:
    index = cases.codes.index(effect.code)
    rows = np.flatnonzero(effect.level.inside)
    order = np.argsort(-np.sign(effect.effect.value) * cases.probabilities[rows, index], kind="stable")
    direction = "higher" if effect.effect.value > 0 else "lower"
    message = (
        f"Among cases of the same label, the probability of {cases.said(effect.code)} is {direction} "
        f"{effect.level.words} by {figure(effect.effect, signed=True)}."
    )
    return with_estimate(
        Finding(
            check=CHECK.id,
            severity=severity_of(effect),
            message=message,
            column=effect.level.column,
            level=effect.level.name,
            label=effect.code,
            effect_name="difference in probability, given the label",
            n=effect.level.n,
            cases=cases.ids(rows[order]),
            n_cases=effect.level.n,
        ),
        effect.effect,
    )


def _table(cases: Judged, effects: list[Followed]) -> Table:
    ordered = sorted(effects, key=lambda e: (e.p, -abs(e.effect.value)))
    return Table(
        key="effects",
        title="Difference in probability given the label",
        columns=(
            Column(key="column", title="Column"),
            Column(key="level", title="Level"),
            Column(key="label", title="Probability of"),
            Column(key="n", title="n"),
            *estimate_columns("effect", "Difference"),
            Column(key="p", title="p, corrected", decimals=4),
        ),
        rows=tuple(
            (e.level.column, e.level.name, cases.name(e.code), e.level.n, *cells(e.effect), finite(e.p))
            for e in ordered
        ),
        cases=tuple(cases.ids(e.level.inside, 20) for e in ordered),
    )


def _chart(cases: Judged, effects: list[Followed]) -> Chart:
    shown = [e for e in strongest_per_column(cases, effects) if np.isfinite(e.effect.value)][:MOST_MARKS]
    marks = tuple(
        interval_mark(
            f"{e.level.words.removeprefix('with ')}: {cases.name(e.code)}", e.effect, e.level.n,
            cases.ids(e.level.inside, 20),
        ).model_copy(update={"severity": severity_of(e)})
        for e in shown
    )  # fmt: skip
    return Chart(
        key="effects",
        title="Largest difference in probability per column, given the label",
        kind="interval",
        series=(Series(marks=marks),),
        x_title="Difference in probability",
        reference=0.0,
    )


CHECK = Check(
    "metadata_prediction",
    "Answers that follow metadata",
    "Among cases of the same label, do the model's answers differ with metadata or artefacts?",
    run,
)
