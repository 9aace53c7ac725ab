"""What the parts of the sample audit share."""

from __future__ import annotations

from whycad.audit.findings import Cell, Column, Severity, Table

N_CASES = 150
CRITICAL, WARNING, OK, UNKNOWN = Severity.CRITICAL, Severity.WARNING, Severity.OK, Severity.UNKNOWN


def case_ids(start: int, n: int) -> tuple[str, ...]:
    """Return ids of n cases."""
    return tuple(f"case-{index:04d}" for index in range(start, start + n))


def table(key: str, title: str, columns: str, rows: tuple[tuple[Cell, ...], ...], note: str = "") -> Table:
    """Return a table; titles of ``columns`` are separated by ``|``, and keys are made of them."""
    named = tuple(Column(key=name.lower().replace(" ", "_"), title=name) for name in columns.split("|"))
    return Table(key=key, title=title, columns=named, rows=rows, note=note)
