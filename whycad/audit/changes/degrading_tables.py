"""Findings, table and charts of worse images."""

from __future__ import annotations

import numpy as np

from whycad.audit.bootstrap import Estimate
from whycad.audit.change_stats import Effect, interval_words
from whycad.audit.changes.corrupt import CORRUPTIONS, IN_HU, STRENGTHS
from whycad.audit.changes.degrading import JUDGED_AT, MEASURES, WORTH_A_LOOK, Curve, Degraded, severity_of
from whycad.audit.changes.words import listed
from whycad.audit.context import AuditContext
from whycad.audit.findings import Chart, Column, Finding, Mark, Series, Severity, Table

CHECK_ID = "robustness"
TITLES = {
    "balanced_accuracy": "Balanced accuracy",
    "auroc": "AUROC",
    "withheld": "Referred or rejected",
    "error_reported": "Errors among reported cases",
}
N_CASES = 12


def strengths_of(context: AuditContext, kind: str) -> tuple[str, ...]:
    """Return a corruption's five strengths in physical terms."""
    hounsfield = context.manifest.input.value_range[0] < -500
    return IN_HU.get(kind, CORRUPTIONS[kind].strengths) if hounsfield else CORRUPTIONS[kind].strengths


def degraded_findings(context: AuditContext, found: list[Degraded]) -> list[Finding]:
    """Return one finding per corruption that matters, and one for all others."""
    least = context.options.least_n
    enough = [one for one in found if one.accuracy.n >= least]
    loud = [one for one in enough if severity_of(one) is not Severity.OK]
    quiet = [one for one in enough if one not in loud]
    loud.sort(key=lambda one: (severity_of(one) is not Severity.CRITICAL, one.accuracy.value))
    findings = [_loud(context, one) for one in loud]
    if quiet:
        findings.append(_quiet(context, quiet))
    few = [one for one in found if one not in enough]
    if few:
        findings.append(_few(few, least))
    return findings


def _loud(context: AuditContext, one: Degraded) -> Finding:
    kind, how = CORRUPTIONS[one.kind], strengths_of(context, one.kind)[JUDGED_AT - 1]
    effect = one.accuracy
    return Finding(
        check=CHECK_ID,
        severity=severity_of(one),
        message=f"{kind.title} ({how}): balanced accuracy {_changes(effect)}; {_withheld(one)}; {_errors(context, one)}.",
        column=one.kind,
        effect=effect.value,
        effect_name=f"change in balanced accuracy at strength {JUDGED_AT}",
        ci_low=effect.low,
        ci_high=effect.high,
        n=effect.n,
        cases=context.ids(one.rows, N_CASES),
        n_cases=len(one.rows),
    )


def _changes(effect: Effect) -> str:
    verb = "falls" if effect.value < 0 else "rises"
    ends = (effect.low or 0.0, effect.high or 0.0)
    where = interval_words(-ends[1], -ends[0]) if effect.value < 0 else interval_words(*ends)
    return f"{verb} by {abs(effect.value):.2f} ({where})"


def _withheld(one: Degraded) -> str:
    effect = one.withheld
    if one.notices:
        return f"the task notices: {effect.value:.0%} more are referred or rejected"
    return f"referred or rejected are {effect.value * 100:+.0f} in a hundred, no clear rise"


def _errors(context: AuditContext, one: Degraded) -> str:
    effect = one.error
    if effect.n < context.options.least_n or not np.isfinite(effect.value):
        return f"errors among the reported cases: not established, {one.n_reported} are reported"
    return f"errors among the reported cases change by {effect.value:+.2f} ({interval_words(effect.low, effect.high)})"


def _quiet(context: AuditContext, quiet: list[Degraded]) -> Finding:
    worst = min(quiet, key=lambda one: one.accuracy.value)
    names = listed([CORRUPTIONS[one.kind].title.lower().replace("jpeg", "JPEG") for one in quiet])
    return Finding(
        check=CHECK_ID,
        severity=Severity.OK,
        message=f"At strength {JUDGED_AT}, {names} neither lower balanced accuracy nor raise errors among the reported "
        f"cases by {WORTH_A_LOOK:.2f} or more beyond chance; at most it {_changes(worst.accuracy)}.",
        effect=worst.accuracy.value,
        effect_name="largest change in balanced accuracy",
        ci_low=worst.accuracy.low,
        ci_high=worst.accuracy.high,
        n=worst.accuracy.n,
    )


def _few(few: list[Degraded], least: int) -> Finding:
    names = listed([CORRUPTIONS[one.kind].title for one in few])
    n = max(one.accuracy.n for one in few)
    rejected = all(one.withheld.value > 0.5 for one in few if np.isfinite(one.withheld.value))
    why = "the task refuses most of the images" if rejected and n else f"{n} of the {least} images that it takes"
    return Finding(
        check=CHECK_ID, severity=Severity.UNKNOWN, message=f"{names}: effect not established, {why}.", n=n
    )


def degraded_table(context: AuditContext, curves: list[Curve]) -> Table:
    """Return every measure at every strength with its interval."""
    rows: list[tuple[str | int | float | None, ...]] = []
    for curve in curves:
        names = ("as they are", *strengths_of(context, curve.kind))
        for strength, (name, point) in enumerate(zip(names, curve.points, strict=True)):
            figures = [cell for measure in MEASURES for cell in _cells(point.get(measure))]
            rows.append((CORRUPTIONS[curve.kind].title, strength, name, *figures))
    titles = [(measure, TITLES[measure]) for measure in MEASURES]
    more = [
        Column(key=f"{key}{part}", title=f"{title}{words}")
        for key, title in titles
        for part, words in (("", ""), ("_low", ", 95 % from"), ("_high", ", to"))
    ]
    first = (Column(key="kind", title="Corruption"), Column(key="strength", title="Strength", decimals=0))
    return Table(
        key="corruptions",
        title=f"Measures by corruption and strength, {curves[0].n if curves else 0} images",
        columns=(*first, Column(key="physical", title="Which is"), *more),
        rows=tuple(rows),
    )


def _cells(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    if estimate is None or not np.isfinite(estimate.value):
        return None, None, None
    low, high = estimate.interval or (None, None)
    return float(estimate.value), low, high


def degraded_charts(curves: list[Curve]) -> tuple[Chart, ...]:
    """Return one chart per measure, a line per corruption."""
    charts = []
    for measure in MEASURES:
        series = tuple(
            Series(name=CORRUPTIONS[curve.kind].title, marks=marks)
            for curve in curves
            if (marks := _marks(curve, measure))
        )
        if series:
            charts.append(
                Chart(
                    key=measure,
                    title=f"{TITLES[measure]} by strength",
                    kind="line",
                    series=series,
                    x_title=f"strength, 0 to {STRENGTHS[-1]}",
                    y_title=TITLES[measure],
                )
            )
    return tuple(charts)


def _marks(curve: Curve, measure: str) -> tuple[Mark, ...]:
    found = []
    for strength, point in enumerate(curve.points):
        value, low, high = _cells(point.get(measure))
        if value is not None:
            found.append(Mark(x=strength, y=value, low=low, high=high, n=curve.n))
    return tuple(found)
