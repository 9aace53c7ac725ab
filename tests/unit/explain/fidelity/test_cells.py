"""The coarse grid: every pixel that can be hidden lies in one cell, and maps keep their sum."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycad.explain.fidelity.cells import Cells, blurred, even_ranks
from whycad.explain.superpixels import grid_segments


def test_cells_cover_what_differs_from_the_baseline_and_nothing_else(make_inputs):
    inputs = make_inputs((32, 48))
    inputs.array[:, :8] = 0
    cells = Cells.of(inputs, "baseline")
    assert (cells.labels[:8] == -1).all()
    assert (cells.labels[8:] >= 0).all()
    assert np.unique(cells.labels[8:]).size == cells.n >= 250


def test_a_map_keeps_its_sum(make_inputs):
    values = np.random.default_rng(0).normal(size=(32, 48)).astype(np.float32)
    sums = Cells.of(make_inputs((32, 48))).sums(values)
    assert sums.sum() == pytest.approx(float(values.sum()), abs=1e-3)


def test_cells_of_a_single_known_plane_are_squares_in_that_plane(make_inputs):
    from whycad.types import Geometry, ModelInput

    array = np.zeros((1, 5, 24, 24), np.float32)
    array[:, 2] = 1
    cells = Cells.of(ModelInput(array, Geometry(np.eye(4), (5, 24, 24), (5, 24, 24)), 0.0), n_cells=16)
    assert cells.n == 16
    assert (cells.labels[2] >= 0).all()
    assert (np.delete(cells.labels, 2, axis=0) == -1).all()


def test_a_blur_hides_structure_but_stays_inside_the_box(make_inputs):
    inputs = make_inputs((32, 48))
    box = (slice(8, 32), slice(0, 48))
    found = blurred(inputs.array, box)
    assert np.array_equal(found[:, :8], inputs.array[:, :8])
    assert found[:, 8:].std() < 0.2 * inputs.array[:, 8:].std()


@given(st.integers(2, 20), st.integers(2, 20), st.integers(2, 60))
def test_ties_are_taken_evenly(rows, columns, wanted):
    """Each next cell is at least as near to those before it as the one before was to its own."""
    labels = grid_segments((rows, columns), wanted)
    ranks = even_ranks(labels)
    assert sorted(ranks) == list(range(len(ranks)))
    centres = np.array([np.argwhere(labels == cell).mean(axis=0) for cell in np.argsort(ranks)])
    gaps = [np.linalg.norm(centres[:i] - centres[i], axis=1).min() for i in range(1, len(centres))]
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(gaps))


def test_larger_weights_come_first_whatever_the_ties(make_inputs):
    cells = Cells.of(make_inputs((32, 48)))
    weights = np.zeros(cells.n)
    weights[[17, 4]] = 2, 1
    one, other = cells.orders(weights)
    assert one[:2].tolist() == other[:2].tolist() == [17, 4]
    assert np.array_equal(one[2:], [cell for cell in np.argsort(cells.ties) if cell not in (17, 4)])
    assert np.array_equal(one[2:], other[:1:-1])
