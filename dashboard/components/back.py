"""The way back from a case to the audit that it was opened from."""

from __future__ import annotations

import streamlit as st

from dashboard.state import OpenCase, session

AUDIT_VIEW = "dashboard/views/audit.py"


def back_to_audit(case: OpenCase) -> None:
    """Offer the way back to the same place; nothing for other cases."""
    if case.id in session().opened_from_audit and st.button(
        "Back to the audit", key="back-to-audit", icon=":material/arrow_back:", type="tertiary"
    ):
        st.switch_page(AUDIT_VIEW)
