"""How good the model is: ranking, answers, operating points, per class, and how far its members differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whycad.audit.bootstrap import Estimate, FloatArray, share_interval
from whycad.audit.checks import Check
from whycad.audit.checks.performance_charts import (
    auroc_chart,
    confusion_chart,
    curve_charts,
    headline_table,
    member_table,
    per_class_table,
    point_table,
)
from whycad.audit.context import AuditContext
from whycad.audit.findings import CheckResult, Finding, Severity
from whycad.audit.judged import Judged, Target, figure, judged_cases, listed, metric, with_estimate
from whycad.audit.measures import auroc_of, mean_of
from whycad.audit.model_stats import (
    accuracies,
    auprc_of,
    confusion_of,
    estimate_panel,
    f1_scores,
    kappa,
    matthews,
    mean_known,
    panel_of,
    precisions,
    recalls,
    specificities,
)
from whycad.audit.words import within_sentence
from whycad.types import TaskKind

# Below 0.7 discrimination is called poor in the field (Hosmer 2013); 0.5 is chance.
POOR_AUROC, CHANCE_AUROC = 0.7, 0.5
# A label that must not be missed and is missed in more than half of its cases.
HALF = 0.5
# A promised sensitivity missed by this much changes how a tool is used.
FAR_BELOW_PROMISE = 0.1
# Members that differ by more than this rank cases differently enough that one seed decides.
WIDE_SPREAD = 0.03
# Every draw ranks all members' answers anew; a spread needs no more.
SPREAD_DRAWS = 200
SUMMARY = ("accuracy", "balanced_accuracy", "mcc", "kappa", "macro_f1")
METHOD = (
    "Ranking is measured by the areas under the ROC and the precision-recall curve, one class against the rest; the "
    "task's own rule gives the answers that accuracy, Matthews' correlation and kappa are computed of. Kappa has "
    "quadratic weights where the labels are ordered. Intervals are 95 % bootstrap intervals over groups; shares of "
    "exactly 0 or 1 have Wilson's. Members are those of the shipped ensemble: they may share a training run, so their "
    "spread is a lower bound of that between independent runs."
)
REFERENCES = (
    "Hosmer 2013, Applied Logistic Regression, doi:10.1002/9781118548387",
    "Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006",
    "Cohen 1968, doi:10.1037/h0026256",
    "Davis 2006, doi:10.1145/1143844.1143874",
    "Maier-Hein 2024, Metrics reloaded, doi:10.1038/s41592-023-02151-z",
)


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class; ``n`` cases have it."""

    code: str
    name: str
    n: int
    n_groups: int
    sensitivity: Estimate
    specificity: Estimate
    precision: Estimate
    f1: Estimate


@dataclass(frozen=True)
class TargetFigures:
    """Areas under the curves of one question."""

    target: Target
    auroc: Estimate
    auprc: Estimate


@dataclass(frozen=True)
class PointFigures:
    """What one operating point achieves; ``promised`` is its sensitivity by the manifest."""

    name: str
    threshold: float
    promised: float
    n_positive: int
    n_negative: int
    sensitivity: Estimate
    specificity: Estimate


def run(context: AuditContext) -> CheckResult:
    """Measure performance."""
    cases = judged_cases(context)
    summary, classes = answer_figures(cases)
    targets, macro = ranking_figures(cases)
    points = operating_figures(cases)
    members = member_figures(cases)
    findings = [
        *_headlines(cases, macro, summary),
        *_class_findings(cases, targets, classes),
        *_point_findings(cases, points),
        *_member_finding(members, member_spread(cases), len(cases)),
        *_few_groups(cases),
        *_unscored(context),
    ]
    metrics = {name: metric(estimate, len(cases)) for name, estimate in summary.items()}
    if macro is not None:
        metrics["macro_auroc"] = metric(macro, len(cases))
    for row in targets:
        metrics[f"auroc/{row.target.key}"] = metric(row.auroc, len(cases))
        metrics[f"auprc/{row.target.key}"] = metric(row.auprc, len(cases))
    for one in classes:
        metrics[f"sensitivity/{one.code}"] = metric(one.sensitivity, one.n)
    for point in points:
        metrics[f"point_sensitivity/{point.name}"] = metric(point.sensitivity, point.n_positive)
        metrics[f"point_specificity/{point.name}"] = metric(point.specificity, point.n_negative)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(findings),
        tables=(
            headline_table(macro, summary, len(cases)),
            per_class_table(cases, classes, targets),
            *point_table(points),
            *member_table(members),
        ),
        charts=(auroc_chart(targets), *curve_charts(targets), confusion_chart(cases)),
        metrics=metrics,
        note="The cases are simulated." if context.answers.simulated else "",
    )


