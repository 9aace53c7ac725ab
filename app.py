"""WhyCAD in the browser: ``streamlit run app.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts the script's folder on the path only when it runs it by name.
HERE = Path(__file__).parent
sys.path[:0] = [] if str(HERE) in sys.path else [str(HERE)]

from dashboard import cache  # noqa: E402
from dashboard.components.frame import frame  # noqa: E402

VIEWS = HERE / "dashboard" / "views"


def main() -> None:
    """Set the page up and run the view that was asked for."""
    st.set_page_config("WhyCAD", str(HERE / "dashboard" / "icon.png"), layout="wide", initial_sidebar_state=280)
    cache.job_queue()
    page = st.navigation(
        [
            st.Page(VIEWS / "case.py", title="Case", icon=":material/image_search:", default=True),
            st.Page(VIEWS / "audit.py", title="Audit", icon=":material/fact_check:"),
            st.Page(VIEWS / "tasks.py", title="Tasks & model cards", icon=":material/view_list:"),
            st.Page(VIEWS / "about.py", title="About & limits", icon=":material/info:"),
        ],
        position="top",
    )
    frame()
    page.run()
    cache.settle()


main()
