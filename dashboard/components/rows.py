"""Names and values as a quiet table."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from dashboard.text import plain


def rows(pairs: Iterable[tuple[str, str]], *, key: str) -> None:
    """Show names and values; both are escaped.

    Parameters
    ----------
    pairs : iterable of (str, str)
    key : str
        Streamlit's key of the block; keys that start with ``rows`` get the table's style.
    """
    lines = [f"| {plain(name)} | **{plain(value, 400)}** |" for name, value in pairs]
    with st.container(key=f"rows-{key}"):
        st.markdown("\n".join(["| | |", "|:--|:--|", *lines]))
