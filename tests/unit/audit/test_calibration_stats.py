from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.audit.bootstrap import GroupBootstrap
from whycad.audit.calibration_stats import brier_panel, centred, ece_excess, reliability_bins
from whycad.audit.measures import brier_scores


@given(st.integers(0, 10_000), st.integers(2, 4))
@settings(deadline=None, max_examples=30)
def test_the_parts_of_the_brier_score_add_up(seed, k):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(k), 40)
    labels = rng.integers(0, k, 40)
    score, reliability, resolution, uncertainty, rest = brier_panel(probabilities, labels, np.ones((1, 40)))[0]
    assert score == pytest.approx(brier_scores(probabilities, labels).mean())
    assert score == pytest.approx(reliability - resolution + uncertainty + rest)
    shares = np.bincount(labels, minlength=k) / 40
    assert uncertainty == pytest.approx((shares * (1 - shares)).sum())
    assert min(reliability, resolution) >= 0


def test_probabilities_on_a_grid_leave_nothing_within_bins():
    rng = np.random.default_rng(0)
    said = rng.choice([0.1, 0.5, 0.9], 300)
    probabilities = np.stack([1 - said, said], axis=1)
    labels = (rng.random(300) < said).astype(int)
    assert brier_panel(probabilities, labels, np.ones((1, 300)))[0, 4] == pytest.approx(0, abs=1e-12)


def excess_of(seed, sharpness):
    rng = np.random.default_rng(seed)
    logit = rng.normal(scale=1.5, size=600)
    true = rng.random(600) < 1 / (1 + np.exp(-logit))
    said = 1 / (1 + np.exp(-sharpness * logit))
    return ece_excess(said, true, GroupBootstrap(np.arange(600), 100), n_null=100)[0]


def test_a_calibrated_model_has_no_excess_in_most_samples():
    found = [excess_of(seed, 1.0) for seed in range(20)]
    assert np.mean([one.value for one in found]) == pytest.approx(0, abs=0.01)
    assert sum(one.interval[0] > 0 for one in found) <= 2


def test_a_model_that_is_too_sure_has_an_excess():
    found = excess_of(0, 3.0)
    assert found.interval[0] > 0.05
    assert found.interval[0] < found.value < found.interval[1]


def test_the_interval_of_a_figure_that_noise_enlarges_is_moved_back():
    draws = np.random.default_rng(0).normal(0.3, 0.02, 2000)
    found = centred(0.2, draws)
    assert found.interval == pytest.approx((0.161, 0.239), abs=0.005)


def test_bins_hold_every_case_once_with_upper_edges_inside():
    bins = reliability_bins(np.array([0.0, 1 / 15, 2 / 15, 1.0]), np.array([True, False, True, True]))
    assert [one.n for one in bins] == [2, 1, 1]
    assert bins[0].observed == 0.5
