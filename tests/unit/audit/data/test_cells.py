"""What a column of cells becomes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycad.audit.data.cells import MAX_TEXT, column_of, known_text, plain_text, unique_ids


def kind_of(cells):
    column, why = column_of("x", cells)
    return column.kind if column is not None else why


def test_flags_numbers_and_categories_are_told_apart():
    flags, _ = column_of("x", ["1", "0", "", "1"])
    assert flags is not None
    assert flags.values.tolist() == ["yes", "no", "", "yes"]
    assert column_of("x", ["True", "no", "N"])[0].values.tolist() == ["yes", "no", "no"]
    numbers, _ = column_of("x", ["1.5", "nan", "inf", "-3", "n/a"])
    assert numbers is not None
    assert numbers.kind == "number"
    assert numbers.known.tolist() == [True, False, False, True, False]
    assert kind_of(["1", "2", "3", "1"]) == "category"
    assert kind_of([str(i) for i in range(20)]) == "number"
    assert kind_of(["left", "right", "unknown", "left"]) == "category"


@pytest.mark.parametrize(
    "dates", [["2020-01-31", "2021-02-01"], ["31.12.1999", "1.1.2000"], ["2020-01-31T10:00:00", ""]]
)
def test_dates_are_no_metadata(dates):
    assert kind_of(dates * 10) == "holds dates"


def test_what_differs_in_most_rows_and_what_is_empty_is_left_out():
    assert kind_of([f"note {i}" for i in range(30)]) == "differs in most rows"
    assert kind_of(["", "unknown", "NaN"]) == "holds no value"


def test_text_is_short_and_printable():
    assert len(plain_text("x" * 1_000_000)) == MAX_TEXT
    assert plain_text("a\x00b\nc\u202e") == "a b c"
    assert known_text(" N/A ") == ""


@given(st.lists(st.sampled_from(["", "a", "b", "a#2", "row-0", "row-1", "row-1#2"]), max_size=30))
def test_ids_are_unique_whatever_they_are_and_sound_ones_stay(names):
    found = unique_ids(names).tolist()
    assert len(set(found)) == len(names)
    firsts = {name: i for i, name in reversed(list(enumerate(names))) if name}
    plain = [name for name in firsts if "#" not in name and not name.startswith("row-")]
    assert all(found[firsts[name]] == name for name in plain)


def test_ids_stay_quick_where_all_are_the_same():
    assert len(set(unique_ids(["x"] * 20_000).tolist())) == 20_000


def test_numbers_stay_numbers():
    column, _ = column_of("age", list(np.linspace(0, 90, 50)))
    assert column is not None
    assert column.values.dtype == np.float64
