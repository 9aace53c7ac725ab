"""One check: question, findings, charts, tables, pictures, method."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import cache
from dashboard.audit_place import AuditPlace
from dashboard.components.audit.charts import chart_card
from dashboard.components.audit.gallery import gallery
from dashboard.components.audit.marks import badge
from dashboard.components.audit.tables import table_card
from dashboard.components.audit.verdict import SIDES, cases_button, first_selection
from dashboard.text import error_text, plain
from whycad.audit.findings import Audit, CheckResult, Finding, Picture, Severity
from whycad.audit.run.runs import AuditRun
from whycad.audit.words import VERDICT_ORDER, VERDICT_SIGNS, effect_words, in_verdict_order
from whycad.errors import DatasetError

MOST_PICTURES = 24


def check_page(place: AuditPlace, run: AuditRun, audit: Audit) -> None:
    """Show one check, with the cases behind what was clicked beside it."""
    _way(place, audit)
    try:
        result = cache.check_of(run, place.check)
    except DatasetError as error:
        st.warning(error_text(error))
        return
    if not place.selection.cases:
        place.selection = first_selection(in_verdict_order(result.findings))
    left, right = st.columns(SIDES, gap="small")
    with left:
        st.markdown(f"### {plain(result.title)}\n\n{plain(result.question, 400)}")
        _findings(place, result)
        for chart in result.charts:
            chart_card(place, result, chart)
        for table in result.tables:
            table_card(place, result, table)
        _pictures(run, result)
        if result.note:
            st.caption(plain(result.note, 600))
    with right, st.container(key="audit-side"):
        gallery(place, run)
        _method(audit, result)


def _way(place: AuditPlace, audit: Audit) -> None:
    """Offer the way back and to the other checks."""
    done = [state.check for state in audit.checks if state.status == "done"]
    signs = {check: _sign(audit, check) for check in done}
    with st.container(horizontal=True, vertical_alignment="center", key="check-way"):
        if st.button("Verdict", key="to-verdict", icon=":material/arrow_back:"):
            place.go("")
            st.rerun()
        chosen = st.selectbox(
            "Check",
            done,
            index=done.index(place.check) if place.check in done else None,
            key=f"check-{place.check}",
            format_func=lambda check: f"{signs[check]} {check.replace('_', ' ')}".strip(),
            label_visibility="collapsed",
            width=320,
        )
        if chosen and chosen != place.check:
            place.go(chosen)
            st.rerun()


def _sign(audit: Audit, check: str) -> str:
    """Return the sign of a check's most pressing finding."""
    there: set[Severity] = {finding.severity for finding in audit.findings if finding.check == check}
    return next((VERDICT_SIGNS[severity] for severity in VERDICT_ORDER if severity in there), "")


def _findings(place: AuditPlace, result: CheckResult) -> None:
    with st.container(border=True, key="check-findings", gap="xsmall"):
        if not result.findings:
            st.markdown("This check found nothing to say.")
        for number, finding in enumerate(in_verdict_order(result.findings)):
            _finding(number, finding, place)


def _finding(number: int, finding: Finding, place: AuditPlace) -> None:
    with st.container(key=f"line-finding-{number}", gap=None):
        sign, sentence, cases = st.columns((1.55, 6.6, 1.25), gap="xsmall", vertical_alignment="center")
        sign.markdown(badge(finding.severity))
        words = effect_words(finding)
        about = f"{finding.effect_name} {words}, n = {finding.n:,}" if words else f"n = {finding.n:,}"
        sentence.markdown(f"{plain(finding.message, 400)} :small[:gray[{plain(about, 200)}]]")
        with cases:
            cases_button(place, finding, f"finding-cases-{number}")


def _method(audit: Audit, result: CheckResult) -> None:
    with st.container(border=True, key="check-method", gap="xsmall"):
        st.markdown("**How this is computed**")
        st.markdown(plain(result.method or "Not described.", 2000))
        trusted = audit.run.trusted.get(result.check, "")
        if trusted:
            st.markdown(f"**Does this check work?** On simulated sets with planted faults: {plain(trusted, 400)}")
        for reference in result.references:
            st.caption(plain(reference, 400))


def _pictures(run: AuditRun, result: CheckResult) -> None:
    shown = [(picture, path) for picture in result.pictures if (path := picture_file(run.folder, picture)) is not None]
    if not shown:
        return
    with st.container(border=True, key="check-pictures", gap="xsmall"):
        st.markdown("**Pictures**")
        grid = st.grid(4, min_column_width=120, gap="small")
        for picture, path in shown[:MOST_PICTURES]:
            with grid.container(gap=None):
                st.image(path.read_bytes(), width="stretch", alt=plain(picture.caption, 200))
                st.caption(plain(picture.caption, 200))


def picture_file(folder: Path, picture: Picture) -> Path | None:
    """Return the file of a picture where it lies in the audit's own folder; None elsewhere."""
    path = (folder / picture.file).resolve()
    inside = path.is_relative_to((folder / "pictures").resolve()) and path.suffix.lower() in (".png", ".jpg", ".jpeg")
    return path if inside and path.is_file() else None
