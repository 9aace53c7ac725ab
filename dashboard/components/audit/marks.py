"""Verdicts as badges."""

from __future__ import annotations

from dashboard.text import plain
from whycad.audit.findings import Finding, Severity
from whycad.audit.words import VERDICT_SIGNS, VERDICTS
from whycad.audit.words import area as area_of

COLOURS = {
    Severity.CRITICAL: "red", Severity.WARNING: "orange", Severity.OK: "green", Severity.UNKNOWN: "gray",
}  # fmt: skip


def badge(severity: Severity) -> str:
    """Return a verdict as a coloured badge in Markdown; sign and word say what the colour says."""
    return f":{COLOURS[severity]}-badge[{VERDICT_SIGNS[severity]} {VERDICTS[severity]}]"


def area(finding: Finding) -> str:
    """Return what a finding is about, fit for Markdown."""
    return plain(area_of(finding.check), 40)
