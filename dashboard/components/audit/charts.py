"""A chart of an audit on the page: a click shows the cases behind the datum."""

from __future__ import annotations

import streamlit as st

from dashboard import figures, state
from dashboard.audit_place import AuditPlace, Selection
from dashboard.figures_audit import audit_chart, audit_chart_alt, mark_name, mark_of
from dashboard.text import plain
from whycad.audit.findings import Chart, CheckResult

PER_CHART = "audit-chart"


def chart_card(place: AuditPlace, result: CheckResult, chart: Chart) -> None:
    """Show a chart with its title and note."""
    key = f"{PER_CHART}-{result.check}-{chart.key}"
    clickable = any(mark.cases for series in chart.series for mark in series.marks)
    with st.container(border=True, key=f"card-{key}", gap="xsmall"):
        st.markdown(f"**{plain(chart.title, 300)}**")
        figure = audit_chart(chart, dark=figures.is_dark(st.context.theme.type))
        alt = audit_chart_alt(chart)
        if clickable:
            # A callback: whichever chart or table was clicked last decides.
            st.plotly_chart(
                figure,
                key=key,
                config=figures.CONFIG,
                alt=alt,
                on_select=lambda: take_point(place, chart, key),
                selection_mode="points",
            )
            st.caption(f"{plain(chart.note, 400)} Click a mark to see the cases behind it.".strip())
        else:
            st.plotly_chart(figure, key=key, config=figures.CONFIG, alt=alt)
            if chart.note:
                st.caption(plain(chart.note, 400))


def take_point(place: AuditPlace, chart: Chart, key: str) -> None:
    """Show the cases behind the point that was clicked, if any."""
    point = state.chosen_point(key)
    mark = None if point is None else mark_of(chart, point)
    if mark is not None and mark.cases:
        cases = tuple(dict.fromkeys(mark.cases))
        place.select(Selection(mark_name(chart, mark), cases, max(len(cases), mark.n or 0), key))