def answer_figures(cases: Judged) -> tuple[dict[str, Estimate], list[ClassFigures]]:
    """Return what the rule's answers achieve, over all and per class."""
    k = len(cases.codes)
    confusion = confusion_of(cases.label, cases.predicted, k)
    ordinal = cases.manifest.kind is TaskKind.ORDINAL

    def panel(weights: FloatArray) -> FloatArray:
        c = confusion(weights)
        per_class = [recalls(c), specificities(c), precisions(c), f1_scores(c)]
        summary = [accuracies(c), mean_known(recalls(c)), matthews(c), kappa(c, ordinal=ordinal)]
        return np.hstack([np.stack([*summary, mean_known(f1_scores(c))], axis=1), *per_class])

    found, _ = estimate_panel(cases.bootstrap(), panel, len(cases))
    own = [found[len(SUMMARY) + i * k : len(SUMMARY) + (i + 1) * k] for i in range(4)]
    classes = []
    for index, code in enumerate(cases.codes):
        has = cases.label == index
        n_groups = len(np.unique(cases.groups[has]))
        sensitivity, specificity = (
            Estimate(e.value, share_interval(e, n), e.standard_error)
            for e, n in ((own[0][index], n_groups), (own[1][index], len(np.unique(cases.groups[~has]))))
        )
        figures = ClassFigures(
            code, cases.name(code), int(has.sum()), n_groups, sensitivity, specificity, own[2][index], own[3][index]
        )
        classes.append(figures)
    return dict(zip(SUMMARY, found, strict=False)), classes


def ranking_figures(cases: Judged) -> tuple[list[TargetFigures], Estimate | None]:
    """Return the areas of every question, and the mean AUROC; None where no question can be asked. Made once."""
    found = cases.context.once("ranking", lambda: _ranking(cases))
    assert isinstance(found, tuple)
    return found


def _ranking(cases: Judged) -> tuple[list[TargetFigures], Estimate | None]:
    targets = cases.targets()
    if not targets:
        return [], None
    aurocs = panel_of([auroc_of(target.scores, target.positive) for target in targets])
    auprcs = panel_of([auprc_of(target.scores, target.positive) for target in targets])

    def panel(weights: FloatArray) -> FloatArray:
        ranks = aurocs(weights)
        return np.hstack([mean_known(ranks)[:, None], ranks, auprcs(weights)])

    found, _ = estimate_panel(cases.bootstrap(), panel, len(cases))
    n = len(targets)
    rows = zip(targets, found[1 : n + 1], found[n + 1 :], strict=True)
    return [TargetFigures(*row) for row in rows], found[0]


def operating_figures(cases: Judged) -> list[PointFigures]:
    """Return what the stored thresholds achieve."""
    stored = cases.context.calibration.operating_points
    found = []
    for point, target in zip(cases.manifest.operating_points, cases.point_targets(), strict=True):
        if point.name not in stored or not target.fewest:
            continue
        flagged = target.scores >= stored[point.name].threshold
        panel = panel_of([mean_of(flagged, target.positive), mean_of(~flagged, ~target.positive)])
        (sensitivity, specificity), _ = estimate_panel(cases.bootstrap(), panel, len(cases))
        groups = [len(np.unique(cases.groups[part])) for part in (target.positive, ~target.positive)]
        found.append(
            PointFigures(
                cases.point_name(point.name),
                stored[point.name].threshold,
                point.sensitivity,
                int(target.positive.sum()),
                int((~target.positive).sum()),
                Estimate(sensitivity.value, share_interval(sensitivity, groups[0]), sensitivity.standard_error),
                Estimate(specificity.value, share_interval(specificity, groups[1]), specificity.standard_error),
            )
        )
    return found


