"""Reliability bins hold what was said and what came true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whycad.training.held_out import binned, reliability_of


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)), st.integers(0, 2**31))
def test_bins_lose_no_case(confidence, seed):
    true = np.random.default_rng(seed).random(len(confidence)) < confidence
    bins = binned(confidence, true)
    assert sum(bins.counts) == len(confidence)
    said = sum(c * p for c, p in zip(bins.counts, bins.confidence, strict=True) if p is not None)
    seen = sum(c * p for c, p in zip(bins.counts, bins.observed, strict=True) if p is not None)
    assert said == pytest.approx(confidence.sum())
    assert seen == pytest.approx(true.sum())
    assert all((c == 0) == (p is None) for c, p in zip(bins.counts, bins.confidence, strict=True))


def test_an_upper_edge_belongs_to_its_bin():
    bins = binned(np.array([0.0, 0.1, 0.1000001, 1.0]), np.array([True, False, True, True]))
    assert bins.counts == (2, 1, 0, 0, 0, 0, 0, 0, 0, 1)
    assert bins.observed[0] == 0.5


def test_an_honest_model_has_no_more_error_than_chance_gives():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=2000)
    labels = np.array([rng.choice(3, p=row) for row in p])
    found = reliability_of(p, labels, ("a", "b", "c"))
    assert abs(found.ece - found.ece_expected) < 0.01
    boast = p**4 / (p**4).sum(axis=1, keepdims=True)
    assert reliability_of(boast, labels, ("a", "b", "c")).ece > 0.15
    assert set(found.per_class) == {"a", "b", "c"}
