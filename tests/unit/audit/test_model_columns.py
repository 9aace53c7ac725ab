from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.audit.data.cases import MetadataColumn
from whycad.audit.model_columns import MOST_LEVELS, column_levels, contrasts_of, levels_of


def numbers(name, values):
    return MetadataColumn(name, "number", np.array(values, float))


def words(name, values, role="metadata"):
    return MetadataColumn(name, "category", np.array(values, np.str_), role)


def test_ages_are_cut_at_40_and_60():
    levels = {level.name: level.inside.tolist() for level in column_levels(numbers("age", [39, 40, 59, 60, np.nan]))}
    assert levels == {
        "<40": [True, False, False, False, False],
        "40-59": [False, True, True, False, False],
        "60+": [False, False, False, True, False],
    }


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=60))
@settings(deadline=None)
def test_every_known_number_is_in_exactly_one_bin(values):
    column = numbers("size_mm", values)
    levels = column_levels(column)
    inside = np.sum([level.inside for level in levels], axis=0) if levels else np.zeros(len(values))
    assert inside.astype(bool).tolist() == column.known.tolist()
    assert inside.max(initial=0) <= 1


def test_what_is_unknown_is_neither_inside_nor_in_the_rest():
    (level,) = contrasts_of([words("sex", ["f", "m", "m", ""])])
    assert level.name == "f"
    assert level.inside.tolist() == [True, False, False, False]
    assert level.rest.tolist() == [False, True, True, False]


def test_of_a_flag_the_images_with_it_are_compared():
    (level,) = contrasts_of([words("ink", ["no", "yes", "yes", "yes"], "artefact")])
    assert (level.name, level.words, level.artefact) == ("yes", "with ink", True)


def test_small_levels_and_constant_columns_are_left_out():
    columns = [words("site", ["a"] * 40 + ["b"] * 3), words("same", ["x"] * 43)]
    assert [level.name for level in levels_of(columns, 30)] == ["a"]
    assert contrasts_of(columns, 30) == ()


def test_of_many_levels_the_most_common_are_kept():
    column = words("id", [f"v{i}" for i in range(30) for _ in range(1 + (i < MOST_LEVELS))])
    assert {level.name for level in column_levels(column)} == {f"v{i}" for i in range(MOST_LEVELS)}
