"""How far a run is, with ways to stop it and to go on."""

from __future__ import annotations

import streamlit as st

from dashboard import cache
from dashboard.audit_place import AuditPlace
from dashboard.text import error_text, plain
from whycad.audit.run.launch import last_words, resume_audit, stop_audit
from whycad.audit.run.runs import AuditRun, find_run
from whycad.audit.run.status import STOP_FILE, Status
from whycad.errors import WhyCadError

POLL_S = 1.0
SAID = {
    "stopped": "This run was stopped. What was computed is kept.",
    "interrupted": "This run was interrupted: its process is gone. What was computed is kept.",
    "failed": "This run failed.",
}


def run_progress(place: AuditPlace, run: AuditRun) -> None:
    """Show how a run that is not done stands; where it runs, follow it."""
    if run.state == "done":
        return
    with st.container(border=True, key="run-state", gap="small"):
        if run.state == "running":
            st.fragment(_tick, run_every=POLL_S)(run.name)
        else:
            _ended(place, run)
        if place.message:
            st.error(place.message, icon=":material/error:")


def _tick(name: str) -> None:
    try:
        run = find_run(cache.settings().audits, name)
    except WhyCadError:
        st.rerun()
    status = run.status
    if run.state != "running" or status is None:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, key="run-bar"):
        st.progress(fraction(status), text=plain(doing(status), 200))
        stopping = (run.folder / STOP_FILE).exists()
        # A callback: it runs before this function, which may ask for a rerun and so lose the click.
        st.button(
            "Stopping" if stopping else "Stop",
            key="stop-run",
            icon=":material/stop:",
            disabled=stopping or not cache.settings().may_start,
            on_click=_stop,
            args=(run,),
        )
    st.caption("It goes on when this page is closed.")


def fraction(status: Status) -> float:
    """Return how much of a run is done, 0..1: checks that ended, and the part of the one at hand."""
    part = status.done / status.total if status.total else 0.0
    return min(1.0, (status.checks_done + min(1.0, part)) / max(1, status.checks_total))


def doing(status: Status) -> str:
    """Say what a run does, how far it is, and what is left of this step."""
    step = status.step.replace("_", " ").capitalize() or "Starting"
    parts = [f"{step}: {status.done:,} of {status.total:,} images"] if status.total else [step]
    if status.checks_total:
        parts.append(f"{status.checks_done} of {status.checks_total} checks done")
    if status.seconds_left is not None and status.done < status.total:
        parts.append(f"about {duration(status.seconds_left)} left in this step")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return ``40 s``, ``5 min`` or ``1 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _stop(run: AuditRun) -> None:
    stop_audit(run.folder)


def _ended(place: AuditPlace, run: AuditRun) -> None:
    st.markdown(f"**{SAID[run.state]}**")
    if run.status is not None and run.status.message:
        st.markdown(plain(run.status.message, 600))
    elif run.state != "stopped" and (words := last_words(run.folder)):
        st.code(words, language=None, wrap_lines=True)
    resumable = run.can_resume and cache.settings().may_start
    if resumable and st.button("Go on", key="resume-run", icon=":material/play_arrow:"):
        place.message = ""
        try:
            resume_audit(run, cache.settings().audits)
        except WhyCadError as error:
            place.message = error_text(error)
        st.rerun()
