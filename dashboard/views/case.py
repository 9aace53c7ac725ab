"""The Case view: open a case, see what the model says, why, and how far to trust it."""

from __future__ import annotations

import streamlit as st

from dashboard import cache, state, work
from dashboard.components.back import back_to_audit
from dashboard.components.case_tabs import case_tabs
from dashboard.components.case_viewer import case_viewer, windows
from dashboard.components.decision_card import decision_card
from dashboard.components.downloads import downloads
from dashboard.components.job_progress import job_progress
from dashboard.components.opener import opener
from dashboard.components.viewer import ViewerOptions, viewer
from dashboard.components.welcome import before_click, welcome
from dashboard.facts import TaskFacts
from dashboard.setting import shown
from dashboard.state import OpenCase
from dashboard.text import plain
from whycad.registry import PluginEntry, Registry, misfit


def page() -> None:
    """Draw the whole view."""
    session, registry = state.session(), cache.registry()
    with st.sidebar:
        opener(session, registry)
    case = session.case
    if case is None:
        welcome()
        return
    fitting = registry.compatible(case.study)
    if not fitting:
        _no_task(case, registry)
        return
    entry = _task(case, fitting)
    if entry is None:
        _which_task(case)
        return
    # A fragment: sliders and clicks redraw the case alone, not the sidebar.
    st.fragment(_case)(case, cache.facts(entry))


def _case(case: OpenCase, facts: TaskFacts) -> None:
    manifest = facts.manifest
    work.begin(case, manifest)
    back_to_audit(case)
    left, right = st.columns([1.8, 1], gap="small")
    with left:
        target = case_viewer(case, facts)
    job = case.work_for(manifest.id)
    session = state.session()
    look = None if job.result is None else shown(job.result, facts, session.coverage, session.priors.get(manifest.id))
    with right, st.container(key="decision"):
        job_progress(case, manifest.id)
        if look is not None:
            decision_card(look, case, facts)
            downloads(look, case, facts, target)
        elif job.busy:
            st.skeleton(height=420)
        elif work.waits_for_click(case, manifest):
            before_click(facts.manifest)
        elif st.button("Analyse", key="analyse", type="primary", icon=":material/play_arrow:"):
            job.started = False
            st.rerun()
    with left:
        for warning in case.study.warnings:
            st.warning(plain(warning, 400), icon=":material/info:")
        if look is not None:
            case_tabs(look, case, facts, target)


def _task(case: OpenCase, fitting: tuple[PluginEntry, ...]) -> PluginEntry | None:
    """Return the task that reads the case; where several could, the reader says which."""
    if len(fitting) == 1:
        return fitting[0]
    titles = {entry.id: entry.title for entry in fitting}
    chosen = st.segmented_control(
        "Task",
        list(titles),
        default=case.task if case.task in titles else None,
        key=f"task-{case.id}",
        format_func=lambda plugin_id: titles[plugin_id],
    )
    return next((entry for entry in fitting if entry.id == chosen), None)


def _which_task(case: OpenCase) -> None:
    st.info("**What is this image of?** Several tasks could read it. Choose one: a model answers whatever it is shown.")
    _only_picture(case)


def _no_task(case: OpenCase, registry: Registry) -> None:
    reasons = []
    for entry in registry.entries:
        why = misfit(entry.manifest, case.study) if entry.manifest is not None else ""
        reasons.append(f"- {plain(entry.title)}: {plain(why or entry.error or 'cannot be used', 400)}")
    st.warning("**No task reads this image**, so there is no score.\n\n" + "\n".join(reasons), icon=":material/info:")
    _only_picture(case)


def _only_picture(case: OpenCase) -> None:
    options = ViewerOptions(
        tools=("pan", "point"), simulated=case.study.simulated, window_presets=windows(case, manifest=None)
    )
    viewer(case.image, key="case-viewer", options=options)
    for warning in case.study.warnings:
        st.warning(plain(warning, 400), icon=":material/info:")


page()
