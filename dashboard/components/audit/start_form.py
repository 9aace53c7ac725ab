"""Start a run: task, data, split, checks."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import cache
from dashboard.audit_place import AuditPlace
from dashboard.settings import Settings
from dashboard.text import error_text, plain
from whycad.audit.checks import DATA_CHECKS, SLOW_CHECKS, available
from whycad.audit.context import AuditOptions
from whycad.audit.data.allowed import allowed_path
from whycad.audit.data.samples import SAMPLES
from whycad.audit.run.launch import start_audit
from whycad.audit.run.record import RunRecord
from whycad.audit.words import area
from whycad.errors import WhyCadError

ON_SAMPLES, ON_DATA = "Simulated samples", "A data set on this machine"
NO_TASK = ""


def start_form(place: AuditPlace) -> None:
    """Let the reader start an audit, where that is allowed."""
    settings = cache.settings()
    with st.container(border=True, key="start-audit", gap="small"):
        st.markdown("#### Start an audit")
        if not settings.may_start:
            st.markdown("Audits are started on the command line here: `whycad audit --help`.")
            return
        record = _record(settings)
        if place.message:
            st.error(place.message, icon=":material/error:")
        with st.container(horizontal=True):
            if st.button(
                "Start", key="start-run", type="primary", icon=":material/play_arrow:", disabled=record is None
            ):
                assert record is not None, "the button is off without a record"
                _start(place, record, settings)
            if place.new and st.button("Not now", key="close-form", icon=":material/close:"):
                place.new = False
                st.rerun()


def _record(settings: Settings) -> RunRecord | None:
    """Ask what to audit; None until it can be started."""
    ready = {e.id: e.title for e in cache.registry().entries if e.manifest is not None and e.error is None}
    tasks = [*ready, *([NO_TASK] if settings.audit_data else [])]
    left, right = st.columns(2, gap="medium")
    with left:
        task = st.selectbox("Task", tasks, key="start-task", format_func=lambda t: ready.get(t, "None: the data alone"))
        dataset = _dataset(task or NO_TASK, settings)
    with right:
        split = st.text_input(
            "Split", key="start-split", placeholder="all rows", max_chars=60, help="Rows that the model is judged on"
        ) if task else ""  # fmt: skip
        checks = _checks(task or NO_TASK)
        purpose = st.text_input("Purpose, for the ledger", value="audit", key="start-purpose", max_chars=200)
    if dataset is None:
        return None
    options = AuditOptions(purpose=purpose.strip() or "audit")
    return RunRecord(
        dataset=dataset, task=task or "", split=split.strip(), checks=checks, device=_device(settings), options=options
    )


def _dataset(task: str, settings: Settings) -> Path | None:
    ways = [*([ON_SAMPLES] if task and _has_samples(task) else []), *([ON_DATA] if settings.audit_data else [])]
    if not ways:
        st.markdown("This task has no simulated samples, and no folder of data sets is set: see `WHYCAD_AUDIT_DATA`.")
        return None
    way = st.segmented_control("Data", ways, default=ways[0], key=f"start-way-{task}", required=True)
    if way == ON_SAMPLES:
        st.caption("A dozen images made by a program: quick to try, but nearly all figures stay “not established”.")
        return SAMPLES
    named = st.text_input(
        "Path of a pack, table or folder", key="start-path", max_chars=1000, placeholder="skin/isic2017.npz"
    )
    st.caption("Below " + ", ".join(f"“{plain(root.name, 60)}”" for root in settings.audit_data))
    if not named.strip():
        return None
    try:
        return allowed_path(named.strip(), settings.audit_data)
    except WhyCadError as error:
        st.warning(error_text(error))
        return None


def _has_samples(task: str) -> bool:
    manifest = next((e.manifest for e in cache.registry().entries if e.id == task), None)
    return manifest is not None and manifest.code.phantom is not None


def _checks(task: str) -> tuple[str, ...]:
    possible = [check for check in available() if task or check in DATA_CHECKS]
    usual = [check for check in possible if check not in SLOW_CHECKS]
    chosen = st.multiselect(
        "Checks",
        possible,
        default=usual,
        key=f"start-checks-{bool(task)}",
        format_func=lambda check: f"{area(check)}: {check.replace('_', ' ')}",
        help="Robustness and explanations take many passes per image and are left out at first",
    )
    return tuple(chosen)


def _device(settings: Settings) -> str:
    return "" if settings.device == "auto" else settings.device


def _start(place: AuditPlace, record: RunRecord, settings: Settings) -> None:
    try:
        place.show(start_audit(record, settings.audits).name)
    except WhyCadError as error:
        place.message = error_text(error)
    st.rerun()
