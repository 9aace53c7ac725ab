"""How far the work on a case is, with a way to stop it."""

from __future__ import annotations

import streamlit as st

from dashboard import work
from dashboard.state import OpenCase, Work
from whycad import wording

POLL_S = 0.4


def job_progress(case: OpenCase, plugin_id: str) -> None:
    """Follow the job of a case where one runs; the page is drawn again when there is more to show."""
    job = case.work_for(plugin_id)
    if job.message:
        st.error(job.message, icon=":material/error:")
    if job.cancelled and not job.busy:
        st.info("Cancelled. What was finished before is kept.", icon=":material/block:")
    if job.busy:
        st.fragment(_tick, run_every=POLL_S)(case, plugin_id)


def _tick(case: OpenCase, plugin_id: str) -> None:
    job = case.work_for(plugin_id)
    if work.poll(case, plugin_id) or not job.busy:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key="job", wrap=False):
        st.progress(job.fraction, text=_doing(job))
        # A callback: it runs before this function, which may ask for a rerun and so lose the click.
        st.button("Cancel", key="cancel-job", icon=":material/close:", on_click=work.cancel, args=(job,))


def _doing(job: Work) -> str:
    if job.ahead:
        return f"Waiting, {job.ahead} before this one"
    if job.progress is None or job.progress.stage == "queued":
        return "Waiting"
    if job.progress.stage != "explain" or job.running is None or not job.running.explain:
        return "Running the members"
    message = job.progress.message
    named = next((m for m in job.running.explain if m in message.replace(",", " ").split()), job.running.explain[0])
    doing = "Testing the map" if message.startswith("Testing") else "Explaining"
    return f"{doing}: {wording.method_name(named)}"
