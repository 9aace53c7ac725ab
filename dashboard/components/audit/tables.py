"""A table of an audit: sortable, and a row shows the cases behind it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import state
from dashboard.audit_place import AuditPlace, Selection
from dashboard.text import plain
from whycad.audit.findings import CheckResult, Column, Table
from whycad.audit.words import cell_words

ROWS_PX, HEAD_PX, MOST_PX = 35, 42, 420
MOST_DECIMALS = 6


def table_card(place: AuditPlace, result: CheckResult, table: Table) -> None:
    """Show a table with its title and note."""
    import pandas as pd

    key = f"audit-table-{result.check}-{table.key}"
    columns = list(zip(*table.rows, strict=True)) if table.rows else [() for _ in table.columns]
    frame = pd.DataFrame({c.key: list(values) for c, values in zip(table.columns, columns, strict=True)})
    shown = {column.key: _shown(column, frame[column.key]) for column in table.columns}
    with st.container(border=True, key=f"card-{key}", gap="xsmall"):
        st.markdown(f"**{plain(table.title, 300)}**")
        common: dict[str, Any] = {
            "hide_index": True,
            "column_config": shown,
            "key": key,
            "height": min(MOST_PX, HEAD_PX + ROWS_PX * max(1, len(frame))),
        }
        if any(table.cases):
            st.dataframe(frame, on_select=lambda: take_row(place, table, key), selection_mode="single-row", **common)
            st.caption(f"{plain(table.note, 400)} Mark a row to see the cases behind it.".strip())
        else:
            st.dataframe(frame, **common)
            if table.note:
                st.caption(plain(table.note, 400))


def _shown(column: Column, values: Any) -> Any:
    title = cell_words(column.title, limit=60)
    if values.map(lambda value: isinstance(value, int | float) or value is None).all() and values.dtype != bool:
        return st.column_config.NumberColumn(title, format=f"%.{min(MOST_DECIMALS, column.decimals)}f")
    return st.column_config.Column(title)


def take_row(place: AuditPlace, table: Table, key: str) -> None:
    """Show the cases behind the row that was marked, if any."""
    row = state.chosen_row(key)
    if row is None or row >= len(table.cases) or not table.cases[row]:
        return
    named = next((cell for cell in table.rows[row] if isinstance(cell, str)), f"row {row + 1}")
    cases = tuple(dict.fromkeys(table.cases[row]))
    place.select(Selection(cell_words(named, limit=60), cases, len(cases), key))
