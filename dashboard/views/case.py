"""The Case view: open a case, see what the model says, why, and how far to trust it."""

from __future__ import annotations

import streamlit as st

from dashboard import cache, state, work
from dashboard.components.case_tabs import case_tabs
from dashboard.components.case_viewer import case_viewer
from dashboard.components.decision_card import TaskFacts, decision_card
from dashboard.components.downloads import downloads
from dashboard.components.job_progress import job_progress
from dashboard.components.opener import opener
from dashboard.components.viewer import ViewerOptions, viewer
from dashboard.state import OpenCase
from dashboard.text import plain
from whycad.registry import PluginEntry, Registry, misfit

STEPS = (
    (
        "verified",
        "The answer",
        "A calibrated probability for every diagnosis, the set that holds the true one nine times in ten, and a plain "
        "word where a specialist should look.",
    ),
    (
        "gradient",
        "Why",
        "What the model looked at, by four methods, over the original image. Each says how far it can be trusted.",
    ),
    (
        "rule",
        "How far to trust it",
        "Whether the members agree, whether the image is like the training images, and how often such cases are found.",
    ),
)


def page() -> None:
    """Draw the whole view."""
    session, registry = state.session(), cache.registry()
    with st.sidebar:
        opener(session, registry)
    case = session.case
    if case is None:
        _welcome()
        return
    entry = _task(case, registry)
    if entry is None:
        _no_task(case, registry)
        return
    _case(case, entry)


def _case(case: OpenCase, entry: PluginEntry) -> None:
    manifest = entry.manifest
    assert manifest is not None, "only ready plugins are compatible"
    facts = TaskFacts(manifest, cache.performance(entry.folder), cache.operating_points(entry.folder))
    work.begin(case, manifest)
    job = case.work_for(manifest.id)
    left, right = st.columns([1.8, 1], gap="small")
    with left:
        target = case_viewer(case, manifest)
    with right:
        job_progress(case, manifest.id)
        if job.result is not None:
            decision_card(job.result, case, facts)
            downloads(job.result, case, facts, target)
        elif job.busy:
            st.skeleton(height=420)
        elif st.button("Analyse", key="analyse", type="primary", icon=":material/play_arrow:"):
            job.started = False
            st.rerun()
    with left:
        for warning in case.study.warnings:
            st.warning(plain(warning, 400), icon=":material/info:")
        if job.result is not None:
            case_tabs(job.result, case, facts, target)


def _task(case: OpenCase, registry: Registry) -> PluginEntry | None:
    fitting = registry.compatible(case.study)
    if len(fitting) < 2:
        return next(iter(fitting), None)
    chosen = st.segmented_control(
        "Task", [entry.id for entry in fitting], default=fitting[0].id, required=True, key=f"task-{case.id}"
    )
    return next(entry for entry in fitting if entry.id == chosen)


def _no_task(case: OpenCase, registry: Registry) -> None:
    reasons = []
    for entry in registry.entries:
        why = misfit(entry.manifest, case.study) if entry.manifest is not None else ""
        reasons.append(f"- {plain(entry.title)}: {plain(why or entry.error or 'cannot be used', 400)}")
    st.warning("**No task reads this image**, so there is no score.\n\n" + "\n".join(reasons), icon=":material/info:")
    options = ViewerOptions(tools=("pan", "point"), simulated=case.study.simulated)
    viewer(case.image, key="case-viewer", options=options)


def _welcome() -> None:
    st.markdown("## Open a case")
    st.markdown("Drop a DICOM, PNG or JPEG file into the panel on the left, or pick a sample there.")
    for column, (icon, title, text) in zip(st.columns(3, gap="small"), STEPS, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"#### :material/{icon}: {title}\n\n{text}")


page()
