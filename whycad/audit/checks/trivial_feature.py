"""What size, light, colour and border alone tell of the label, with groups kept together and without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whycad.audit.bootstrap import Estimate, FloatArray
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data_words import sentence, shown
from whycad.audit.findings import Chart, CheckResult, Column, Finding, Mark, Series, Severity, Table
from whycad.audit.stats import auc_from, auc_of, benjamini_hochberg
from whycad.audit.trivial import BORDER, FILE, Probe, probe

# Of files and borders nothing should tell the label; of light and colour some of it belongs to the disease.
OUTSIDE_MATTERS, OUTSIDE_LARGE = 0.65, 0.9
ALL_MATTERS, ALL_LARGE = 0.75, 0.95
GAP_MATTERS, GAP_LARGE = 0.05, 0.15
LEAST_GROUPS = 5
FAMILIES = {
    "all": "size, light, colour, sharpness and border",
    "file": "size, shape and bytes of the file",
    "border": "the border and the corners",
}


def run(context: AuditContext) -> CheckResult:
    """Try small models on trivial features."""
    found = probe(context)
    if len(found.sample.labels) < 2:
        raise CheckSkippedError(f"it takes two labels with {context.options.least_n} readable images each")
    if found.grouped is None:
        return _result([_not_established(found)], [], [])
    seed = context.options.seed
    kinds = {"file": found.family(FILE, seed), "border": found.family(BORDER, seed)}
    scores = {"all": found.grouped, **{name: p for name, p in kinds.items() if p is not None}}
    estimates = _estimates(context, found, scores)
    findings = [_family(found, name, estimates[name]) for name in scores]
    if found.random is not None and found.random is not found.grouped:
        findings.append(_gap(context, found, estimates["random"], estimates["gap"]))
    table = _single(context, found)
    return _result(findings, [table], [_chart(table)])


def _estimates(context: AuditContext, found: Probe, scores: dict[str, FloatArray]) -> dict[str, Estimate]:
    area = found.sample.area
    statistics = {name: area(p) for name, p in scores.items()}
    if found.random is not None and found.grouped is not None:
        random, inside = area(found.random), area(found.grouped)
        # With groups kept together a model that knows nothing can be worse than chance; what leaks is above chance.
        statistics |= {"random": random, "gap": lambda weights: random(weights) - np.maximum(inside(weights), 0.5)}
    return context.bootstrap(found.sample.groups).estimate(statistics)


def _not_established(found: Probe) -> Finding:
    message = (
        "Not established: a label has all its images in one group, so that no model can be tried on other groups than "
        "it was trained on."
    )
    return Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(found.sample.rows))


def _family(found: Probe, name: str, estimate: Estimate) -> Finding:
    low, high = estimate.interval or (None, None)
    matters, large = (ALL_MATTERS, ALL_LARGE) if name == "all" else (OUTSIDE_MATTERS, OUTSIDE_LARGE)
    few = found.sample.least_groups < LEAST_GROUPS
    sure = low is not None and low > 0.5
    severity = Severity.UNKNOWN if few else _graded(estimate.value if sure else 0.5, matters, large)
    words = "" if low is None else f" (AUC {estimate.value:.2f}, {low:.2f} to {high:.2f})"
    said = {
        Severity.OK: f"{FAMILIES[name]} alone tell little of the label{words}",
        Severity.UNKNOWN: f"not established what {FAMILIES[name]} tell of the label{words}: a label has fewer than "
        f"{LEAST_GROUPS} groups",
        Severity.WARNING: f"{FAMILIES[name]} alone tell much of the label{words}",
        Severity.CRITICAL: f"{FAMILIES[name]} alone nearly give the label{words}: a model need not look at the finding",
    }[severity]
    return Finding(
        check=CHECK.id,
        severity=severity,
        message=sentence(said),
        column=name,
        effect=estimate.value,
        effect_name="AUC",
        no_effect=0.5,
        ci_low=low,
        ci_high=high,
        n=len(found.sample.rows),
    )


def _graded(value: float, matters: float, large: float) -> Severity:
    return Severity.CRITICAL if value >= large else Severity.WARNING if value >= matters else Severity.OK


def _gap(context: AuditContext, found: Probe, random: Estimate, gap: Estimate) -> Finding:
    low, high = gap.interval or (None, None)
    sure = low is not None and low > 0
    severity = _graded(gap.value if sure else 0.0, GAP_MATTERS, GAP_LARGE)
    words = "" if low is None else f" ({gap.value:+.3f}, {low:+.3f} to {high:+.3f})"
    kind = "groups" if context.cases.groups_known else "duplicates"
    leak = (
        f"a random split leaks: with {kind} torn apart the AUC is {random.value:.2f}, higher than with {kind} kept "
        f"together{words}"
    )
    calm = f"a random split looks hardly better than one that keeps {kind} together{words}"
    return Finding(
        check=CHECK.id,
        severity=severity,
        message=sentence(calm if severity is Severity.OK else leak),
        column="random split",
        effect=gap.value,
        effect_name="difference of AUC",
        ci_low=low,
        ci_high=high,
        n=len(found.sample.rows),
    )


def _single(context: AuditContext, found: Probe) -> Table:
    """Return each feature alone against each label."""
    sample = found.sample
    labels = range(1, 2) if len(sample.labels) == 2 else range(len(sample.labels))
    used = [i for i, name in enumerate(found.names) if not name[-1].isdigit() and _varies(found.features[:, i])]
    plans = [(i, k) for i in used for k in labels]
    parts = {(i, k): (found.features[:, i], sample.target == k, np.isfinite(found.features[:, i])) for i, k in plans}
    estimates = context.bootstrap(sample.groups).estimate({f"{i} {k}": auc_of(*parts[i, k]) for i, k in plans})
    areas = {(i, k): auc_from(estimates[f"{i} {k}"], *parts[i, k][1:]) for i, k in plans}
    adjusted = dict(zip(plans, benjamini_hochberg([areas[plan].p for plan in plans]), strict=True))
    ordered = sorted(plans, key=lambda plan: -areas[plan].size)
    rows = [
        (found.names[i], sample.labels[k], a.n, a.value, a.low, a.high, float(adjusted[i, k]))
        for i, k in ordered
        if np.isfinite((a := areas[i, k]).value) and np.isfinite(a.low)
    ]
    titles = {
        "feature": "Feature",
        "label": "Label",
        "n": "Images",
        "auc": "AUC",
        "low": "95 % from",
        "high": "to",
        "p": "p, adjusted",
    }
    return Table(
        key="features",
        title="Each feature alone",
        columns=tuple(Column(key=key, title=title, decimals=4 if key == "p" else 3) for key, title in titles.items()),
        rows=tuple(rows),
        note="Below 0.5 the feature is smaller in the label.",
    )


def _varies(values: FloatArray) -> bool:
    return len(np.unique(values[np.isfinite(values)])) > 1


def _chart(table: Table) -> Chart:
    marks = [
        Mark(x=row[3], y=f"{shown(str(row[0]))}, {shown(str(row[1]))}", low=row[4], high=row[5], n=row[2])  # type: ignore[arg-type]
        for row in table.rows[:25]
    ]
    return Chart(
        key="features",
        title="What one feature alone tells of a label",
        kind="interval",
        series=(Series(marks=tuple(marks)),),
        x_title="AUC; 0.5 is nothing",
        reference=0.5,
    )


def _result(findings: Sequence[Finding], tables: Sequence[Table], charts: Sequence[Chart]) -> CheckResult:
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="A random forest is trained on facts that need no eye for the finding: size, shape and bytes of the "
        "file, mean colour, histogram, contrast, sharpness, border, corners, shares of black and white. Their area "
        "under the ROC curve (mean over the labels) is measured in five-fold cross-validation that keeps groups "
        "together, and in one that does not: the difference is what a random split leaks. Intervals by bootstrap over "
        "groups; p-values of single features adjusted by Benjamini and Hochberg.",
        references=(
            "Winkler 2019, doi:10.1001/jamadermatol.2019.1735",
            "Kapoor 2023, doi:10.1016/j.patter.2023.100804",
        ),
        findings=tuple(findings),
        tables=tuple(tables),
        charts=tuple(charts),
    )


CHECK = Check("trivial_feature", "Trivial features", "How far does one get without looking at the finding?", run)
