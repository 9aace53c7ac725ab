"""Findings, table and charts of artefacts that were put in or taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from whycad.audit.change_stats import Effect, interval_words, size_words
from whycad.audit.changes.paired import LARGE, OWN, Paired
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
    """Return one finding per artefact that matters, the largest first; one of those that do little; one of the rest."""
    least = context.options.least_n
    enough = [kind for kind in found.kinds if found.leading(kind)[1].n >= least]
    few = [kind for kind in found.kinds if kind not in enough]
    loud = [kind for kind in enough if found.severity(kind, found.leading(kind)[0]) is not Severity.OK]
    quiet = [kind for kind in enough if kind not in loud]
    findings = sorted((_loud(context, found, kind, wording) for kind in loud), key=lambda one: -abs(one.effect or 0))
    small = [kind for kind in quiet if _farthest(found, kind).far_end < LARGE]
    open_ones = [kind for kind in quiet if kind not in small]
    if small:
        findings.append(_small(found, small, wording))
    if open_ones:
        findings.append(_not_small(found, open_ones, wording))
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


def _farthest(found: Paired, kind: str) -> Effect:
    """Return an artefact's change against the image itself that may be largest."""
    return max((found.plain[kind, code] for code in found.codes), key=lambda effect: effect.far_end)


def _control_is_louder(found: Paired, kind: str, code: str) -> bool:
    """Tell whether an artefact's control clearly moves a probability further than the artefact does."""
    effect, plain = found.effects[kind, code], found.plain[kind, code]
    return effect.sure and abs(effect.value) >= OWN and abs(plain.value - effect.value) > abs(plain.value)


def _severity_shown(found: Paired, kind: str, code: str) -> Severity:
    """Return the severity, where a change that is not shown to be small is not called fine."""
    severity = found.severity(kind, code)
    return Severity.UNKNOWN if severity is Severity.OK and found.plain[kind, code].far_end >= LARGE else severity


def _small(found: Paired, kinds: list[str], wording: Wording) -> Finding:
    """Say that artefacts move no probability by much, which their intervals show."""
    pairs = [(found.plain[kind, code], kind) for kind in kinds for code in found.codes]
    plain, kind = max(pairs, key=lambda pair: abs(pair[0].value))
    by = f", by {wording.name(kind)}" if len(kinds) > 1 else ""
    return Finding(
        check=wording.check,
        severity=Severity.OK,
        message=f"{upper_first(wording.doing)} {wording.names(kinds)} moves no probability by {LARGE:.2f} or more on "
        f"average; the largest change is {plain.value:+.2f} ({interval_words(plain.low, plain.high)}){by}"
        f"{_louder_control(found, kinds, wording)}.",
        effect=_number(plain.value),
        effect_name="largest change in probability",
        ci_low=plain.low,
        ci_high=plain.high,
        n=plain.n,
    )


def _louder_control(found: Paired, kinds: list[str], wording: Wording) -> str:
    """Say where a control moves a probability further than the artefact: the clearest difference."""
    pairs = [(kind, code) for kind in kinds for code in found.codes if _control_is_louder(found, kind, code)]
    if not pairs:
        return ""
    effect, kind = max(((found.effects[pair], pair[0]) for pair in pairs), key=lambda item: abs(item[0].value))
    size = f"{effect.value:+.2f}, {interval_words(effect.low, effect.high)}"
    return f"; a control of equal size moves a probability further ({wording.name(kind)} less control: {size})"


def _not_small(found: Paired, kinds: list[str], wording: Wording) -> Finding:
    """Name the artefacts that are neither shown to matter nor shown not to."""
    kinds = sorted(kinds, key=lambda kind: -_farthest(found, kind).far_end)
    plain = _farthest(found, kinds[0])
    verbs = [" could move a probability", *[""] * (len(kinds) - 1)]
    named = [f"{wording.name(kind)}{verb} {_size(found, kind)}" for kind, verb in zip(kinds, verbs, strict=True)]
    return Finding(
        check=wording.check,
        severity=Severity.UNKNOWN,
        message=f"Not shown to be small: {wording.doing} {listed(named)}.",
        effect=_number(plain.value),
        effect_name="change in probability",
        ci_low=plain.low,
        ci_high=plain.high,
        n=plain.n,
    )


def _size(found: Paired, kind: str) -> str:
    """Say how far an artefact may move a probability: ``by up to 0.17 (n = 30)``."""
    code = max(found.codes, key=lambda one: found.plain[kind, one].far_end)
    effect, plain = found.effects[kind, code], found.plain[kind, code]
    size = f"by up to {plain.far_end:.2f}" if plain.low is not None else "by an unknown amount"
    control = ""
    if _control_is_louder(found, kind, code):
        control = "; a control moves it further"
    elif plain.sure and not effect.sure:
        control = "; not clearly more than a control"
    return f"{size} (n = {plain.n}{control})"


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
        severity=_severity_shown(found, kind, code) if enough else Severity.UNKNOWN,
        cases=found.clearest(context, kind, code),
    )
