"""The run itself: files, comparison, command."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from dashboard import cache
from dashboard.audit_place import AuditPlace
from dashboard.components.audit.run_picker import run_title
from dashboard.text import plain
from whycad.audit.findings import Audit
from whycad.audit.run.runner import AUDIT_FILE
from whycad.audit.run.runs import AuditRun, find_runs

FILES = (
    ("Report", "report.html", "text/html", ":material/description:"),
    ("PDF", "report.pdf", "application/pdf", ":material/picture_as_pdf:"),
    ("JSON", AUDIT_FILE, "application/json", ":material/data_object:"),
)


def this_run(place: AuditPlace, run: AuditRun, audit: Audit) -> None:
    """Show what can be taken away, what it can be compared with, and how it was run."""
    with st.container(border=True, key="this-run", gap="small"):
        st.markdown("**This run**")
        with st.container(horizontal=True, key="audit-files", gap="xsmall"):
            for title, name, kind, icon in FILES:
                _file(run, title, name, kind, icon)
            tables = sorted((run.folder / "tables").glob("*.csv"))
            _download(
                "Tables", f"{run.name}-tables.zip", "application/zip", ":material/table:", _zipped(tables), tables
            )
        _compare(place, run)
        minutes = f"{audit.run.seconds / 60:.0f} min" if audit.run.seconds >= 90 else f"{audit.run.seconds:.0f} s"
        st.caption(f"Took {minutes}; seed {audit.run.seed}; WhyCAD {plain(audit.run.code_version, 40)}")
        with st.expander("Command", key="audit-command"):
            st.code(audit.run.command or "not recorded", language=None, wrap_lines=True)


def _file(run: AuditRun, title: str, name: str, kind: str, icon: str) -> None:
    path = run.folder / name
    _download(title, f"{run.name}{path.suffix}", kind, icon, path.read_bytes, [path] if path.is_file() else [])


def _download(title: str, name: str, kind: str, icon: str, made: Callable[[], bytes], sources: list[Path]) -> None:
    st.download_button(
        title,
        made if sources else b"",
        name,
        kind,
        on_click="ignore",
        icon=icon,
        key=f"audit-download-{title}",
        disabled=not sources,
        help=None if sources else "This run has not written it",
    )


def _zipped(tables: list[Path]) -> Callable[[], bytes]:
    def made() -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in tables:
                archive.write(path, path.name)
        return buffer.getvalue()

    return made


def _compare(place: AuditPlace, run: AuditRun) -> None:
    others = {r.name: r for r in find_runs(cache.settings().audits) if r.finished and r.name != run.name}
    if not others:
        return
    chosen = st.selectbox(
        "Compare with",
        list(others),
        index=None,
        key=f"compare-with-{run.name}",
        format_func=lambda name: run_title(others[name]),
        placeholder="Another run or model version",
    )
    if chosen:
        place.other = chosen
        st.rerun()
