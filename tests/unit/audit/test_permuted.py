from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.audit.permuted import max_p_values, permuted_rows


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=1, max_size=40))
@settings(deadline=None)
def test_rows_change_places_within_their_stratum_only(rows):
    strata = np.array([stratum for stratum, _ in rows])
    groups = np.array([f"g{group}" for _, group in rows])
    for permuted in permuted_rows(strata, groups, 3, 0):
        assert sorted(permuted) == list(range(len(rows)))
        assert (strata[permuted] == strata).all()


def test_groups_of_one_size_move_as_blocks():
    groups = np.repeat([f"g{i}" for i in range(10)], 3)
    for permuted in permuted_rows(np.zeros(30, int), groups, 5, 1):
        assert all(len(set(groups[permuted[start : start + 3]])) == 1 for start in range(0, 30, 3))


def test_permutations_differ_and_repeat_with_the_seed():
    groups = np.array([f"g{i}" for i in range(20)])
    first, second = permuted_rows(np.zeros(20, int), groups, 2, 7)
    again = next(iter(permuted_rows(np.zeros(20, int), groups, 1, 7)))
    assert (first != second).any()
    assert (first == again).all()


def test_p_values_count_how_often_chance_is_as_large():
    found = max_p_values(np.array([-5.0, 2.0, 0.0]), np.array([1.0, 2.0, 3.0]))
    assert found == pytest.approx([1 / 4, 3 / 4, 1.0])
