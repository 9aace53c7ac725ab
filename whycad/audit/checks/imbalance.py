"""What the imbalance of the classes does to the model and to its figures."""

from __future__ import annotations

import numpy as np

from whycad.audit.bootstrap import Z_95, Estimate, wilson_interval
from whycad.audit.checks import Check
from whycad.audit.checks.imbalance_charts import (
    areas_table,
    class_table,
    hidden_table,
    margin_chart,
    rule_chart,
    rule_table,
    shift_chart,
    shift_table,
)
from whycad.audit.checks.performance import TargetFigures, answer_figures, ranking_figures
from whycad.audit.context import AuditContext
from whycad.audit.findings import CheckResult, Finding, Severity
from whycad.audit.imbalance import Rule, Shifted, above_majority, margins_of, other_rules, shifted_values
from whycad.audit.judged import Judged, figure, judged_cases, metric, with_estimate
from whycad.audit.model_stats import p_value

# Classes of which one is this many times as common as another change what accuracy means.
IMBALANCED = 3.0
# An accuracy less than ten points above always giving the same answer says little.
LITTLE_ABOVE = 0.1
# A ranking that is called excellent while most alarms are false.
EXCELLENT_AUROC, HALF_PRECISION = 0.8, 0.5
# Three points of balanced accuracy are worth another rule.
WORTH_IT = 0.03
ALPHA = 0.05
# Half-width that a sensitivity should be known to.
WANTED_WIDTH = 0.1
METHOD = (
    "Counts, effective numbers (Cui, beta 0.999) and margins are given per class; margins are the probability of the "
    "label less that of the best other one. Each figure stands beside what always giving the most common label, and "
    "drawing labels by prevalence, would give. Predictive values at other prevalences follow from sensitivity and "
    "specificity. Other decision rules are tried on the audited cases: powers of the prevalence as they are, class "
    "weights by five-fold cross-fitting over groups, so that no case is judged by weights fitted on it; the best of "
    "them is corrected for having been chosen (Bonferroni). Intervals are bootstrap intervals by group."
)
REFERENCES = (
    "Cui 2019, doi:10.1109/CVPR.2019.00949",
    "Saito 2015, doi:10.1371/journal.pone.0118432",
    "Menon 2021, Long-tail learning via logit adjustment, arXiv:2007.07314",
    "Wilson 1927, doi:10.1080/01621459.1927.10502953",
)


def run(context: AuditContext) -> CheckResult:
    """Measure what imbalance does."""
    cases = judged_cases(context)
    summary, classes = answer_figures(cases)
    targets, macro = ranking_figures(cases)
    margins, rules, shifts = margins_of(cases), other_rules(cases), shifts_of(cases)
    most, gain = above_majority(cases)
    findings = [
        _imbalance_finding(cases),
        _majority_finding(cases, most, gain, summary["balanced_accuracy"]),
        *_area_findings(cases, targets),
        *_minority_finding(cases),
        _rule_finding(cases, rules),
    ]
    figures = summary if macro is None else {"macro_auroc": macro, **summary}
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(findings),
        tables=(
            class_table(cases, classes, margins),
            hidden_table(cases, figures, cases.name(most)),
            areas_table(targets),
            *shift_table(shifts),
            rule_table(cases, rules),
        ),
        charts=(margin_chart(cases, margins), *shift_chart(shifts), rule_chart(rules)),
        metrics={"accuracy_above_majority": metric(gain, len(cases))},
    )


def shifts_of(cases: Judged) -> list[Shifted]:
    """Return predictive values of the operating points, and of answers that must not be missed."""
    stored = cases.context.calibration.operating_points
    found = [
        shifted_values(cases, f"operating point {t.name}", t.positive, np.asarray(t.scores >= stored[t.key].threshold))
        for t in cases.point_targets()
        if t.key in stored and t.fewest
    ]
    for index, label in enumerate(cases.manifest.labels):
        positive = cases.label == index
        if label.must_not_miss and 0 < positive.sum() < len(cases):
            found.append(shifted_values(cases, f"answer {label.name}", positive, cases.predicted == index))
    return found


def _imbalance_finding(cases: Judged) -> Finding:
    counts = np.bincount(cases.label, minlength=len(cases.codes))
    present = np.flatnonzero(counts)
    most, least = int(counts.argmax()), int(present[counts[present].argmin()])
    times = counts[most] / counts[least]
    low, high = wilson_interval(counts[least] / len(cases), len(cases))
    message = (
        f"{cases.name(cases.codes[most])} is {times:.0f} times as common as {cases.said(cases.codes[least])} "
        f"({counts[least]} of {len(cases)} cases)."
    )
    if len(present) < 2:
        message = f"All cases are {cases.said(cases.codes[most])}: what imbalance does cannot be measured."
    elif times < IMBALANCED:
        message = f"Classes are about equally common: no class has more than {times:.1f} times the cases of another."
    severity = Severity.UNKNOWN if len(present) < 2 else Severity.WARNING if times >= IMBALANCED else Severity.OK
    return Finding(
        check=CHECK.id,
        severity=severity,
        message=message,
        label=cases.codes[least],
        effect=float(counts[least] / len(cases)),
        effect_name="share of the rarest class",
        no_effect=1 / len(cases.codes),
        ci_low=low,
        ci_high=high,
        n=len(cases),
    )


