"""Why, How sure, Checks, Provenance."""

from __future__ import annotations

import streamlit as st

from dashboard.components.checks_tab import checks_tab
from dashboard.components.rows import rows
from dashboard.components.sure_tab import sure_tab
from dashboard.components.why_tab import why_tab
from dashboard.facts import TaskFacts
from dashboard.setting import Shown
from dashboard.state import OpenCase
from whycad.report import provenance_rows


def case_tabs(shown: Shown, case: OpenCase, facts: TaskFacts, target: str) -> None:
    """Show the four tabs of a case; the charts of How sure are drawn only while it is open."""
    names = ["Why", "How sure", "Checks", "Provenance"]
    why, sure, checks, provenance = st.tabs(names, key="case-tabs", on_change="rerun")
    with why:
        why_tab(shown, case, facts, target)
    with sure:
        if sure.open:
            sure_tab(shown, facts)
    with checks:
        checks_tab(shown.result, case, facts)
    with provenance:
        rows(provenance_rows(shown.result), key="provenance")
