"""Rank correlation and structural similarity of maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from whycad.explain.fidelity.agreement import mean_agreement, rank_correlation, similarity_to_the_eye


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=30))
def test_it_is_spearmans_correlation(pairs):
    first, second = (np.array(values, float) for values in zip(*pairs, strict=True))
    flat = len(set(first)) == 1 or len(set(second)) == 1
    expected = 0.0 if flat else spearmanr(first, second).statistic
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-9)


def test_scale_and_strength_do_not_matter_to_the_eye():
    values = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    assert similarity_to_the_eye(values, 7 * values) == pytest.approx(1, abs=1e-6)
    assert similarity_to_the_eye(values, values[::-1].copy()) < 0.9
    assert similarity_to_the_eye(values[None], values[None]) == pytest.approx(1)
    assert similarity_to_the_eye(values[:4], values[:4]) is None


def test_agreement_is_the_mean_over_the_others():
    own = np.arange(5.0)
    assert mean_agreement(own, [own, -own, own]) == pytest.approx(1 / 3)
    assert mean_agreement(own, []) is None