def _majority_finding(cases: Judged, most: str, gain: Estimate, balanced: Estimate) -> Finding:
    """Say how far accuracy is above that of always giving the most common answer."""
    share = float((cases.label == cases.codes.index(most)).mean())
    accuracy = float((~cases.wrong).mean())
    low, high = gain.interval or (0.0, 0.0)
    chance = 1 / len(np.unique(cases.label))
    severity = Severity.OK if low > 0 and gain.value >= LITTLE_ABOVE else Severity.WARNING
    if high < 0 and (balanced.interval or (0.0, 0.0))[0] <= chance:
        severity = Severity.CRITICAL
    where = "above" if gain.value >= 0 else "below"
    message = (
        f"Accuracy {accuracy:.2f} is {where} that of always answering {cases.said(most)} ({share:.2f}): "
        f"{figure(gain, signed=True)}."
    )
    if severity is Severity.WARNING:
        message = f"{message[:-1]}; read balanced accuracy, {figure(balanced)}."
    if len(cases) < cases.least_n:
        severity = Severity.UNKNOWN
    one = Finding(check=CHECK.id, severity=severity, message=message, effect_name="accuracy above majority")
    return with_estimate(one.model_copy(update={"n": len(cases)}), gain)


def _area_findings(cases: Judged, targets: list[TargetFigures]) -> list[Finding]:
    """Name classes whose ROC area looks excellent while most of the highest probabilities are wrong."""
    found = []
    for row in targets:
        n, interval = int(row.target.positive.sum()), row.auprc.interval
        hidden = row.auroc.value >= EXCELLENT_AUROC and interval is not None and interval[1] < HALF_PRECISION
        if n < cases.least_n or not hidden:
            continue
        message = (
            f"{row.target.name}: an AUROC of {row.auroc.value:.2f} hides a precision-recall area of only "
            f"{figure(row.auprc)}; {n / len(cases):.0%} of the cases have it."
        )
        one = Finding(check=CHECK.id, severity=Severity.WARNING, message=message, label=row.target.key, n=n)
        update = {"effect_name": "AUPRC", "no_effect": n / len(cases)}
        found.append(with_estimate(one.model_copy(update=update), row.auprc))
    return found


def _minority_finding(cases: Judged) -> list[Finding]:
    """Say how well the rarest class's sensitivity is known, and how many cases would be needed."""
    counts = np.bincount(cases.label, minlength=len(cases.codes))
    present = np.flatnonzero(counts)
    least = int(present[counts[present].argmin()])
    n = int(counts[least])
    share = float((~cases.wrong)[cases.label == least].mean())
    low, high = wilson_interval(share, n)
    spread = (share * n + 2) / (n + 4)
    needed = int(np.ceil(Z_95**2 * spread * (1 - spread) / WANTED_WIDTH**2))
    name = cases.said(cases.codes[least])
    message = (
        f"Sensitivity of the answer given, for the rarest class, {name}, is {share:.2f} ({low:.2f} to {high:.2f}), "
        f"n = {n}"
    )
    wide = (high - low) / 2 > WANTED_WIDTH
    message += f"; about {needed} cases would be needed to know it within 0.1." if wide else "."
    severity = Severity.UNKNOWN if wide or n < cases.least_n else Severity.OK
    return [
        Finding(
            check=CHECK.id,
            severity=severity,
            message=message,
            label=cases.codes[least],
            effect=share,
            effect_name="sensitivity of the answer",
            ci_low=low,
            ci_high=high,
            n=n,
            cases=cases.worst_first((cases.label == least) & cases.wrong),
            n_cases=int(((cases.label == least) & cases.wrong).sum()),
        )
    ]


def _rule_finding(cases: Judged, rules: list[Rule]) -> Finding:
    """Say what another decision rule would change."""
    others = [rule for rule in rules[1:] if rule.change["balanced_accuracy"].interval is not None]
    if len(cases) < cases.least_n or len(np.unique(cases.label)) < 2 or not others:
        message = f"Advice on thresholds is not established: {len(cases)} cases."
        return Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(cases))
    best = max(others, key=lambda rule: (rule.change["balanced_accuracy"].interval or (-1.0, 0.0))[0])
    change = best.change["balanced_accuracy"]
    # The best of several is taken, so its p-value is multiplied by how many there were (Bonferroni).
    worth = change.value >= WORTH_IT and p_value(change) * len(others) < ALPHA
    now, then = rules[0].figures["balanced_accuracy"].value, best.figures["balanced_accuracy"].value
    size = figure(change, signed=True)
    message = f"No other decision rule raises balanced accuracy clearly; the best changes it by {size}."
    if worth:
        message = (
            f"Another rule ({best.name}) would raise balanced accuracy from {now:.2f} to {then:.2f}, "
            f"{size}, and change accuracy by {figure(best.change['accuracy'], signed=True)}."
        )
    severity = Severity.WARNING if worth else Severity.OK
    one = Finding(check=CHECK.id, severity=severity, message=message, effect_name="change of balanced accuracy")
    return with_estimate(one.model_copy(update={"n": len(cases)}), change)


CHECK = Check("imbalance", "Class imbalance", "What does the imbalance of the classes do, and what does it hide?", run)
