"""Which rows of a data set the checks of a model look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import AuditCases
from whycad.errors import DatasetError
from whycad.wording import printable

YES, NO = frozenset({"yes", "true", "1"}), frozenset({"no", "false", "0"})


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
    """Return those of some rows whose columns hold what is wanted; case makes no difference.

    Raises
    ------
    DatasetError
        When a column is not there or no row is left.
    """
    for wanted in where:
        name, _, value = wanted.partition("=")
        column = cases.column(name.rstrip("!").strip())
        if column is None:
            there = ", ".join(one.name for one in cases.columns) or "none"
            raise DatasetError(
                f"{cases.name!r} has no column {printable(name, 40)!r}", remedy=f"it has {printable(there, 200)}"
            )
        equal = np.array([same_value(found, value) for found in column.values[rows]], bool)
        rows = rows[~equal if name.endswith("!") else equal]
    if not len(rows):
        raise DatasetError(f"{cases.name!r} has no rows where {printable(' and '.join(where), 120)}")
    return rows


def same_value(found: object, wanted: str) -> bool:
    """Tell whether a cell holds what was written; numbers are compared as numbers, yes is True and 1."""
    text, other = str(found).strip().casefold(), wanted.strip().casefold()
    if text == other:
        return True
    if {text, other} <= YES or {text, other} <= NO:
        return True
    try:
        return float(text) == float(other)
    except ValueError:
        return False
