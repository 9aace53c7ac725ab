"""The result as files."""

from __future__ import annotations

import json

import streamlit as st

from dashboard.facts import TaskFacts
from dashboard.setting import Shown
from dashboard.state import OpenCase
from whycad.rendering import contact_sheet, shown_slice
from whycad.report import ReportContent, html_report
from whycad.result_io import result_to_json


def downloads(shown: Shown, case: OpenCase, facts: TaskFacts, target: str) -> None:
    """Offer JSON, report and overlays of the stored result; each is made when it is asked for."""
    result = shown.result
    name = f"whycad-{facts.manifest.id}-{result.study_sha256[:12]}"
    content = ReportContent(result, case.study, facts.manifest, facts.performance, shown.coverage)
    maps = [a for a in result.attributions if a.target == target]
    with st.container(horizontal=True, key="downloads"):
        st.download_button(
            "Report",
            lambda: html_report(content),
            f"{name}.html",
            "text/html",
            on_click="ignore",
            icon=":material/description:",
            key="download-html",
        )
        st.download_button(
            "JSON",
            lambda: json.dumps(result_to_json(result), indent=1),
            f"{name}.json",
            "application/json",
            on_click="ignore",
            icon=":material/data_object:",
            key="download-json",
        )
        st.download_button(
            "Maps",
            lambda: contact_sheet(case.study, maps, index=shown_slice(case.study, result)),
            f"{name}.png",
            "image/png",
            on_click="ignore",
            icon=":material/image:",
            key="download-png",
            disabled=not maps,
        )
