"""What is around every page: style and the research-only notice."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from whycad.wording import NOTICE

STYLE = Path(__file__).parent.parent / "style.css"


def frame() -> None:
    """Put style and notice on the page."""
    st.html(STYLE)
    with st.container(key="notice"):
        st.markdown(NOTICE)
