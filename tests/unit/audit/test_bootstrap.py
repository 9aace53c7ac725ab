"""Groups are drawn whole; intervals have their nominal width."""

import numpy as np
import pytest

from whycad.audit.bootstrap import Estimate, GroupBootstrap, share_interval, wilson_interval
from whycad.audit.measures import mean_of


def test_members_of_a_group_come_and_go_together():
    bootstrap = GroupBootstrap(["a", "b", "a", "c"], n_draws=50)
    weights = np.concatenate(list(bootstrap.weights()))
    assert weights.shape == (50, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)
    assert weights[:, 0].std() > 0


def test_the_same_seed_gives_the_same_draws():
    def first(seed):
        return next(iter(GroupBootstrap(range(20), seed=seed).weights()))

    np.testing.assert_array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))


def test_the_standard_error_of_a_mean_is_the_textbooks():
    values = np.random.default_rng(0).normal(size=400)
    found = GroupBootstrap(range(400), n_draws=2000).estimate({"mean": mean_of(values)})["mean"]
    expected = values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(expected, rel=0.06)
    assert found.interval == pytest.approx(
        (values.mean() - 1.96 * expected, values.mean() + 1.96 * expected), abs=0.012
    )


def test_copies_of_a_case_add_no_certainty():
    values = np.random.default_rng(0).normal(size=100)
    alone = GroupBootstrap(range(100)).estimate({"m": mean_of(values)})["m"]
    tripled = GroupBootstrap(np.repeat(range(100), 3)).estimate({"m": mean_of(np.repeat(values, 3))})["m"]
    assert tripled.standard_error == pytest.approx(alone.standard_error)
    naive = GroupBootstrap(range(300)).estimate({"m": mean_of(np.repeat(values, 3))})["m"]
    assert naive.standard_error < 0.7 * alone.standard_error


def test_a_figure_that_is_not_defined_has_no_interval():
    found = GroupBootstrap(range(5)).estimate({"m": mean_of(np.ones(5), np.zeros(5, bool))})["m"]
    assert found.interval is None
    assert found.as_json() == {"value": None, "interval": None}


def test_wilson_is_the_textbooks():
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


@pytest.mark.parametrize(("value", "expected"), [(1.0, (0.7225, 1.0)), (0.0, (0.0, 0.2775)), (0.5, (0.4, 0.6))])
def test_all_or_nothing_is_never_certain(value, expected):
    estimate = Estimate(value, (0.4, 0.6) if value == 0.5 else (value, value), 0.0)
    assert share_interval(estimate, 10) == pytest.approx(expected, abs=1e-4)
