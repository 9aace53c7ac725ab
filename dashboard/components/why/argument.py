"""The line of argument: what speaks for the leading label and what against, each with its picture."""

from __future__ import annotations

import streamlit as st

from dashboard.components.overlays import shown_maps
from dashboard.state import OpenCase, Work, session
from dashboard.text import plain
from whycad.manifest import Manifest
from whycad.types import AnalysisResult, Finding

NOTE = "Made from measurements, descriptors and maps by fixed rules. It tells what the model may have seen, not why."


def argument_card(result: AnalysisResult, case: OpenCase, manifest: Manifest) -> None:
    """Show the findings for the leading label, then those against it, then where they disagree."""
    name = plain(manifest.label(result.prediction.predicted).name)
    with st.container(border=True, height="stretch", key="argument", gap="xsmall"):
        st.markdown(f"**Line of argument for {name}**")
        if not result.findings:
            st.markdown("Nothing that was measured speaks clearly for or against it.")
        job = case.work_for(manifest.id)
        maps = shown_maps(job, result.prediction.predicted, manifest, researcher=session().researcher)
        methods = {attribution.method for attribution in maps}
        for number, finding in enumerate(in_order(result.findings)):
            _line(number, finding, job, methods)
        if result.findings:
            st.caption(NOTE)


def in_order(findings: tuple[Finding, ...]) -> list[Finding]:
    """Sort findings: for, against, conflicts; the strongest first within each."""
    return sorted(findings, key=lambda f: (f.source == "conflict", not f.speaks_for, -f.strength))


def mark_of(finding: Finding) -> str:
    """Return the sign that stands before a finding, with its colour."""
    if finding.source == "conflict":
        return ":orange[**!**]"
    return ":red[**+**]" if finding.speaks_for else ":blue[**−**]"


def _line(number: int, finding: Finding, job: Work, methods: set[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"finding-{number}", gap="xsmall"):
        drawn = f"  :small[:gray[outline “{plain(finding.outline, 40)}”]]" if finding.outline else ""
        st.markdown(f"{mark_of(finding)} {plain(finding.sentence, 300)}{drawn}")
        if finding.key in methods and st.button(
            "Show", key=f"show-finding-{number}", type="tertiary", help="Show this map in the picture"
        ):
            job.focus = finding.key
            st.rerun()
