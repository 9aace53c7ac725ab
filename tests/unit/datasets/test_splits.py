"""No group is ever on two sides of a split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.datasets.splits import grouped_folds


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.integers(0, 15), min_size=20, max_size=80),
    n_folds=st.integers(2, 4),
    seed=st.integers(0, 100),
)
def test_groups_stay_whole_and_every_row_has_a_fold(groups, n_folds, seed):
    groups = np.array([*groups, *range(100, 100 + 3 * n_folds)])
    labels = np.arange(len(groups)) % 2
    folds = grouped_folds(labels, groups, n_folds, seed)
    assert set(folds) <= set(range(n_folds))
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1


def test_folds_keep_the_classes_apart_in_about_equal_shares():
    labels = np.array([0] * 80 + [1] * 20)
    folds = grouped_folds(labels, np.arange(100), 5)
    assert [int(labels[folds == fold].sum()) for fold in range(5)] == [4] * 5


def test_the_same_seed_gives_the_same_folds_and_another_gives_others():
    labels, groups = np.arange(60) % 3, np.arange(60) // 2
    first = grouped_folds(labels, groups, 4, seed=1)
    np.testing.assert_array_equal(first, grouped_folds(labels, groups, 4, seed=1))
    assert not np.array_equal(first, grouped_folds(labels, groups, 4, seed=2))
