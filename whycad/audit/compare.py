"""Two audits side by side: the same findings joined, and what became of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from whycad.audit.findings import Finding, Severity

Change = Literal["worse", "better", "new", "gone", "moved", "same"]
# From the least to the most pressing; what is not established is between fine and suspicious.
CONCERN = (Severity.OK, Severity.UNKNOWN, Severity.WARNING, Severity.CRITICAL)
ORDER: tuple[Change, ...] = ("worse", "new", "better", "gone", "moved", "same")
Key = tuple[str, str, str, str, int]


@dataclass(frozen=True)
class FindingPair:
    """A finding of one audit and the same one of another.

    Attributes
    ----------
    before, after : Finding or None
        At least one is there.
    change : str
        ``worse`` or ``better`` by severity, ``new`` or ``gone``, ``moved`` where the severity is the same but
        the intervals lie apart, else ``same``.
    """

    before: Finding | None
    after: Finding | None
    change: Change

    @property
    def shown(self) -> Finding:
        """The later one, or the earlier one where it is gone."""
        found = self.after or self.before
        assert found is not None, "a pair holds a finding"
        return found


def compare_findings(before: tuple[Finding, ...], after: tuple[Finding, ...]) -> tuple[FindingPair, ...]:
    """Join findings by check, column, label and name of the effect; what changed most comes first.

    Parameters
    ----------
    before, after : tuple of Finding
        Of the audit that is compared with, and of the one on show. Where several have the same key they are
        joined in their order.
    """
    old, new = _keyed(before), _keyed(after)
    keys = dict.fromkeys([*new, *old])
    pairs = [FindingPair(old.get(key), new.get(key), change_of(old.get(key), new.get(key))) for key in keys]
    return tuple(sorted(pairs, key=lambda pair: (ORDER.index(pair.change), -CONCERN.index(pair.shown.severity))))


def change_of(before: Finding | None, after: Finding | None) -> Change:
    """Return what became of a finding."""
    if before is None or after is None:
        return "gone" if after is None else "new"
    step = CONCERN.index(after.severity) - CONCERN.index(before.severity)
    if step:
        return "worse" if step > 0 else "better"
    return "moved" if intervals_apart(before, after) else "same"


def intervals_apart(before: Finding, after: Finding) -> bool:
    """Whether two intervals do not touch; False where one is missing."""
    if before.ci_low is None or before.ci_high is None or after.ci_low is None or after.ci_high is None:
        return False
    return before.ci_high < after.ci_low or after.ci_high < before.ci_low


def _keyed(findings: tuple[Finding, ...]) -> dict[Key, Finding]:
    seen: Counter[tuple[str, str, str, str]] = Counter()
    found: dict[Key, Finding] = {}
    for finding in findings:
        key = (finding.check, finding.column, finding.label, finding.effect_name)
        found[(*key, seen[key])] = finding
        seen[key] += 1
    return found
