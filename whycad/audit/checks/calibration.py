"""Whether probabilities and sets mean what they say, and what handing cases over buys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whycad.audit.bootstrap import Estimate, FloatArray
from whycad.audit.calibration_stats import brier_panel, centred, ece_excess
from whycad.audit.checks import Check
from whycad.audit.checks.calibration_charts import (
    bias_table,
    brier_table,
    coverage_chart,
    coverage_table,
    reliability_chart,
    reliability_table,
    risk_chart,
)
from whycad.audit.context import AuditContext
from whycad.audit.coverage import Coverage, SetCases, coverage_of
from whycad.audit.findings import CheckResult, Finding, Severity
from whycad.audit.judged import Judged, figure, judged_cases, listed, metric, with_estimate
from whycad.audit.measures import aurc_of, mean_of
from whycad.audit.model_columns import levels_of
from whycad.audit.model_stats import estimate_panel, p_value, panel_of
from whycad.audit.stats import holm
from whycad.audit.words import within_sentence

# An excess of 2 points is seen in a reliability diagram; 10 points change decisions.
SEEN, LARGE = 0.02, 0.1
ALPHA = 0.05
# A set that promises 90 % and holds the truth in less than 75 % is wrong for more than twice as many as it says.
FAR_BELOW = 0.15
METHOD = (
    "The calibration error of the leading label is taken over 15 bins of equal width, less what a perfectly "
    "calibrated model with these probabilities shows by chance; its bootstrap interval "
    "by group is freed of the error that resampling adds. "
    "Per class the mean probability is held against the share of cases (Holm over classes). The Brier score is "
    "split into reliability, resolution and uncertainty (Murphy). Coverage of the sets is counted per class and "
    "subgroup; it fails where it lies more than 2.6 standard errors below its promise."
)
REFERENCES = (
    "Guo 2017, arXiv:1706.04599",
    "Murphy 1973, doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2",
    "Geifman 2017, arXiv:1705.08500",
    "Wilson 1927, doi:10.1080/01621459.1927.10502953",
)


@dataclass(frozen=True)
class ClassBias:
    """How far a class's probabilities are too high on average (below 0: too low), and its own excess error."""

    code: str
    name: str
    n: int
    bias: Estimate
    p: float
    excess: Estimate


@dataclass(frozen=True)
class Referral:
    """Share of wrong answers among all and among the reported, and the difference (below 0: referral helps)."""

    n_reported: int
    everything: Estimate
    reported: Estimate
    difference: Estimate
    aurc: Estimate


def run(context: AuditContext) -> CheckResult:
    """Measure calibration."""
    cases = judged_cases(context)
    top = cases.probabilities.max(axis=1)
    hit = cases.probabilities.argmax(axis=1) == cases.label
    excess, expected = ece_excess(top, hit, cases.bootstrap(), seed=context.options.seed)
    biases = class_biases(cases)
    brier = brier_parts(cases)
    classes, subgroups = coverages(cases)
    referral = what_referral_buys(cases)
    findings = [
        _excess_finding(cases, excess, expected),
        *_bias_findings(cases, biases),
        *_coverage_findings(cases, classes, subgroups),
        _referral_finding(cases, referral),
    ]
    metrics = {
        "ece_excess": metric(excess, len(cases)),
        "brier": metric(brier[0], len(cases)),
        "aurc": metric(referral.aurc, len(cases)),
        "error_all": metric(referral.everything, len(cases)),
        "error_reported": metric(referral.reported, referral.n_reported),
        **{
            f"coverage/{row.name}": metric(Estimate(row.share, row.interval, row.standard_error), row.n)
            for row in classes
        },
    }
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(findings),
        tables=(
            reliability_table(cases, top, hit),
            bias_table(biases),
            brier_table(brier),
            coverage_table(cases, classes, subgroups),
        ),
        charts=(
            reliability_chart(cases, top, hit),
            coverage_chart(cases, classes, subgroups),
            risk_chart(cases),
        ),
        metrics=metrics,
    )


def class_biases(cases: Judged) -> list[ClassBias]:
    """Return what each class's probabilities say too much on average."""
    truth = np.eye(len(cases.codes))[cases.label]
    gap = cases.probabilities - truth

    def panel(weights: FloatArray) -> FloatArray:
        return np.asarray((weights @ gap) / weights.sum(axis=1, keepdims=True))

    found, _ = estimate_panel(cases.bootstrap(), panel, len(cases))
    adjusted = holm([p_value(estimate) for estimate in found])
    seed, draws = cases.context.options.seed, cases.bootstrap(200)
    return [
        ClassBias(
            code,
            cases.name(code),
            cases.n_of(code),
            found[i],
            float(adjusted[i]),
            ece_excess(cases.probabilities[:, i], cases.label == i, draws, 200, seed)[0],
        )
        for i, code in enumerate(cases.codes)
    ]


def brier_parts(cases: Judged) -> list[Estimate]:
    """Return the Brier score and the parts that it is made of."""

    def panel(weights: FloatArray) -> FloatArray:
        return brier_panel(cases.probabilities, cases.label, weights)

    found, draws = estimate_panel(cases.bootstrap(), panel, len(cases))
    return [found[0], *(centred(part.value, draws[:, i + 1]) for i, part in enumerate(found[1:]))]


