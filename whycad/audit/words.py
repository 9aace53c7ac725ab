"""The words of an audit: the page, the report and the summary say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from whycad.audit.findings import Audit, Cell, Finding, Severity
from whycad.wording import MINUS, printable

# The most pressing first; what could not be established comes last.
VERDICT_ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.OK, Severity.UNKNOWN)
VERDICTS: Mapping[Severity, str] = {
    Severity.CRITICAL: "worrying",
    Severity.WARNING: "look closer",
    Severity.OK: "fine",
    Severity.UNKNOWN: "not established",
}
VERDICT_TITLES: Mapping[Severity, str] = {
    Severity.CRITICAL: "Worrying",
    Severity.WARNING: "Look closer",
    Severity.OK: "Fine",
    Severity.UNKNOWN: "Not established",
}
VERDICT_MEANINGS: Mapping[Severity, str] = {
    Severity.CRITICAL: "A large effect whose interval excludes no effect, or a fact that makes results invalid.",
    Severity.WARNING: "An effect whose interval excludes no effect and whose size matters.",
    Severity.OK: "Looked at with enough cases; nothing that needs a closer look was found.",
    Severity.UNKNOWN: "It cannot be said, mostly for too few cases. This is not the same as fine.",
}
# A second carrier of meaning beside the colour.
VERDICT_SIGNS: Mapping[Severity, str] = {
    Severity.CRITICAL: "■",
    Severity.WARNING: "▲",
    Severity.OK: "●",
    Severity.UNKNOWN: "○",
}
AREAS: Mapping[str, str] = {
    "performance": "Performance",
    "calibration": "Calibration",
    "imbalance": "Imbalance",
    "subgroup": "Subgroup",
    "slice": "Slice",
    "metadata_label": "Confounder",
    "metadata_prediction": "Shortcut",
    "feature_probe": "Shortcut",
    "matched_performance": "Shortcut",
    "artefact_insertion": "Shortcut",
    "artefact_removal": "Shortcut",
    "region_only": "Background",
    "map_in_artefact": "Shortcut",
    "trivial_feature": "Shortcut",
    "near_duplicate": "Leak",
    "group_across_splits": "Leak",
    "label_by_subject": "Leak",
    "label_by_source": "Leak",
    "label_issue": "Labels",
    "outlier": "Data quality",
    "missing_metadata": "Data quality",
    "robustness": "Robustness",
    "explanation": "Explanation",
    "attribution_cluster": "Explanation",
    "ledger": "Use of the split",
}
RESEARCH_ONLY = "For research and education only, not for clinical use"
SIMULATED_DATA = "Simulated data: images or labels here were made by a program, not taken from patients."
SIMULATED_MODEL = "Simulated: the model was trained on images made by a program, not taken from patients."
# Names of effects that have a direction, so that a plus is worth its place.
DIRECTED = ("change", "difference", "above", "beyond", "gap", "gain", "loss", "less", "excess")
NO_VALUE = "\N{EN DASH}"


def area(check: str) -> str:
    """Return what a check is about, in one or two words."""
    return AREAS.get(check) or printable(check.replace("_", " "), 32).capitalize()


def within_sentence(name: str) -> str:
    """Return a label's name as it stands within a sentence: ``melanoma``, but ``CNV`` and ``F2``."""
    return name if name[:2].isupper() or name[1:2].isupper() or name[1:2].isdigit() else name[:1].lower() + name[1:]


def in_verdict_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with the most pressing first, otherwise in their own order."""
    return sorted(findings, key=lambda finding: VERDICT_ORDER.index(finding.severity))


def verdict_counts(findings: Iterable[Finding]) -> dict[Severity, int]:
    """Return how many findings have each severity, in verdict order."""
    counts = Counter(finding.severity for finding in findings)
    return {severity: counts[severity] for severity in VERDICT_ORDER}


def number_words(value: float, decimals: int | None = None, *, plus: bool = False) -> str:
    """Return a number with a true minus: two decimals, or as many as a small or large one needs.

    Parameters
    ----------
    value : float
    decimals : int or None
        Fixed number of decimals.
    plus : bool
        Whether positive numbers get a plus.
    """
    sign = "+" if plus and value > 0 else ""
    if decimals is None:
        text = _short(value)
    else:
        huge = abs(value) >= 1e15
        text = f"{value:.{decimals}e}" if huge else f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = text[1:] if not text.strip("-0.,") else MINUS + text[1:]
    return sign + text


def _short(value: float) -> str:
    size = abs(value)
    if size >= 1e6 or 0 < size < 0.0005:
        return f"{value:.1e}"
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.005 or size == 0 else f"{value:.3f}"


def interval_words(value: float, low: float | None, high: float | None, *, plus: bool = False) -> str:
    """Return ``+0.09 (0.05 to 0.13)``, or the number alone where there is no interval."""
    text = number_words(value, plus=plus)
    return text if low is None or high is None else f"{text} ({number_words(low)} to {number_words(high)})"


def effect_words(finding: Finding) -> str:
    """Return a finding's number with its interval; empty where it has none."""
    if finding.effect is None:
        return ""
    name = finding.effect_name.casefold()
    directed = finding.no_effect == 0 and any(word in name for word in DIRECTED)
    return interval_words(finding.effect, finding.ci_low, finding.ci_high, plus=directed)


def is_ratio(finding: Finding) -> bool:
    """Whether a finding's effect is a ratio, which is drawn on a logarithmic scale."""
    values = [value for value in (finding.effect, finding.ci_low, finding.ci_high) if value is not None]
    return finding.no_effect == 1 and "ratio" in finding.effect_name.casefold() and min(values, default=0) > 0


def cell_words(value: Cell, decimals: int = 3, limit: int = 160) -> str:
    """Return a table's cell for people: one line, cut at ``limit`` characters."""
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number_words(value, 0)
    if isinstance(value, str):
        return printable(value, limit)
    # A p-value is never bare zeros.
    least = 10.0**-decimals
    return f"< {number_words(least, decimals)}" if 0 < value < least / 2 else number_words(value, decimals)


def audit_title(audit: Audit) -> str:
    """Return ``Skin lesion 1.0 on ISIC 2017, val split``."""
    data = printable(audit.data.name, 80)
    split = f", {printable(audit.data.split, 32)} split" if audit.data.split else ""
    if audit.model is None:
        return f"{data}{split}"
    return f"{printable(audit.model.title, 80)} {printable(audit.model.version, 24)} on {data}{split}"


def scope_words(audit: Audit) -> str:
    """Return ``150 images, 149 groups; the split has been used 2 times; intervals ...``."""
    data = audit.data
    parts = [f"{_counted(data.n_scope, 'image')}, {_counted(data.n_groups, 'group')}"]
    if not data.groups_known:
        parts = [f"{_counted(data.n_scope, 'image')}, groups unknown"]
    if data.where:
        parts.append(f"only rows where {printable(' and '.join(data.where), 120)}")
    if audit.run.split_uses:
        parts.append(f"the split has been used {_counted(audit.run.split_uses, 'time')}")
    by = "group" if data.groups_known else "image"
    parts.append(f"intervals: 95 %, bootstrap by {by}, {audit.run.n_draws:,} draws")
    return "; ".join(parts)


def banners(audit: Audit) -> list[str]:
    """Return what must stand above everything else: what the audit is for, and that data are simulated."""
    found = [RESEARCH_ONLY]
    if audit.data.simulated:
        found.append(SIMULATED_DATA)
    if audit.model is not None and audit.model.evidence_level == "simulated":
        found.append(SIMULATED_MODEL)
    return found


def _counted(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"
