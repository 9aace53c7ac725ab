"""Findings, table and charts of artefacts that were put in or taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from whycad.audit.change_stats import Effect, interval_words, size_words
from whycad.audit.changes.paired import WORTH_A_LOOK, Paired
from whycad.audit.changes.words import label_words, listed, rises, upper_first
from whycad.audit.context import AuditContext
from whycad.audit.findings import Chart, Column, Finding, Mark, Series, Severity, Table
from whycad.wording import percent

OFTEN_REFUSED = 0.5


@dataclass(frozen=True)
class Wording:
    """How one check speaks of its changes.

    Attributes
    ----------
    check : str
    doing : str
        ``inserting`` or ``removing``.
    done : str
        ``inserted`` or ``removed``.
    name : callable
        An artefact within a sentence.
    """

    check: str
    doing: str
    done: str
    name: Callable[[str], str]

    def names(self, kinds: list[str]) -> str:
        """Return several artefacts in a row."""
        return listed([self.name(kind) for kind in kinds])


def paired_findings(context: AuditContext, found: Paired, wording: Wording) -> list[Finding]:
    """Return one finding per artefact that matters, the largest first, and one for all others."""
    least = context.options.least_n
    enough = [kind for kind in found.kinds if found.leading(kind)[1].n >= least]
    few = [kind for kind in found.kinds if kind not in enough]
    loud = [kind for kind in enough if found.severity(kind, found.leading(kind)[0]) is not Severity.OK]
    quiet = [kind for kind in enough if kind not in loud]
    findings = sorted((_loud(context, found, kind, wording) for kind in loud), key=lambda one: -abs(one.effect or 0))
    if quiet:
        findings.append(_quiet(found, quiet, wording))
    refused = [kind for kind in few if found.refused[found.kinds.index(kind)] > OFTEN_REFUSED]
    scarce = [kind for kind in few if kind not in refused]
    if refused:
        findings.append(_unknown(found, refused, wording, "the task refuses most of the images that were changed so"))
    if scarce:
        most = max(found.leading(kind)[1].n for kind in scarce)
        findings.append(_unknown(found, scarce, wording, f"{most} of the {least} images that it takes"))
    return findings


def _loud(context: AuditContext, found: Paired, kind: str, wording: Wording) -> Finding:
    code, effect = found.leading(kind)
    plain = found.plain[kind, code]
    with_it, with_control = (share or 0.0 for share in found.flip_shares(kind))
    cases = found.clearest(context, kind, code)
    return Finding(
        check=wording.check,
        severity=found.severity(kind, code),
        message=f"{upper_first(wording.doing)} {wording.name(kind)} {rises(plain.value)} the probability of "
        f"{label_words(code, context.manifest)} by {abs(plain.value):.2f} ({size_words(plain)}), "
        f"{abs(effect.value):.2f} more than a control of equal size ({size_words(effect)}); the answer changes in "
        f"{percent(with_it)} of the images, with the control in {percent(with_control)}.",
        column=kind,
        label=code,
        effect=effect.value,
        effect_name="change in probability against a control",
        ci_low=effect.low,
        ci_high=effect.high,
        n=effect.n,
        cases=cases,
        n_cases=int(np.isfinite(found.change[found.kinds.index(kind), :, 0]).sum()),
    )


def _quiet(found: Paired, quiet: list[str], wording: Wording) -> Finding:
    largest = max((found.leading(kind)[1] for kind in quiet), key=lambda effect: abs(np.nan_to_num(effect.value)))
    return Finding(
        check=wording.check,
        severity=Severity.OK,
        message=f"{upper_first(wording.doing)} {wording.names(quiet)} moves no probability by {WORTH_A_LOOK:.2f} or "
        f"more beyond chance and further than a control; the largest change against one is {largest.value:+.2f} "
        f"({interval_words(largest.low, largest.high)}).",
        effect=_number(largest.value),
        effect_name="largest change in probability against a control",
        ci_low=largest.low,
        ci_high=largest.high,
        n=largest.n,
    )


def _unknown(found: Paired, kinds: list[str], wording: Wording, why: str) -> Finding:
    n = max(found.leading(kind)[1].n for kind in kinds)
    return Finding(
        check=wording.check,
        severity=Severity.UNKNOWN,
        message=f"{upper_first(wording.names(kinds))}, {wording.done}: not established, {why}.",
        n=n,
    )


def paired_table(context: AuditContext, found: Paired, wording: Wording) -> Table:
    """Return every artefact's effect on every label."""
    rows, cases = [], []
    for (kind, code), effect in found.effects.items():
        refused = float(found.refused[found.kinds.index(kind)])
        figures = (_number(found.plain[kind, code].value), *_estimate(effect), effect.p, effect.n)
        rows.append((kind, code, *figures, *found.flip_shares(kind), refused))
        cases.append(found.clearest(context, kind, code))
    titles = {
        "plain": "Change",
        "effect": "Against the control",
        "low": "95 % from",
        "high": "to",
        "p": "p (Holm)",
        "n": "Images",
    }
    more = {"flips": "Answers changed", "flips_control": "with the control", "refused": "Refused"}
    return Table(
        key="effects",
        title=f"Change in probability by {wording.done} artefacts, against the control",
        columns=tuple(
            Column(key=key, title=title, decimals=4 if key == "p" else 3)
            for key, title in ({"artefact": "Artefact", "label": "Label"} | titles | more).items()
        ),
        rows=tuple(rows),
        cases=tuple(cases),
    )


def _estimate(effect: Effect) -> tuple[float | None, float | None, float | None]:
    return _number(effect.value), effect.low, effect.high


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def paired_charts(context: AuditContext, found: Paired, wording: Wording) -> tuple[Chart, ...]:
    """Return intervals for the label that is moved most, and a heat map of all labels."""
    known = {key: effect for key, effect in found.effects.items() if np.isfinite(effect.value)}
    if not known:
        return ()
    code = max(known.items(), key=lambda item: (item[1].sure, abs(item[1].value)))[0][1]
    own = sorted(((kind, e) for (kind, c), e in known.items() if c == code), key=lambda item: -abs(item[1].value))
    intervals = Chart(
        key="leading_label",
        title=f"Change in the probability of {label_words(code, context.manifest)} when an artefact is {wording.done}, "
        "against a control of equal size",
        kind="interval",
        series=(Series(marks=tuple(_mark(context, found, kind, code, effect) for kind, effect in own)),),
        x_title="change in probability",
        reference=0.0,
        note="95 % bootstrap intervals over groups.",
    )
    if len(found.codes) == 1:
        return (intervals,)
    cells = tuple(
        Mark(x=label, y=kind.replace("_", " "), z=effect.value, n=effect.n, cases=found.clearest(context, kind, label))
        for (kind, label), effect in known.items()
    )
    heat = Chart(
        key="all_labels",
        title=f"Change in every label's probability by every {wording.done} artefact",
        kind="heatmap",
        series=(Series(marks=cells),),
        x_title="label",
        y_title="artefact",
    )
    return intervals, heat


def _mark(context: AuditContext, found: Paired, kind: str, code: str, effect: Effect) -> Mark:
    enough = effect.n >= context.options.least_n
    return Mark(
        x=effect.value,
        y=kind.replace("_", " "),
        low=effect.low,
        high=effect.high,
        n=effect.n,
        severity=found.severity(kind, code) if enough else Severity.UNKNOWN,
        cases=found.clearest(context, kind, code),
    )
