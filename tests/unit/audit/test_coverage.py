"""Coverage is judged per class, with an interval, and only where there are enough cases."""

import numpy as np
import pytest

from whycad.audit.coverage import Coverage, SetCases, class_coverage, coverage_of


def cases(shares, n=200, seed=0):
    """Sets of which a given share holds the label, per class."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(shares)), n)
    in_set = np.zeros((len(labels), len(shares)), bool)
    in_set[np.arange(len(labels)), labels] = rng.random(len(labels)) < np.asarray(shares)[labels]
    return SetCases(in_set, labels, np.arange(len(labels)).astype(str))


def test_a_class_below_its_promise_is_named_though_the_mean_holds():
    good, bad = class_coverage(cases([0.99, 0.8]), ("a", "b"))
    assert good.holds
    assert good.shortfall <= 0
    assert not bad.holds
    assert bad.shortfall > 2.6
    assert bad.interval[0] < bad.share < bad.interval[1] < 0.9


def test_a_little_less_than_promised_is_chance():
    found = class_coverage(cases([0.89], n=100), ("a",))[0]
    assert found.holds


def test_few_cases_establish_nothing_and_are_not_judged():
    found = class_coverage(cases([0.5], n=20), ("a",))[0]
    assert not found.established
    assert found.holds


def test_a_class_without_cases_has_no_number():
    _, empty = class_coverage(cases([0.9]), ("a", "b"))
    assert empty.n == 0
    assert np.isnan(empty.share)
    assert empty.holds
    assert empty.shortfall == 0


def test_all_covered_still_has_an_interval():
    found = class_coverage(cases([1.0], n=50), ("a",))[0]
    assert found.share == 1
    assert found.interval[0] == pytest.approx(0.93, abs=0.01)


def test_none_covered_is_infinitely_far_below():
    found = class_coverage(cases([0.0], n=50), ("a",))[0]
    assert found.shortfall == float("inf")
    assert not found.holds


def test_groups_and_not_images_carry_the_interval():
    one = cases([0.85], n=200)
    paired = SetCases(one.in_set, one.labels, np.repeat(np.arange(20), 10).astype(str))
    assert coverage_of(paired, {"x": np.ones(200, bool)})[0].n_groups == 20


def test_subgroups_are_parts_of_the_cases():
    data = cases([0.9, 0.5])
    young = np.arange(400) < 200
    found = {part.name: part for part in coverage_of(data, {"young": young, "old": ~young})}
    assert found["young"].share > 0.8
    assert found["old"].share < 0.6
    assert isinstance(found["old"], Coverage)
