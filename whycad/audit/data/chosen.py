"""Which rows of a data set the checks of a model look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import AuditCases
from whycad.datasets.condition import Condition
from whycad.errors import DatasetError
from whycad.wording import printable


def rows_of_split(cases: AuditCases, split: str) -> NDArray[np.int64]:
    """Return the row numbers of a split, or all.

    Raises
    ------
    DatasetError
        When there are none.
    """
    rows = np.flatnonzero(cases.splits == split) if split else np.arange(len(cases))
    if not len(rows):
        there = sorted(set(cases.splits.tolist()) - {""})
        remedy = (
            f"there are the splits {', '.join(there)}" if there else "the data set has no splits: leave --split out"
        )
        raise DatasetError(f"{cases.name!r} has no rows of split {split[:32]!r}", remedy=remedy)
    return np.asarray(rows, np.int64)


def rows_where(cases: AuditCases, rows: NDArray[np.int64], where: Sequence[str]) -> NDArray[np.int64]:
    """Return those of some rows whose columns hold what is wanted, such as ``site!=ear``.

    Raises
    ------
    DatasetError
        When a column is not there or no row is left.
    """
    for wanted in map(Condition.parse, where):
        column = cases.column(wanted.column)
        if column is None:
            there = ", ".join(one.name for one in cases.columns) or "none"
            raise DatasetError(
                f"{cases.name!r} has no column {printable(wanted.column, 40)!r}",
                remedy=f"it has {printable(there, 200)}",
            )
        rows = rows[np.array([wanted.fits(cell) for cell in column.values[rows]], bool)]
    if not len(rows):
        raise DatasetError(f"{cases.name!r} has no rows where {printable(' and '.join(where), 120)}")
    return rows
