from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whycad.audit.changes.asking import balanced_sample


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 6), st.booleans()), max_size=60), st.integers(1, 30))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_sample_is_eligible_ascending_and_as_large_as_may_be(rows, limit):
    labels = np.array([label for label, _, _ in rows], np.int64)
    groups = np.array([f"g{group}" for _, group, _ in rows], np.str_)
    eligible = np.array([flag for _, _, flag in rows], bool)
    chosen = balanced_sample(labels, groups, eligible, limit, 0)
    assert eligible[chosen].all()
    assert (np.diff(chosen) > 0).all()
    assert len(chosen) == min(limit, eligible.sum())


@given(st.integers(1, 40))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_labels_are_as_equally_many_as_there_are(limit):
    labels = np.repeat([0, 1, 2], [50, 8, 3])
    groups = np.array([f"g{i}" for i in range(len(labels))])
    counts = np.bincount(labels[balanced_sample(labels, groups, np.ones(61, bool), limit, 1)], minlength=3)
    assert counts[1] == min(8, max(counts[1], 0)) or abs(counts[0] - counts[1]) <= 1
    assert counts[0] - counts[1] <= 1 or counts[1] == 8
    assert counts[1] - counts[2] <= 1 or counts[2] == 3


def test_a_second_image_of_a_group_comes_after_the_first_of_all_others():
    groups = np.array(["a"] * 5 + ["b", "c", "d"])
    chosen = balanced_sample(np.zeros(8, np.int64), groups, np.ones(8, bool), 4, 0)
    assert sorted(groups[chosen]) == ["a", "b", "c", "d"]