def member_figures(cases: Judged) -> dict[str, FloatArray]:
    """Return the mean AUROC and the balanced accuracy of every member ``(m,)``."""
    from whycad.uncertainty.decision import predicted_indices

    once = np.ones((1, len(cases)))
    prior, k = cases.context.calibration.prior, len(cases.codes)
    positives = {target.key: target.positive for target in cases.targets()}
    aurocs, balanced = [], []
    for member in cases.members:
        parts = [auroc_of(member[:, cases.codes.index(code)], yes)(once)[0] for code, yes in positives.items()]
        aurocs.append(float(np.mean(parts)) if parts else float("nan"))
        answers = predicted_indices(member, cases.manifest, prior)
        balanced.append(float(mean_known(recalls(confusion_of(cases.label, answers, k)(once)))[0]))
    return {"macro_auroc": np.array(aurocs), "balanced_accuracy": np.array(balanced)}


def _headlines(cases: Judged, macro: Estimate | None, summary: dict[str, Estimate]) -> list[Finding]:
    if macro is None:
        words = "Ranking cannot be measured: all cases have the same label."
        return [Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=words, n=len(cases))]
    targets = cases.targets()
    severity = _auroc_severity(macro, targets[0].fewest if len(targets) == 1 else len(cases), cases.least_n)
    what = "Mean AUROC over the classes" if len(cases.codes) > 2 else f"AUROC for {within_sentence(targets[0].name)}"
    balanced = summary["balanced_accuracy"]
    message = f"{what} is {figure(macro)}; balanced accuracy is {figure(balanced)}."
    first = Finding(
        check=CHECK.id, severity=severity, message=message, effect_name="AUROC", no_effect=CHANCE_AUROC, n=len(cases)
    )
    return [with_estimate(first, macro)]


def _auroc_severity(auroc: Estimate, n: int, least_n: int) -> Severity:
    if n < least_n or auroc.interval is None:
        return Severity.UNKNOWN
    low, high = auroc.interval
    if low <= CHANCE_AUROC:
        return Severity.CRITICAL
    return Severity.WARNING if high < POOR_AUROC or auroc.value < POOR_AUROC else Severity.OK


def _class_findings(cases: Judged, targets: list[TargetFigures], classes: list[ClassFigures]) -> list[Finding]:
    """Return what stands out per class, and the classes with too few cases."""
    found = []
    for row in targets if len(cases.codes) > 2 else []:
        severity = _auroc_severity(row.auroc, int(row.target.positive.sum()), cases.least_n)
        if severity in (Severity.WARNING, Severity.CRITICAL):
            message = f"{row.target.name} is told from the rest with an AUROC of only {figure(row.auroc)}."
            n = int(row.target.positive.sum())
            one = Finding(check=CHECK.id, severity=severity, message=message, label=row.target.key, n=n)
            one = one.model_copy(update={"effect_name": "AUROC", "no_effect": CHANCE_AUROC})
            found.append(with_estimate(one, row.auroc))
    for one_class in classes:
        found += _missed(cases, one_class)
    few = [f"{c.name} (n = {c.n})" for c in classes if c.n < cases.least_n]
    if few:
        message = f"Not established, too few cases: {listed(few, 8)}; {cases.least_n} are needed."
        n = min(c.n for c in classes)
        found.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=n))
    return found


def _missed(cases: Judged, figures: ClassFigures) -> list[Finding]:
    """Say so where a label that must not be missed is missed more often than not."""
    interval = figures.sensitivity.interval
    serious = cases.manifest.label(figures.code).must_not_miss
    if not serious or figures.n < cases.least_n or interval is None or interval[1] >= HALF:
        return []
    missed = (cases.label == cases.codes.index(figures.code)) & cases.wrong
    share = figure(figures.sensitivity)
    message = f"{figures.name} must not be missed, but the answer is right in only {share} of its cases."
    found = Finding(
        check=CHECK.id, severity=Severity.CRITICAL, message=message, label=figures.code, effect_name="sensitivity"
    )
    update = {"n": figures.n, "cases": cases.worst_first(missed), "n_cases": int(missed.sum()), "no_effect": HALF}
    return [with_estimate(found.model_copy(update=update), figures.sensitivity)]


