"""The Audit view: is a model right, for whom, and for the right reason."""

from __future__ import annotations

import streamlit as st

from dashboard import cache, state
from dashboard.audit_place import AuditPlace
from dashboard.components.audit.check_page import check_page
from dashboard.components.audit.comparison import comparison
from dashboard.components.audit.run_picker import run_picker, what_words
from dashboard.components.audit.run_progress import run_progress
from dashboard.components.audit.start_form import start_form
from dashboard.components.audit.verdict import verdict
from dashboard.text import error_text, plain
from whycad.audit.findings import Audit
from whycad.audit.run.runs import AuditRun, find_runs
from whycad.audit.words import audit_title, banners, scope_words
from whycad.errors import DatasetError


def page() -> None:
    """Draw the whole view."""
    place = state.session().audit
    runs = find_runs(cache.settings().audits)
    state.follow_link(place, {run.name for run in runs})
    run = _bar(place, runs)
    if run is None or place.new:
        if run is None:
            st.markdown("## Audit")
            st.markdown("Is the model right, for whom, and for the right reason? No audit has been run here yet.")
        start_form(place)
    if run is not None:
        _run(place, run)
    state.leave_link(place)


def _bar(place: AuditPlace, runs: tuple[AuditRun, ...]) -> AuditRun | None:
    if not runs:
        return None
    with st.container(horizontal=True, vertical_alignment="center", key="audit-bar"):
        run = run_picker(place, runs)
        if not place.new and st.button("New audit", key="new-audit", icon=":material/add:"):
            place.new = True
            st.rerun()
    return run


def _run(place: AuditPlace, run: AuditRun) -> None:
    if not run.finished:
        st.markdown(f"## {plain(what_words(run))}")
        run_progress(place, run)
        return
    try:
        audit = cache.audit_of(run)
    except DatasetError as error:
        st.warning(error_text(error))
        return
    _head(audit)
    run_progress(place, run)
    if place.other:
        comparison(place, run, audit)
    elif place.check:
        # A fragment: a click in a chart or table redraws the check alone.
        st.fragment(check_page)(place, run, audit)
    else:
        st.fragment(verdict)(place, run, audit)


def _head(audit: Audit) -> None:
    simulated = "  :orange-badge[simulated data]" if len(banners(audit)) > 1 else ""
    st.markdown(f"## {plain(audit_title(audit))}{simulated}")
    st.caption(plain(scope_words(audit), 300))


page()
