"""The gate accepts what it was fitted on and notices what lies elsewhere."""

import numpy as np
import pytest

from whycad.uncertainty.ood_fit import fit_ood


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(12, 40))
    return lambda n, seed: np.random.default_rng(seed).normal(size=(n, 12)) @ basis


@pytest.fixture(scope="module")
def reference(features):
    return fit_ood(features(800, 1), np.arange(800).astype(str), n_components=8)


def test_new_cases_of_the_same_kind_are_accepted_as_promised(reference, features):
    accepted = reference.score(features(4000, 2)) <= reference.refer_above
    assert np.mean(accepted) == pytest.approx(0.95, abs=0.02)


def test_other_cases_are_not(reference, features):
    shifted = features(200, 3) + 8 * features(1, 4)
    assert np.mean(reference.score(shifted) > reference.reject_above) > 0.95


def test_percentiles_rise_with_the_score(reference):
    scores = np.linspace(0, 20, 30)
    percentiles = [reference.percentile(s) for s in scores]
    assert percentiles == sorted(percentiles)
    assert percentiles[0] == 0
    assert percentiles[-1] == 100