def _point_findings(cases: Judged, points: list[PointFigures]) -> list[Finding]:
    found = []
    for point in points:
        severity = _point_severity(point, cases.least_n)
        kept = "short of" if severity in (Severity.WARNING, Severity.CRITICAL) else "for"
        message = (
            f"Operating point: the threshold for {point.name} has a sensitivity of {figure(point.sensitivity)} {kept} "
            f"a promised {point.promised:.2f}, and a specificity of {figure(point.specificity)}."
        )
        if severity is Severity.UNKNOWN:
            message = (
                f"Operating point: what the threshold for {point.name} does is not established, {point.n_positive} "
                "positive cases."
            )
        one = Finding(check=CHECK.id, severity=severity, message=message, effect_name="sensitivity of the threshold")
        one = one.model_copy(update={"n": point.n_positive, "no_effect": point.promised})
        found.append(with_estimate(one, point.sensitivity))
    return found


def _point_severity(point: PointFigures, least_n: int) -> Severity:
    if point.n_positive < least_n or point.sensitivity.interval is None:
        return Severity.UNKNOWN
    high = point.sensitivity.interval[1]
    if high < point.promised - FAR_BELOW_PROMISE:
        return Severity.CRITICAL
    return Severity.WARNING if high < point.promised else Severity.OK


def member_spread(cases: Judged) -> Estimate | None:
    """Return the standard deviation of the members' mean AUROC; None where there is one member or one label."""
    targets = cases.targets()
    if len(cases.members) < 2 or not targets:
        return None
    panels = [
        panel_of([auroc_of(member[:, cases.codes.index(target.key)], target.positive) for target in targets])
        for member in cases.members
    ]

    def panel(weights: FloatArray) -> FloatArray:
        means = np.stack([mean_known(one(weights)) for one in panels], axis=1)
        return np.asarray(means.std(axis=1, ddof=1))[:, None]

    return estimate_panel(cases.bootstrap(SPREAD_DRAWS), panel, len(cases))[0][0]


def _member_finding(members: dict[str, FloatArray], spread: Estimate | None, n: int) -> list[Finding]:
    """Say how far the members differ."""
    if spread is None:
        return []
    values = members["macro_auroc"]
    mean, sd = values.mean(), figure(spread, 3)
    message = f"The {len(values)} members have an AUROC of {mean:.3f} on average, standard deviation {sd}."
    surely = spread.interval is not None and spread.interval[0] > WIDE_SPREAD
    one = Finding(check=CHECK.id, severity=Severity.WARNING if surely else Severity.OK, message=message, n=n)
    return [with_estimate(one.model_copy(update={"effect_name": "standard deviation of the AUROC"}), spread)]


def _few_groups(cases: Judged) -> list[Finding]:
    """Warn of intervals that rest on few patients or lesions, however many images those have."""
    n_groups = len(np.unique(cases.groups))
    if n_groups >= cases.least_n or len(cases) < cases.least_n:
        return []
    message = f"All intervals rest on only {n_groups} groups ({len(cases)} images) and may be too narrow."
    return [Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=n_groups)]


def _unscored(context: AuditContext) -> list[Finding]:
    """Say how many cases have no answer, since they are in no denominator."""
    without = ~context.answers.scored
    failed = int((context.answers.error != "").sum())
    if not without.any():
        return []
    n_without = int(without.sum())
    why = f"{failed:,} failed, {n_without - failed:,} refused"
    message = f"{n_without:,} of {len(without):,} cases got no answer ({why})."
    return [
        Finding(
            check=CHECK.id,
            severity=Severity.WARNING if failed else Severity.OK,
            message=message,
            effect=float(without.mean()),
            effect_name="share without an answer",
            n=len(without),
            cases=context.ids(without),
            n_cases=n_without,
        )
    ]


CHECK = Check("performance", "Performance", "How good are the model's answers, over all and per class?", run)
