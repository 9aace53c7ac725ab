"""Whether the model's features know of metadata and artefacts, and whether its answers follow what they know."""

from __future__ import annotations

import numpy as np

from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.checks.metadata_prediction import is_followed
from whycad.audit.checks.performance_charts import cells, estimate_columns, interval_mark
from whycad.audit.conditional import followed_columns
from whycad.audit.context import AuditContext
from whycad.audit.findings import Chart, CheckResult, Column, Finding, Series, Severity, Table
from whycad.audit.judged import Judged, figure, judged_cases, listed, with_estimate
from whycad.audit.probes import Probe, feature_probes

# From an AUROC of 0.7 on a probe is commonly said to know; from 0.9 on it knows nearly every case.
KNOWN, WELL_KNOWN = 0.7, 0.9
CHANCE = 0.5
MOST_FINDINGS = 6
METHOD = (
    "A logistic regression on principal components is asked to tell each metadata column from the model's last "
    "features, and another one from the picture alone (a picture of 16 x 16 pixels, light, sharpness, size), both "
    "tested on groups that they were not fitted on. The AUROC counts pairs of the same label only, so that a column "
    "is not known for going with the label. That features know an artefact is no fault by itself; it is "
    "flagged where answers also follow it among cases of the same label."
)
REFERENCES = (
    "Alain 2016, arXiv:1610.01644",
    "Glocker 2023, doi:10.1016/j.ebiom.2023.104467",
)


def run(context: AuditContext) -> CheckResult:
    """Probe the features."""
    cases = judged_cases(context)
    if context.features is None:
        raise CheckSkippedError("the model gives no features")
    if not cases.columns:
        raise CheckSkippedError("the data set has no metadata columns")
    probes = feature_probes(cases)
    used = {effect.level.column for effect in followed_columns(cases) if is_followed(effect)}
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(_findings(cases, probes, used)),
        tables=(_table(probes, used),),
        charts=(_chart(cases, probes, used),),
    )


def severity_of(probe: Probe, used: set[str]) -> Severity:
    """Return how a probe is to be read."""
    if not is_known(probe) or probe.level.column not in used:
        return Severity.OK
    return Severity.CRITICAL if probe.level.artefact and probe.features.value >= WELL_KNOWN else Severity.WARNING


def is_known(probe: Probe) -> bool:
    """Tell whether the features surely know a level."""
    interval = probe.features.interval
    return interval is not None and interval[0] > CHANCE and probe.features.value >= KNOWN


def _findings(cases: Judged, probes: list[Probe], used: set[str]) -> list[Finding]:
    if not probes:
        message = "Not established: no column has enough cases with and without."
        return [Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(cases))]
    best: dict[str, Probe] = {}
    for probe in sorted(probes, key=lambda one: -one.features.value):
        best.setdefault(probe.level.column, probe)
    flagged = [probe for probe in best.values() if severity_of(probe, used) is not Severity.OK]
    found = [_finding(cases, probe, used) for probe in flagged[:MOST_FINDINGS]]
    quiet = [probe for probe in best.values() if is_known(probe) and probe not in flagged]
    if quiet:
        names = listed([f"{p.level.column.replace('_', ' ')} (AUROC {figure(p.features)})" for p in quiet], 4)
        message = f"Features know of {names}, but among cases of the same label answers do not follow."
        found.append(Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases)))
    unknown = [p.level.column.replace("_", " ") for p in best.values() if not is_known(p)]
    if unknown:
        message = f"Features do not tell {listed(unknown)} (AUROC below {KNOWN})."
        found.append(Finding(check=CHECK.id, severity=Severity.OK, message=message, n=len(cases)))
    return found


def _finding(cases: Judged, probe: Probe, used: set[str]) -> Finding:
    difference = probe.difference.interval
    clearer = difference is not None and difference[0] > 0
    than = "more clearly than" if clearer else "no more clearly than"
    message = (
        f"Features know of {probe.level.column.replace('_', ' ')} (AUROC {figure(probe.features)}), {than} the picture "
        f"alone ({figure(probe.image)}), and answers follow it."
    )
    return with_estimate(
        Finding(
            check=CHECK.id,
            severity=severity_of(probe, used),
            message=message,
            column=probe.level.column,
            effect_name="AUROC of the probe, given the label",
            no_effect=CHANCE,
            n=probe.n,
            cases=cases.ids(probe.level.inside),
            n_cases=probe.level.n,
        ),
        probe.features,
    )


def _table(probes: list[Probe], used: set[str]) -> Table:
    return Table(
        key="probes",
        title="What can be told from features and from the picture",
        columns=(
            Column(key="column", title="Column"),
            Column(key="level", title="Level"),
            Column(key="n", title="n"),
            *estimate_columns("features", "AUROC from features"),
            *estimate_columns("image", "AUROC from the picture"),
            *estimate_columns("difference", "Difference"),
            Column(key="used", title="Answers follow it"),
        ),
        rows=tuple(
            (
                p.level.column,
                p.level.name,
                p.n,
                *cells(p.features),
                *cells(p.image),
                *cells(p.difference),
                "yes" if p.level.column in used else "no",
            )
            for p in probes
        ),
    )


def _chart(cases: Judged, probes: list[Probe], used: set[str]) -> Chart:
    shown = [p for p in probes if np.isfinite(p.features.value) and np.isfinite(p.image.value)]
    names = [f"{p.level.column.replace('_', ' ')}: {p.level.name}" for p in shown]
    features = [
        interval_mark(name, p.features, p.n, cases.ids(p.level.inside, 20)).model_copy(
            update={"severity": severity_of(p, used)}
        )
        for name, p in zip(names, shown, strict=True)
    ]
    image = [interval_mark(name, p.image, p.n) for name, p in zip(names, shown, strict=True)]
    return Chart(
        key="probes",
        title="What can be told, given the label",
        kind="interval",
        series=(
            Series(name="from features", marks=tuple(features)),
            Series(name="from the picture", marks=tuple(image)),
        ),
        x_title="AUROC among cases of the same label",
        reference=CHANCE,
    )


CHECK = Check(
    "feature_probe",
    "What features know",
    "Do the model's features know of metadata and artefacts more than they need?",
    run,
)
