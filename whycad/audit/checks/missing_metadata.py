"""Metadata that is missing, and whether it is missing more often for one label than for another."""

from __future__ import annotations

from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.findings import CheckResult, Column, Finding, Severity, Table

MUCH_MISSING = 0.2


def run(context: AuditContext) -> CheckResult:
    """Count what is missing."""
    cases = context.cases
    if not cases.columns:
        raise CheckSkippedError("the data set has no metadata columns")
    shares = {column.name: float(1 - column.known.mean()) for column in cases.columns}
    findings = [
        Finding(
            check=CHECK.id,
            severity=Severity.WARNING if share > MUCH_MISSING else Severity.OK,
            message=f"{name} is missing in {share:.0%} of the images.",
            column=name,
            effect=share,
            effect_name="share missing",
            n=len(cases),
        )
        for name, share in shares.items()
    ]
    table = Table(
        key="missing",
        title="Missing values",
        columns=(Column(key="column", title="Column"), Column(key="missing", title="Share missing")),
        rows=tuple(shares.items()),
    )
    return CheckResult(
        check=CHECK.id, title=CHECK.title, question=CHECK.question, findings=tuple(findings), tables=(table,)
    )


CHECK = Check("missing_metadata", "Missing metadata", "Is metadata missing, and is it missing at random?", run)
