"""The summary tells the verdict and names no case."""

from __future__ import annotations

import re

from whycad.audit.report.summary import markdown_summary, plain
from whycad.audit.words import RESEARCH_ONLY, SIMULATED_DATA
from whycad.testing.hostile_audit import LONG, hostile_audit, hostile_result
from whycad.testing.sample_audit import sample_audit, sample_results


def test_tells_verdict_figures_methods_and_provenance() -> None:
    text = markdown_summary(sample_audit(), sample_results())
    for said in (
        f"> {RESEARCH_ONLY}",
        f"> {SIMULATED_DATA}",
        "3 worrying, 6 look closer, 7 fine, 2 not established.",
        "| worrying | Leak | 25 near-duplicate pairs cross the official splits. |  | 600 |",
        "change in probability −0.19 (−0.24 to −0.14) | 120 |",
        "| Macro AUROC | 0.87 (0.81 to 0.92), n = 148 |",
        "2 images could not be read or predicted",
        "whycad audit --task",
        "5a" * 32,
        "## Inserted artefacts",
        "Holm over artefacts",
    ):
        assert said in text, said


def test_names_no_case_and_shows_no_picture() -> None:
    results = sample_results()
    text = markdown_summary(sample_audit(), results)
    named = {case for result in results for finding in result.findings for case in finding.cases}
    named |= {case.case for case in sample_audit().failed}
    assert len(named) > 50
    assert not [case for case in named if case in text]
    assert "![" not in text
    assert "case-" not in text


def test_hostile_text_stays_text() -> None:
    text = markdown_summary(hostile_audit(), (hostile_result(3),))
    assert LONG not in text
    assert not re.search(r"(?<!\\)<", text)
    assert not re.search(r"(?<!\\)\[", text)
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5, 6), line
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len(headings) == 9


def test_marks_are_escaped() -> None:
    assert plain("a|b *c* [d](e) <f> #g `h` i_j\nk") == r"a\|b \*c\* \[d\](e) \<f\> \#g \`h\` i\_j k"
