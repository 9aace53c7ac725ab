"""Pictures that cannot be read, are empty, stand out, or were taken in another way than the rest."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import wilson_interval
from whycad.audit.checks import Check
from whycad.audit.context import AuditContext
from whycad.audit.data.cases import BoolArray
from whycad.audit.data_words import count
from whycad.audit.findings import MAX_CASES, CheckResult, Column, Finding, Severity, Table

# More unreadable images than this, and what is left may be another population.
MANY_UNREADABLE, MOST_UNREADABLE = 0.01, 0.2
CONSTANT = 0.01
GREY = 0.004

# Far outside of what isolation scores of the set vary by (median and MAD, as sigmas).
STRANGE = 6.0
N_TREES = 200


def run(context: AuditContext) -> CheckResult:
    """Count what is broken, empty, of another kind or strange."""
    facts = context.facts
    sound = facts.error == ""
    constant = sound & (facts.stat("contrast") < CONSTANT)
    findings = [_unreadable(context, ~sound), *_constant(context, constant), *_kinds(context, sound)]
    usable = np.flatnonzero(sound & ~constant)
    tables = []
    if len(usable) >= context.options.least_n:
        scores = strangeness(np.concatenate([facts.stats, facts.histogram], axis=1)[usable], context.options.seed)
        findings.append(_strange(context, usable, scores))
        tables.append(_table(context, usable, scores))
    else:
        message = f"Not established which images stand out: it takes {context.options.least_n} readable ones."
        findings.append(Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message, n=len(usable)))
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method="Every image is opened. Empty is one whose grey values hardly vary. Strange is one that an isolation "
        f"forest on size, light, colour, histogram, sharpness and border scores more than {STRANGE:g} robust standard "
        "deviations above the median. Kinds are colour or grey, and sizes. Intervals are Wilson's.",
        references=("Liu 2008, doi:10.1109/ICDM.2008.17",),
        findings=tuple(findings),
        tables=tuple(tables),
    )


def strangeness(features: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return isolation scores ``(n,)`` in robust standard deviations from their median."""
    from sklearn.ensemble import IsolationForest

    known = np.where(
        np.isfinite(features), features, np.nanmedian(np.where(np.isfinite(features), features, 0.0), axis=0)
    )
    scores = -IsolationForest(n_estimators=N_TREES, random_state=seed).fit(known).score_samples(known)
    middle = float(np.median(scores))
    spread = 1.4826 * float(np.median(np.abs(scores - middle)))
    return np.asarray((scores - middle) / max(spread, 1e-9))


def _share(context: AuditContext, flags: BoolArray, severity: Severity, message: str, column: str) -> Finding:
    rows, n = np.flatnonzero(flags), max(len(flags), 1)
    low, high = wilson_interval(len(rows) / n, n)
    return Finding(
        check=CHECK.id,
        severity=severity,
        message=message,
        column=column,
        effect=len(rows) / n,
        effect_name="share of images",
        ci_low=low,
        ci_high=high,
        n=len(flags),
        cases=tuple(str(name) for name in context.cases.ids[rows][:MAX_CASES]),
        n_cases=len(rows),
    )


def _unreadable(context: AuditContext, flags: BoolArray) -> Finding:
    n, share = int(flags.sum()), float(flags.mean())
    if not n:
        return _share(context, flags, Severity.OK, f"All {count(len(flags), 'image')} can be read.", "unreadable")
    severity = (
        Severity.CRITICAL if share > MOST_UNREADABLE else Severity.WARNING if share > MANY_UNREADABLE else Severity.OK
    )
    reasons = Counter(context.facts.error[flags].tolist()).most_common(2)
    why = "; ".join(f"{times:,} times: {reason.rstrip('.')}" for reason, times in reasons)
    message = f"{count(n, 'image')} of {len(flags):,} cannot be read and {'is' if n == 1 else 'are'} left out ({why})."
    return _share(context, flags, severity, message, "unreadable")


def _constant(context: AuditContext, flags: BoolArray) -> list[Finding]:
    n = int(flags.sum())
    if not n:
        return []
    message = f"{count(n, 'image')} {'is' if n == 1 else 'are'} empty: the grey values hardly vary."
    return [_share(context, flags, Severity.WARNING, message, "empty")]


def _kinds(context: AuditContext, sound: BoolArray) -> list[Finding]:
    """Report strays and mixtures of colour and grey, and of sizes."""
    facts = context.facts
    grey = sound & (facts.stat("colourfulness") < GREY)
    colour = sound & ~grey
    found = []
    few, name = (grey, "grey") if grey.sum() <= colour.sum() else (colour, "in colour")
    if few.any():
        message = (
            f"{count(int(few.sum()), 'image')} of {int(sound.sum()):,} {'is' if few.sum() == 1 else 'are'} {name}, "
            "the others not: mixed acquisition."
        )
        found.append(_share(context, few, Severity.WARNING, message, "colour or grey"))
    sizes = Counter(map(tuple, facts.stats[sound, :2].tolist()))
    if len(sizes) > 1:
        (height, width), n = sizes.most_common(1)[0]
        other = sound & ~((facts.stat("height_px") == height) & (facts.stat("width_px") == width))
        message = (
            f"Pictures have {len(sizes):,} sizes; {n:,} of {int(sound.sum()):,} are {width:.0f} x {height:.0f} "
            "pixels. Whether size goes with the label is asked under sources and trivial features."
        )
        found.append(_share(context, other, Severity.OK, message, "size"))
    if not found and sound.any():
        found.append(
            _share(context, np.zeros(len(sound), bool), Severity.OK, "All images have one size and kind.", "kind")
        )
    return found


def _strange(context: AuditContext, rows: NDArray[np.int64], scores: NDArray[np.float64]) -> Finding:
    order = np.argsort(-scores)
    strange = rows[order[scores[order] > STRANGE]]
    flags = np.zeros(len(context.cases), bool)
    flags[strange] = True
    n = len(strange)
    message = (
        f"{count(n, 'image')} of {len(rows):,} {'stands' if n == 1 else 'stand'} out by light, colour or border: look "
        "at them."
        if n
        else f"None of {count(len(rows), 'image')} stands out by light, colour or border."
    )
    severity = Severity.WARNING if n > MANY_UNREADABLE * len(rows) else Severity.OK
    found = _share(context, flags, severity, message, "strange")
    ids = tuple(str(name) for name in context.cases.ids[strange][:MAX_CASES])
    return found.model_copy(update={"cases": ids})


def _table(context: AuditContext, rows: NDArray[np.int64], scores: NDArray[np.float64]) -> Table:
    order = np.argsort(-scores)[:60]
    cases = context.cases
    names = [str(name) for name in cases.ids[rows[order]]]
    labels = [str(label) for label in cases.labels[rows[order]]]
    return Table(
        key="strange",
        title="The strangest images",
        columns=(
            Column(key="case", title="Case"),
            Column(key="label", title="Label"),
            Column(key="score", title="Strangeness", decimals=1),
        ),
        rows=tuple((name, label, float(scores[i])) for name, label, i in zip(names, labels, order, strict=True)),
        cases=tuple((name,) for name in names),
    )


CHECK = Check("outlier", "Outliers and mixed acquisition", "Which images are broken, empty, or of another kind?", run)
