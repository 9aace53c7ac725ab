"""The verdict page: how many findings of each kind, and a line for each."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from dashboard import cache
from dashboard.audit_place import AuditPlace, Selection
from dashboard.components.audit.charts import chart_card
from dashboard.components.audit.gallery import gallery
from dashboard.components.audit.marks import COLOURS, area, badge
from dashboard.components.audit.this_run import this_run
from dashboard.figures import is_dark
from dashboard.interval_svg import interval_alt, interval_svg, reaches
from dashboard.text import plain
from whycad.audit.findings import Audit, Finding
from whycad.audit.run.runs import AuditRun
from whycad.audit.words import VERDICT_MEANINGS, VERDICTS, effect_words, in_verdict_order, verdict_counts
from whycad.audit.words import area as area_of
from whycad.errors import DatasetError

FIRST_LINES = 24
LINE = (1.75, 1.25, 4.0, 1.2, 2.15)
SIDES = (2.15, 1)


def verdict(place: AuditPlace, run: AuditRun, audit: Audit) -> None:
    """Show the verdict on the left; on the right the leading chart, the cases behind it, and the run."""
    findings = in_verdict_order(audit.findings)
    if not place.selection.cases:
        place.selection = first_selection(findings)
    left, right = st.columns(SIDES, gap="small")
    with left:
        _counts(audit)
        _lines(place, findings)
        _not_run(audit)
    with right, st.container(key="audit-side"):
        _leading_chart(place, run, findings)
        gallery(place, run)
        this_run(place, run, audit)


def first_selection(findings: list[Finding]) -> Selection:
    """Return the cases behind the most pressing finding that has some."""
    found = next((finding for finding in findings if finding.cases), None)
    return Selection() if found is None else selection_of(found)


def selection_of(finding: Finding) -> Selection:
    """Return the cases behind a finding."""
    title = finding.column or finding.label or area_of(finding.check)
    source = f"{finding.check} {finding.column} {finding.label} {finding.message}"
    return Selection(title, tuple(dict.fromkeys(finding.cases)), max(finding.n_cases, len(finding.cases)), source)


def _counts(audit: Audit) -> None:
    grid = st.grid(4, min_column_width=120, gap="small", key="verdict-counts")
    for severity, n in verdict_counts(audit.findings).items():
        with grid.container(border=True, key=f"count-{severity.value}", gap=None, height="stretch"):
            st.markdown(VERDICTS[severity].capitalize(), help=VERDICT_MEANINGS[severity])
            st.markdown(f"### :{COLOURS[severity]}[{n}]")


def _lines(place: AuditPlace, findings: list[Finding]) -> None:
    scale = reaches(findings)
    with st.container(border=True, key="verdict", gap=None):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown("**Verdict**")
            st.caption("A line opens its check. Effects of one kind share a scale; the grey mark is no effect.")
        if not findings:
            st.markdown("No check found anything to say.")
        shown = findings if place.all_lines else findings[:FIRST_LINES]
        for number, finding in enumerate(shown):
            _line(number, finding, place, scale)
        if len(shown) < len(findings) and st.button(f"Show all {len(findings)} lines", key="verdict-all"):
            place.all_lines = True
            st.rerun()


def _line(number: int, finding: Finding, place: AuditPlace, scale: Mapping[str, float]) -> None:
    with st.container(key=f"line-{number}", gap=None):
        sign, what, sentence, picture, effect = st.columns(LINE, gap="xsmall", vertical_alignment="center")
        sign.markdown(badge(finding.severity))
        what.markdown(f":gray[{area(finding)}]")
        if sentence.button(plain(finding.message, 400), key=f"open-{number}", type="tertiary"):
            place.go(finding.check)
            st.rerun()
        words = effect_words(finding)
        dark = is_dark(st.context.theme.type)
        svg = interval_svg(finding, scale.get(finding.effect_name, 0.0), dark=dark)
        if svg:
            picture.image(svg, alt=interval_alt(finding, words))
        with effect.container(gap=None):
            st.markdown(f":small[{plain(words, 60)}]" if words else f":small[:gray[n = {finding.n:,}]]")
            cases_button(place, finding, f"cases-{number}")


def cases_button(place: AuditPlace, finding: Finding, key: str) -> None:
    """Offer the cases behind a finding, where it has some."""
    if not finding.cases:
        return
    n = max(finding.n_cases, len(finding.cases))
    if st.button(f"{n:,} case{'' if n == 1 else 's'}", key=key, type="tertiary", icon=":material/photo_library:"):
        place.select(selection_of(finding))
        st.rerun()


def _leading_chart(place: AuditPlace, run: AuditRun, findings: list[Finding]) -> None:
    for check in dict.fromkeys(finding.check for finding in findings):
        try:
            result = cache.check_of(run, check)
        except DatasetError:
            continue
        if result.charts:
            chart_card(place, result, result.charts[0])
            return


def _not_run(audit: Audit) -> None:
    lines = [f"- {plain(s.check.replace('_', ' '))}: {plain(s.why, 300)}" for s in audit.checks if s.status != "done"]
    if lines:
        with st.expander(f"{len(lines)} checks gave no result", key="not-run"):
            st.markdown("\n".join(lines))
    if audit.failed:
        with st.expander(f"{len(audit.failed):,} images could not be read or predicted", key="failed-cases"):
            failed = [{"case": case.case, "row": case.row, "why": case.why} for case in audit.failed]
            st.dataframe(failed, hide_index=True, key="failed-table")
