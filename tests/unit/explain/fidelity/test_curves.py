"""Deletion and insertion: the right order gains, the reversed one loses, batches and seeds change nothing."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from whycad.errors import JobCancelledError
from whycad.explain import ExplainOptions
from whycad.explain.fidelity.cells import Cells
from whycad.explain.fidelity.curves import CurveOptions, draw_curves, draw_references, gains, hidden_first
from whycad.explain.fidelity.edges import edge_map


class Brightness(nn.Module):
    """The score is the mean brightness of the upper left quarter."""

    def forward(self, x):
        return x[:, :, : x.shape[2] // 2, : x.shape[3] // 2].mean(dim=(1, 2, 3))[:, None]


@pytest.fixture
def case(make_inputs):
    cells = Cells.of(make_inputs((32, 48)), "baseline")
    options = ExplainOptions(seed=1)
    right = np.zeros((32, 48), np.float32)
    right[:16, :24] = 1
    return cells, options, draw_references(Brightness(), cells, options), cells.sums(right)


def test_the_right_order_gains_in_both_and_its_reverse_loses(case):
    cells, options, references, right = case
    good, bad = (gains(c, references) for c in draw_curves(Brightness(), cells, [right, -right], references, options))
    assert min(good.deletion_random, good.insertion_random, good.deletion_edges, good.insertion_edges) > 0.1
    assert max(bad.deletion_random, bad.insertion_random) < -0.1


def test_the_edge_detector_gains_nothing_over_itself(case):
    cells, options, references, _ = case
    edges = cells.sums(edge_map(cells.grey()))
    found = gains(draw_curves(Brightness(), cells, [edges], references, options)[0], references)
    assert (found.deletion_edges, found.insertion_edges) == (0, 0)


def test_random_orders_gain_nothing_on_average(case):
    cells, options, _, _ = case
    references = draw_references(Brightness(), cells, options, CurveOptions(n_random=30))
    rng = np.random.default_rng(5)
    curves = draw_curves(Brightness(), cells, [rng.random(cells.n) for _ in range(30)], references, options)
    assert abs(np.mean([gains(c, references).deletion_random for c in curves])) < 0.03


def test_curves_start_near_the_whole_image_and_near_nothing(case):
    _, _, references, _ = case
    assert references.nothing == 0
    assert references.span == pytest.approx(references.whole, rel=1e-6)
    assert abs(references.random.deletion[0] - references.whole) < 0.1 * references.span
    assert references.random.insertion[0] < 0.1 * references.span
    assert (np.diff(references.random.deletion) < 0).all()


def test_batches_and_company_do_not_change_a_curve(case):
    cells, options, references, right = case
    alone = draw_curves(Brightness(), cells, [right], references, options)[0]
    small = replace(options, batch_size=3)
    among = draw_curves(Brightness(), cells, [-right, right], references, small)[1]
    np.testing.assert_allclose(among.deletion, alone.deletion, rtol=1e-6)
    np.testing.assert_allclose(among.insertion, alone.insertion, rtol=1e-6)


def test_seeds_fix_the_random_orders(case):
    cells, options, references, _ = case
    again = draw_references(Brightness(), cells, options)
    other = draw_references(Brightness(), cells, replace(options, seed=2))
    assert np.array_equal(again.scores, references.scores)
    assert not np.array_equal(other.hidden, references.hidden)


def test_cancelling_stops_in_mid_curve(case):
    cells, options, _, _ = case
    with pytest.raises(JobCancelledError):
        draw_references(Brightness(), cells, replace(options, cancelled=lambda: True))


@given(st.integers(2, 300), st.lists(st.floats(0.001, 0.999), min_size=1, max_size=8))
def test_hidden_sets_grow_and_never_are_everything(n, shares):
    rows = hidden_first(np.random.default_rng(0).permutation(n), sorted(shares))
    counts = rows.sum(axis=1)
    assert (np.diff(counts) >= 0).all()
    assert counts.min() >= 1
    assert counts.max() <= n - 1
    assert all((late | early == late).all() for early, late in itertools.pairwise(rows))
