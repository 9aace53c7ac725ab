"""Conformal sets keep their promise, per class."""

import numpy as np
import pytest
from crepes import ConformalClassifier
from hypothesis import given
from hypothesis import strategies as st

from whycad.uncertainty.conformal import conformal_set, nonconformity, p_values

LABELS = ("a", "b", "c")


def draw(rng, n):
    """Cases whose true posterior is known: 80 % of class a, few of class c."""
    prior = np.array([0.8, 0.15, 0.05])
    y = rng.choice(3, n, p=prior)
    x = rng.normal(size=n) + 1.5 * y
    likelihood = np.exp(-0.5 * (x[:, None] - 1.5 * np.arange(3)) ** 2)
    posterior = likelihood * prior
    return posterior / posterior.sum(1, keepdims=True), y


def test_every_class_is_covered_though_one_is_rare():
    rng = np.random.default_rng(0)
    p, y = draw(rng, 20_000)
    scores = nonconformity(p)
    calibration = {name: tuple(np.sort(scores[y == i, i])) for i, name in enumerate(LABELS)}
    p, y = draw(rng, 20_000)
    values = p_values(nonconformity(p), calibration)
    for i in range(3):
        assert np.mean(values[y == i, i] > 0.1) == pytest.approx(0.9, abs=0.03)


def test_p_values_are_those_of_crepes():
    rng = np.random.default_rng(1)
    p, y = draw(rng, 500)
    scores = nonconformity(p)
    own = scores[np.arange(500), y]
    calibration = {name: tuple(np.sort(own[y == i])) for i, name in enumerate(LABELS)}
    test = nonconformity(draw(rng, 50)[0])
    ours = p_values(test, calibration)
    for i in range(3):
        reference = ConformalClassifier().fit(own[y == i])
        theirs = reference.predict_p(test[:, i], smoothing=False)
        np.testing.assert_allclose(ours[:, i], np.ravel(theirs), atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0.5, 0.99))
def test_sets_hold_the_leading_label_and_grow_with_coverage(p, coverage):
    values = np.array(p)
    small = conformal_set(values, LABELS, coverage, "b")
    large = conformal_set(values, LABELS, min(0.999, coverage + 0.005), "b")
    assert "b" in small
    assert set(small) <= set(large)


def test_a_p_value_at_the_level_is_left_out():
    assert conformal_set(np.array([0.1, 0.5, 0.0]), LABELS, 0.9, "b") == ("b",)