def coverages(cases: Judged) -> tuple[list[Coverage], list[Coverage]]:
    """Return the coverage per class, and per subgroup of at least ``least_n`` cases."""
    sets = SetCases(cases.in_set, cases.label, cases.groups, cases.set_coverage)
    options = cases.context.options
    masks = {code: cases.label == i for i, code in enumerate(cases.codes) if cases.n_of(code)}
    classes = coverage_of(sets, masks, options.n_draws, options.seed)
    levels = levels_of(cases.columns, cases.least_n)
    groups = {f"{level.column}: {level.name}": level.inside for level in levels}
    return classes, coverage_of(sets, groups, options.n_draws, options.seed) if groups else []


def what_referral_buys(cases: Judged) -> Referral:
    """Return the share of wrong answers before and after the policy."""
    reported = cases.decision == "report"
    everything, kept = mean_of(cases.wrong), mean_of(cases.wrong, reported)
    confidence = cases.probabilities.max(axis=1)
    panel = panel_of([everything, kept, lambda w: kept(w) - everything(w), aurc_of(confidence, cases.wrong)])
    found, _ = estimate_panel(cases.bootstrap(), panel, len(cases))
    return Referral(int(reported.sum()), *found)


def _excess_finding(cases: Judged, excess: Estimate, expected: float) -> Finding:
    n, interval = len(cases), excess.interval
    size = f"{excess.value + expected:.3f}, where chance alone gives {expected:.3f}: {figure(excess, 3, signed=True)}"
    severity, message = Severity.OK, f"Calibration error is {size} beyond chance."
    if n < cases.least_n or interval is None:
        severity, message = Severity.UNKNOWN, f"Calibration is not established: {n} cases."
    elif interval[0] > 0 and excess.value >= SEEN:
        severity = Severity.CRITICAL if excess.value >= LARGE else Severity.WARNING
        sure = float(cases.probabilities.max(axis=1).mean())
        hit = float((cases.probabilities.argmax(axis=1) == cases.label).mean())
        direction = "too sure" if sure > hit else "not sure enough"
        message = (
            f"The model is {direction}: it says {sure:.2f} on average and is right in {hit:.2f}; calibration error is "
            f"{size} beyond chance."
        )
    note = {"effect_name": "calibration error beyond chance", "n": n}
    return with_estimate(Finding(check=CHECK.id, severity=severity, message=message).model_copy(update=note), excess)


def _bias_findings(cases: Judged, biases: list[ClassBias]) -> list[Finding]:
    found = []
    chosen = biases[1:] if len(biases) == 2 else biases
    for row in chosen:
        if not (row.p < ALPHA and abs(row.bias.value) >= SEEN and row.n >= cases.least_n):
            continue
        severity = Severity.CRITICAL if abs(row.bias.value) >= LARGE else Severity.WARNING
        direction = "high" if row.bias.value > 0 else "low"
        message = (
            f"Probabilities of {within_sentence(row.name)} are too {direction} by {figure(row.bias, 3, signed=True)}."
        )
        one = Finding(check=CHECK.id, severity=severity, message=message, label=row.code, n=row.n)
        found.append(with_estimate(one.model_copy(update={"effect_name": "mean probability less share"}), row.bias))
    return found


def _coverage_findings(cases: Judged, classes: list[Coverage], subgroups: list[Coverage]) -> list[Finding]:
    names = {code: cases.name(code) for code in cases.codes}
    enough = [row for row in [*classes, *subgroups] if row.established]
    failing = [row for row in enough if not row.holds]
    found = []
    for row in failing:
        low, high = row.interval or (float("nan"), float("nan"))
        severity = Severity.CRITICAL if row.nominal - row.share >= FAR_BELOW else Severity.WARNING
        name = names.get(row.name, row.name)
        message = (
            f"Sets hold the truth in {row.share:.2f} ({low:.2f} to {high:.2f}) of {name} instead of {row.nominal}."
        )
        one = Finding(check=CHECK.id, severity=severity, message=message, label=row.name if row.name in names else "")
        column = "" if row.name in names else row.name.partition(": ")[0]
        update = {"column": column, "n": row.n, "effect_name": "coverage", "no_effect": row.nominal}
        estimate = Estimate(row.share, row.interval, row.standard_error)
        found.append(with_estimate(one.model_copy(update=update), estimate))
    few = [f"{names.get(row.name, row.name)} (n = {row.n})" for row in classes if not row.established]
    if enough and not failing:
        message = f"Sets hold the truth as often as they promise in all {len(enough)} classes and subgroups looked at."
        found.append(Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases)))
    if few:
        message = f"Coverage is not established: {listed(few)}."
        found.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message))
    return found


def _referral_finding(cases: Judged, referral: Referral) -> Finding:
    shares = f"{figure(referral.reported)} of reported cases, {figure(referral.everything)} of all"
    n, high = referral.n_reported, (referral.difference.interval or (0.0, 0.0))[1]
    if min(n, int(cases.wrong.sum())) < 10 or len(cases) < cases.least_n:
        severity = Severity.UNKNOWN
        message = f"What referral buys is not established: {n} of {len(cases)} cases are reported."
    elif high < 0:
        severity = Severity.OK
        message = (
            f"Answers are wrong in {figure(referral.reported)} of reported cases, {figure(referral.everything)} of all."
        )
    else:
        severity = Severity.WARNING
        message = f"Referral does not lower the share of wrong answers: {shares}."
    wrong = cases.wrong & (cases.decision == "report")
    one = Finding(check=CHECK.id, severity=severity, message=message, effect_name="difference in the share of errors")
    update = {"n": n, "cases": cases.worst_first(wrong), "n_cases": int(wrong.sum())}
    return with_estimate(one.model_copy(update=update), referral.difference)


CHECK = Check("calibration", "Calibration", "Do probabilities and sets mean what they say?", run)
