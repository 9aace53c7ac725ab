"""How often the audited split was used, and whether choices were made on it."""

from __future__ import annotations

from collections import Counter

from whycad.audit.bootstrap import wilson_interval
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.findings import CheckResult, Column, Finding, Severity, Table
from whycad.audit.judged import listed
from whycad.audit.split_use import SplitUse, is_counted, split_use

# Looking is allowed; everything else is a choice that these figures no longer test.
HARMLESS = ("audit", "report")
# The best of five equal models looks better by more than one standard error.
MANY_VERSIONS = 5
METHOD = (
    "Every audit of a named split with labels adds a line to the user's ledger: time, weights, data, split, purpose "
    "and command, chained by SHA-256 so that changes show. Uses are counted for the same data (by hash) and split, "
    "whatever the model."
)
REFERENCES = (
    "Dwork 2015, The reusable holdout, doi:10.1126/science.aaa9375",
    "Recht 2019, Do ImageNet classifiers generalize to ImageNet?, arXiv:1902.10811",
)


def run(context: AuditContext) -> CheckResult:
    """Say how often the split was used."""
    if not is_counted(context):
        raise CheckSkippedError("no named split with labels was evaluated, so nothing is recorded")
    found = split_use(context)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=REFERENCES,
        findings=tuple(_findings(context, found)),
        tables=(_table(found),),
        metrics={"split_uses": {"value": float(len(found.uses)), "ci_low": None, "ci_high": None, "n": None}},
    )


def _findings(context: AuditContext, found: SplitUse) -> list[Finding]:
    if found.why:
        message = f"This use of the split could not be recorded: {found.why}"
        return [Finding(check=CHECK.id, severity=Severity.UNKNOWN, message=message)]
    return [*_chain(found), _count(context, found), *_choices(context, found)]


def _chain(found: SplitUse) -> list[Finding]:
    if not found.ledger.broken:
        return []
    message = f"The ledger does not hold: {listed(found.ledger.broken, 3)}. Uses may be missing from it."
    n = len(found.ledger.entries)
    return [Finding(check=CHECK.id, severity=Severity.CRITICAL, message=message, n=n)]


def _count(context: AuditContext, found: SplitUse) -> Finding:
    """Say how often the split was used; of one that is not named a test split a ledger tells only a part."""
    n = len(found.uses)
    own = sum(found.own is not None and use.weights_sha256 == found.own.weights_sha256 for use in found.uses)
    versions = len({use.weights_sha256 for use in found.uses})
    with_this = "" if own == n else f", {_times(own)} with this model version"
    begun = f", begun on {found.ledger.entries[0].time_utc[:10]}," if found.ledger.entries else ""
    message = (
        f"The ledger{begun} has {'one use' if n == 1 else f'{n} uses'} of split {context.split}{with_this}; what was "
        "chosen before is not counted."
    )
    severity = Severity.OK if "test" in context.split.casefold() else Severity.UNKNOWN
    if versions >= MANY_VERSIONS:
        severity = Severity.WARNING
        message += f" {versions} model versions were evaluated on it; the best of them looks better than it is."
    return Finding(check=CHECK.id, severity=severity, message=message, effect=float(n), effect_name="uses", n=n)


def _choices(context: AuditContext, found: SplitUse) -> list[Finding]:
    """Warn where the split served to choose something."""
    other = Counter(use.purpose for use in found.uses if use.purpose not in HARMLESS)
    if not other:
        return []
    n, chosen = len(found.uses), sum(other.values())
    low, high = wilson_interval(chosen / n, n)
    what = listed([f"{purpose[:32]} ({_times(count)})" for purpose, count in other.most_common()])
    message = f"Choices were made on split {context.split}: {what}. Figures on it are too good for what was chosen."
    return [
        Finding(
            check=CHECK.id,
            severity=Severity.WARNING,
            message=message,
            effect=chosen / n,
            effect_name="share of uses for choices",
            ci_low=low,
            ci_high=high,
            n=n,
        )
    ]


def _times(n: int) -> str:
    return "once" if n == 1 else "twice" if n == 2 else f"{n} times"


def _table(found: SplitUse) -> Table:
    return Table(
        key="uses",
        title="Uses of this split",
        columns=(
            Column(key="time", title="Time (UTC)"),
            Column(key="task", title="Task"),
            Column(key="version", title="Version"),
            Column(key="weights", title="Weights"),
            Column(key="n", title="n"),
            Column(key="purpose", title="Purpose"),
            Column(key="command", title="Command"),
        ),
        rows=tuple(
            (u.time_utc, u.task, u.version, u.weights_sha256[:8], u.n, u.purpose, u.command) for u in found.uses
        ),
    )


CHECK = Check("ledger", "Use of the split", "How often was this split used, and were choices made on it?", run)
