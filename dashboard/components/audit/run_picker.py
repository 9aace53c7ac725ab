"""Which run is on show."""

from __future__ import annotations

import streamlit as st

from dashboard import cache
from dashboard.audit_place import AuditPlace
from whycad.audit.run.runs import AuditRun
from whycad.errors import DatasetError
from whycad.wording import printable

STATES = {
    "running": "running", "stopped": "stopped", "interrupted": "interrupted", "failed": "failed", "done": "",
}  # fmt: skip


def run_picker(place: AuditPlace, runs: tuple[AuditRun, ...]) -> AuditRun | None:
    """Let the reader choose a run, the newest first; return it, or None where there is none."""
    named = {run.name: run for run in runs}
    if not named:
        return None
    if place.run not in named:
        place.show(next(iter(named)))
    chosen = st.selectbox(
        "Run",
        list(named),
        index=list(named).index(place.run),
        # A new key for each run that is shown by other means than this menu.
        key=f"run-{place.run}",
        format_func=lambda name: run_title(named[name]),
        label_visibility="collapsed",
        width=560,
    )
    if chosen is not None and chosen != place.run:
        place.show(chosen)
        st.rerun()
    return named[place.run]


def run_title(run: AuditRun) -> str:
    """Return ``2026-01-02 03:04, Skin lesion 1.0 on ISIC 2017, val split``, and its state where it is not done."""
    state = STATES[run.state]
    return f"{run.when}, {what_words(run)}" + (f" ({state})" if state else "")


def what_words(run: AuditRun) -> str:
    """Say what a run is of."""
    if run.finished:
        try:
            return cache.title_of(run)
        except DatasetError:
            return f"{printable(run.name, 60)}, cannot be read"
    if run.record is None:
        return printable(run.name, 60)
    split = f", {run.record.split} split" if run.record.split else ""
    titles = {entry.id: entry.title for entry in cache.registry().entries}
    task = f"{titles.get(run.record.task, run.record.task)} on " if run.record.task else ""
    return printable(f"{task}{run.record.dataset.stem}{split}", 100)
