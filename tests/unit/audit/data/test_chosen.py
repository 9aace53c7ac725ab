from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.data.cases import AuditCases, MetadataColumn
from whycad.audit.data.chosen import rows_of_split, rows_where
from whycad.errors import DatasetError


@pytest.fixture
def cases() -> AuditCases:
    ids = np.array([f"c{n}" for n in range(6)])
    return AuditCases(
        "six",
        ids,
        np.array(["a", "b"] * 3),
        ids,
        np.array(["train", "val", "val", "val", "val", "train"]),
        (
            MetadataColumn("border", "category", np.array(["False", "True", "no", "", "yes", "False"])),
            MetadataColumn("age", "number", np.array([40, 50, 50, np.nan, 60, 50.0])),
        ),
    )


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ((), [1, 2, 3, 4]),
        (("border=False",), [2]),
        (("border!=true",), [2, 3]),
        (("age=50",), [1, 2]),
        (("age=50.0", "border=no"), [2]),
        (("border=",), [3]),
    ],
)
def test_rows_that_hold_what_is_wanted(cases, where, left):
    assert rows_where(cases, rows_of_split(cases, "val"), where).tolist() == left


def test_a_column_that_is_not_there_is_named_with_those_that_are(cases):
    with pytest.raises(DatasetError, match="no column 'edge'") as raised:
        rows_where(cases, np.arange(6), ("edge=1",))
    assert "border, age" in str(raised.value)


def test_no_row_left_is_said(cases):
    with pytest.raises(DatasetError, match="no rows where age=99"):
        rows_where(cases, np.arange(6), ("age=99",))
