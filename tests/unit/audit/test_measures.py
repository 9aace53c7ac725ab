"""Measures against scikit-learn, closed forms and values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from whycad.audit.measures import (
    aurc_of,
    auroc_of,
    brier_scores,
    ece_of,
    expected_ece,
    log_losses,
    mean_of,
    mean_over,
)


def once(statistic, n):
    return float(statistic(np.ones((1, n)))[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 4)), min_size=2, max_size=40))
def test_auroc_is_scikit_learns_ties_and_weights_included(rows):
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = float(auroc_of(scores / 6, positive.astype(bool))(weights[None].astype(float))[0])
    kept = weights > 0
    if len(set(positive[kept].tolist())) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(positive[kept], scores[kept], sample_weight=weights[kept]))


def test_auroc_by_hand():
    assert once(auroc_of(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])), 4) == 0.75
    assert once(auroc_of(np.array([0.5, 0.5]), np.array([False, True])), 2) == 0.5


def test_every_weighting_is_treated_by_itself():
    statistic = mean_of(np.array([1.0, 0.0, 0.0]), np.array([True, True, False]))
    np.testing.assert_allclose(
        statistic(np.array([[1.0, 1, 9], [3, 1, 0], [0, 0, 5]])), [0.5, 0.75, np.nan], equal_nan=True
    )


def test_values_outside_the_part_do_not_matter_even_when_not_finite():
    assert once(mean_of(np.array([1.0, np.nan]), np.array([True, False])), 2) == 1.0


def test_a_mean_over_classes_leaves_out_those_a_draw_lacks():
    first, second = (
        mean_of(np.array([1.0, 0.0]), np.array([True, False])),
        mean_of(np.array([0.0, 0.5]), np.array([False, True])),
    )
    np.testing.assert_allclose(mean_over([first, second])(np.array([[1.0, 1], [1, 0]])), [0.75, 1.0])
    assert np.isnan(once(mean_over([]), 3))


def test_calibration_error_by_hand():
    # Two bins of fifteen: 0.7 (right, wrong) and 0.95 (right): 2/3 * |0.5 - 0.7| + 1/3 * |1 - 0.95|.
    confidence, correct = np.array([0.7, 0.7, 0.95]), np.array([True, False, True])
    assert once(ece_of(confidence, correct), 3) == pytest.approx(2 / 3 * 0.2 + 1 / 3 * 0.05)


def test_bins_are_closed_above_and_hold_both_ends():
    assert once(ece_of(np.array([0.2, 0.4]), np.array([True, False]), n_bins=5), 2) == pytest.approx(0.6)
    # 0.2 is in the first bin, 0.2000001 in the second, so that errors of opposite sign do not cancel.
    split = ece_of(np.array([0.2, 0.2000001]), np.array([True, False]), n_bins=5)
    assert once(split, 2) == pytest.approx(0.5)
    assert once(ece_of(np.array([0.0, 1.0]), np.array([False, True])), 2) == 0.0


def test_the_expected_error_of_a_calibrated_model_has_its_closed_form():
    # n cases of confidence p in one bin: E|Binomial(n, p) / n - p|.
    n, p = 10, 0.7
    from scipy.stats import binom

    counts = np.arange(n + 1)
    expected = float((binom.pmf(counts, n, p) * np.abs(counts / n - p)).sum())
    assert expected_ece(np.full(n, p), n_draws=20_000) == pytest.approx(expected, abs=0.002)


def test_the_excess_of_a_calibrated_model_is_about_nothing_and_of_an_overconfident_one_is_not():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.4, 1, 4000)
    fair = rng.random(4000) < confidence
    sure = rng.random(4000) < confidence - 0.1
    expected = expected_ece(confidence, n_draws=200)
    assert abs(once(ece_of(confidence, fair), 4000) - expected) < 0.012
    assert once(ece_of(confidence, sure), 4000) - expected > 0.06


def test_risk_and_coverage_by_hand():
    # Kept one by one: risks 0, 1/2, 1/3.
    confidence, wrong = np.array([0.7, 0.9, 0.8]), np.array([False, False, True])
    assert once(aurc_of(confidence, wrong), 3) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)


def test_cases_of_equal_confidence_are_kept_together_in_whatever_order_they_come():
    confidence, wrong = np.full(4, 0.5), np.array([True, False, False, False])
    assert once(aurc_of(confidence, wrong), 4) == once(aurc_of(confidence, wrong[::-1]), 4) == 0.25


def test_brier_and_log_loss_are_scikit_learns():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(4), 50)
    labels = rng.integers(0, 4, 50)
    assert brier_scores(probabilities, labels).mean() == pytest.approx(
        brier_score_loss(labels, probabilities, scale_by_half=False)
    )
    assert log_losses(probabilities, labels).mean() == pytest.approx(log_loss(labels, probabilities, labels=range(4)))


def test_a_probability_of_nothing_costs_much_but_not_everything():
    assert log_losses(np.array([[1.0, 0.0]]), np.array([1]))[0] == pytest.approx(-np.log(1e-7))
