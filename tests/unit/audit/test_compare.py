"""Two audits side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycad.audit.compare import FindingPair, change_of, compare_findings
from whycad.audit.findings import Finding, Severity


def finding(severity: Severity = Severity.OK, low: float = 0.0, high: float = 1.0, **facts: object) -> Finding:
    body = {"check": "slice", "severity": severity, "message": "m", "effect": (low + high) / 2} | facts
    return Finding.model_validate({**body, "ci_low": low, "ci_high": high})


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (finding(Severity.OK), finding(Severity.CRITICAL), "worse"),
        (finding(Severity.WARNING), finding(Severity.UNKNOWN), "better"),
        (finding(low=0.0, high=1.0), finding(low=2.0, high=3.0), "moved"),
        (finding(low=0.0, high=1.0), finding(low=0.9, high=3.0), "same"),
        (None, finding(), "new"),
        (finding(), None, "gone"),
    ],
)
def test_changes_have_names(before: Finding | None, after: Finding | None, change: str) -> None:
    assert change_of(before, after) == change


def test_findings_are_joined_by_what_they_are_about_whatever_their_order() -> None:
    before = (finding(column="a"), finding(column="b"), finding(column="b", label="x"))
    after = (finding(Severity.CRITICAL, column="b"), finding(column="a"))
    pairs = compare_findings(before, after)
    assert [(p.change, p.shown.column, p.shown.label) for p in pairs] == [
        ("worse", "b", ""), ("gone", "b", "x"), ("same", "a", ""),
    ]  # fmt: skip


columns = st.lists(st.sampled_from("abc"), max_size=6).map(lambda names: tuple(finding(column=n) for n in names))


@given(columns, columns)
def test_nothing_is_lost_and_nothing_comes_twice(before: tuple[Finding, ...], after: tuple[Finding, ...]) -> None:
    pairs: tuple[FindingPair, ...] = compare_findings(before, after)
    assert sum(p.before is not None for p in pairs) == len(before)
    assert sum(p.after is not None for p in pairs) == len(after)
    assert {p.change for p in compare_findings(before, before)} <= {"same"}
