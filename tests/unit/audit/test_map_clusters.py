from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whycad.audit.map_clusters import cluster_maps
from whycad.audit.run.maps import border_cells, coarse


def maps_about(centres, n, seed, spread=1.5):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:16, :16]
    found = []
    for i in range(n):
        row, column = np.array(centres[i % len(centres)]) + rng.normal(0, spread, 2)
        one = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 12) + 0.05 * rng.random((16, 16))
        found.append(one / one.sum())
    return np.array(found)


@pytest.mark.parametrize(("n", "seed"), [(30, 0), (60, 1)])
def test_as_many_groups_are_found_as_there_are(n, seed):
    two = cluster_maps(maps_about([(8, 8), (2, 2)], n, seed))
    assert two.n == 2
    assert len(set(two.label[::2])) == 1
    assert cluster_maps(maps_about([(8, 8), (2, 2), (14, 3)], n, seed)).n == 3
    assert cluster_maps(maps_about([(8, 8)], n, seed, spread=2.5)).n == 1


def test_the_largest_group_comes_first():
    maps = np.concatenate([maps_about([(8, 8)], 40, 0), maps_about([(2, 2)], 15, 1)])
    found = cluster_maps(maps)
    assert found.members(0).sum() == 40
    assert found.members(1)[40:].all()


@given(arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.floats(-1, 1)))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_coarse_map_sums_to_one_or_is_empty(values):
    found = coarse(values)
    assert found.shape == (16, 16)
    assert found.sum() == pytest.approx(1) or not (values > 0).any()
    assert (found >= 0).all()


def test_a_coarse_map_keeps_the_place_and_sums_over_slices():
    values = np.zeros((4, 64, 96))
    values[1:3, 60:, :6] = 1
    found = coarse(values)
    assert found[15, 0] == pytest.approx(1)
    assert border_cells()[15, 0]
    assert not border_cells()[2:-2, 2:-2].any()
