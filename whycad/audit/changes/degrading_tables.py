"""Findings, table and charts of worse images."""

from __future__ import annotations

import numpy as np

from whycad.audit.bootstrap import Estimate
from whycad.audit.change_stats import Effect, interval_words, size_words
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
    """Return one finding per corruption that matters, one of those that do little, and one of the rest."""
    least = context.options.least_n
    enough = [one for one in found if one.accuracy.n >= least]
    loud = [one for one in enough if severity_of(one) is not Severity.OK]
    quiet = [one for one in enough if one not in loud]
    loud.sort(key=lambda one: (severity_of(one) is not Severity.CRITICAL, one.accuracy.value))
    findings = [_loud(context, one) for one in loud]
    harmless = [one for one in quiet if _loss(one) < WORTH_A_LOOK]
    open_ones = [one for one in quiet if one not in harmless]
    if harmless:
        findings.append(_harmless(harmless))
    if open_ones:
        findings.append(_not_harmless(open_ones))
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
        message=f"{kind.title} ({how}): balanced accuracy {_changes(effect)}; {_withheld(one)}; "
        f"{_errors(context, one)}.",
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
    return f"{verb} by {abs(effect.value):.2f} ({size_words(effect)})"


def _withheld(one: Degraded) -> str:
    effect = one.withheld
    where = interval_words(effect.low, effect.high)
    if one.notices:
        return f"the task notices, the share that is referred or rejected rises by {effect.value:.2f} ({where})"
    return f"the share that is referred or rejected does not clearly rise ({effect.value:+.2f}, {where})"


def _errors(context: AuditContext, one: Degraded) -> str:
    effect = one.error
    if effect.n < context.options.least_n or not np.isfinite(effect.value):
        return f"errors among the reported cases: not established, {one.n_reported} are reported"
    return f"errors among the reported cases change by {effect.value:+.2f} ({interval_words(effect.low, effect.high)})"


def _loss(one: Degraded) -> float:
    """Return how far balanced accuracy may have fallen by its interval; infinite where there is none."""
    return float("inf") if one.accuracy.low is None else -one.accuracy.low


def _names(found: list[Degraded]) -> str:
    return listed([CORRUPTIONS[one.kind].title.lower().replace("jpeg", "JPEG") for one in found])


def _harmless(found: list[Degraded]) -> Finding:
    """Say that corruptions cost little, which their intervals show."""
    worst = min((one.accuracy for one in found), key=lambda effect: effect.value)
    return Finding(
        check=CHECK_ID,
        severity=Severity.OK,
        message=f"At strength {JUDGED_AT}, balanced accuracy falls by less than {WORTH_A_LOOK:.2f} with "
        f"{_names(found)}, and errors among the reported cases do not clearly rise; the largest change in balanced "
        f"accuracy is {worst.value:+.2f} ({interval_words(worst.low, worst.high)}).",
        effect=worst.value,
        effect_name="largest change in balanced accuracy",
        ci_low=worst.low,
        ci_high=worst.high,
        n=worst.n,
    )


def _not_harmless(found: list[Degraded]) -> Finding:
    """Name the corruptions that are neither shown to matter nor shown not to."""
    found = sorted(found, key=lambda one: -_loss(one))
    worst = found[0].accuracy
    size = f"by as much as {_loss(found[0]):.2f}" if worst.low is not None else "by an unknown amount"
    first = f"{_names(found[:1])}, " if len(found) > 1 else ""
    return Finding(
        check=CHECK_ID,
        severity=Severity.UNKNOWN,
        message=f"Not shown to be harmless at strength {JUDGED_AT}: {_names(found)}; balanced accuracy could fall "
        f"{size} ({first}n = {worst.n}).",
        effect=float(worst.value) if np.isfinite(worst.value) else None,
        effect_name="change in balanced accuracy",
        ci_low=worst.low,
        ci_high=worst.high,
        n=worst.n,
    )


def _few(few: list[Degraded], least: int) -> Finding:
    names = listed([CORRUPTIONS[one.kind].title for one in few])
    n = max(one.accuracy.n for one in few)
    rejected = all(one.withheld.value > 0.5 for one in few if np.isfinite(one.withheld.value))
    why = "the task refuses most of the images" if rejected and n else f"{n} of the {least} images that it takes"
    return Finding(check=CHECK_ID, severity=Severity.UNKNOWN, message=f"{names}: effect not established, {why}.", n=n)


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
