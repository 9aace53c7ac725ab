"""Measures of association agree with scipy and scikit-learn, and with what they must be at the limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact
from scipy.stats.contingency import association
from scipy.stats.contingency import odds_ratio as scipy_odds_ratio
from sklearn.metrics import mutual_info_score, roc_auc_score

from whycad.audit.bootstrap import GroupBootstrap
from whycad.audit.stats import (
    Exposure,
    auc,
    benjamini_hochberg,
    cramers_v_of,
    hanley_error,
    holm,
    mutual_information_of,
    odds_ratio,
    one_hot,
)

LEVELS = ("a", "b", "c")
pairs = st.lists(st.tuples(st.sampled_from(LEVELS), st.sampled_from(LEVELS)), min_size=8, max_size=60)


def arrays(rows):
    x, y = np.array([a for a, _ in rows]), np.array([b for _, b in rows])
    return x, y, one_hot(x, LEVELS), one_hot(y, LEVELS), np.ones((1, len(rows)))


@given(pairs)
def test_mutual_information_is_that_of_scikit_learn(rows):
    x, y, hot_x, hot_y, once = arrays(rows)
    assert mutual_information_of(hot_x, hot_y)(once)[0] == pytest.approx(mutual_info_score(x, y), abs=1e-9)


@given(pairs)
def test_cramers_v_is_below_scipys_by_its_correction_and_between_0_and_1(rows):
    x, y, hot_x, hot_y, once = arrays(rows)
    found = cramers_v_of(hot_x, hot_y)(once)[0]
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert np.isnan(found) or found == 0
        return
    _, counts_x = np.unique(x, return_inverse=True)
    _, counts_y = np.unique(y, return_inverse=True)
    table = np.zeros((counts_x.max() + 1, counts_y.max() + 1), int)
    np.add.at(table, (counts_x, counts_y), 1)
    assert np.isnan(found) or 0 <= found <= 1
    if len(rows) >= 40:
        assert found == pytest.approx(association(table, method="cramer"), abs=0.3)


def test_cramers_v_of_many_cases_is_scipys():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 3, 5000)
    y = np.where(generator.random(5000) < 0.4, x, generator.integers(0, 3, 5000))
    table = np.zeros((3, 3), int)
    np.add.at(table, (x, y), 1)
    hot = [one_hot(values.astype(str), ("0", "1", "2")) for values in (x, y)]
    assert cramers_v_of(*hot)(np.ones((1, 5000)))[0] == pytest.approx(association(table, method="cramer"), abs=0.002)


@given(pairs, st.integers(0, 5))
@settings(max_examples=30)
def test_weights_mean_what_repeated_rows_mean(rows, seed):
    *_, hot_x, hot_y, _ = arrays(rows)
    times = np.random.default_rng(seed).integers(0, 3, len(rows))
    weighted = mutual_information_of(hot_x, hot_y)(times[None].astype(float))
    repeated = mutual_information_of(np.repeat(hot_x, times, 0), np.repeat(hot_y, times, 0))(np.ones((1, times.sum())))
    assert np.nan_to_num(weighted[0]) == pytest.approx(np.nan_to_num(repeated[0]), abs=1e-9)


def test_an_odds_ratio_is_scipys_sample_ratio_with_half_a_case_in_each_cell():
    exposed = np.repeat([True, True, False, False], [30, 70, 60, 240])
    positive = np.repeat([True, False, True, False], [30, 70, 60, 240])
    found = odds_ratio(exposed, positive, GroupBootstrap(np.arange(400), 400))
    plain = scipy_odds_ratio(np.array([[30, 70], [60, 240]]), kind="sample")
    assert found.value == pytest.approx(plain.statistic, rel=0.02)
    assert found.low == pytest.approx(plain.confidence_interval().low, rel=0.15)
    assert found.high == pytest.approx(plain.confidence_interval().high, rel=0.15)
    assert found.p == pytest.approx(fisher_exact([[30, 70], [60, 240]]).pvalue, abs=0.05)
    assert found.cells == (30, 70, 60, 240)


def test_an_empty_cell_gives_a_wide_interval_and_not_certainty():
    exposed = np.repeat([True, False, False], [5, 5, 90])
    positive = np.repeat([False, True, False], [5, 5, 90])
    found = odds_ratio(exposed, positive, GroupBootstrap(np.arange(100), 200))
    assert found.low < 1 < found.high
    assert found.p > 0.05


def odds_ratio_log(exposed, positive):
    return float(np.log(odds_ratio(exposed, positive, GroupBootstrap(np.arange(len(exposed)), 2)).value))


def test_swapping_exposed_and_others_turns_the_ratio_over():
    generator = np.random.default_rng(1)
    exposed, positive = generator.random(200) < 0.4, generator.random(200) < 0.3
    once = np.ones((1, 200))
    known = generator.random(200) < 0.9
    turned = [Exposure(side, positive, known).log_odds_ratio(once)[0] for side in (exposed, ~exposed)]
    assert turned[0] == pytest.approx(-turned[1])
    assert turned[0] == pytest.approx(odds_ratio_log(exposed[known], positive[known]))


def test_groups_that_repeat_one_case_widen_the_interval():
    generator = np.random.default_rng(2)
    exposed = np.repeat(generator.random(40) < 0.5, 10)
    positive = np.repeat(generator.random(40) < 0.5, 10)
    alone = odds_ratio(exposed, positive, GroupBootstrap(np.arange(400), 300))
    grouped = odds_ratio(exposed, positive, GroupBootstrap(np.repeat(np.arange(40), 10), 300))
    assert grouped.high / grouped.low > 2 * alone.high / alone.low
    assert grouped.p > alone.p


def test_areas_are_those_of_scikit_learn_and_perfect_ones_of_few_cases_are_no_proof():
    generator = np.random.default_rng(3)
    positive = generator.random(300) < 0.3
    scores = positive + generator.normal(size=300)
    found = auc(scores, positive, GroupBootstrap(np.arange(300), 300))
    assert found.value == pytest.approx(roc_auc_score(positive, scores))
    assert found.low < found.value < found.high
    assert found.p < 1e-6
    few = auc(np.array([0.0, 0, 1]), np.array([False, False, True]), GroupBootstrap(np.arange(3), 100))
    assert few.value == 1
    assert few.p > 0.01


def test_hanleys_error_is_that_of_his_paper():
    # Hanley 1982, table IV: 58 normal and 51 abnormal, area 0.893.
    assert hanley_error(0.893, 51, 58) == pytest.approx(0.0325, abs=0.001)


p_values = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(p_values)
def test_adjusted_p_values_keep_the_order_and_never_shrink(p):
    values = np.array(p)
    for adjust in (holm, benjamini_hochberg):
        found = adjust(values)
        assert (found >= values - 1e-12).all()
        assert (found <= 1).all()
        order = np.argsort(values, kind="stable")
        assert (np.diff(found[order]) >= -1e-12).all()
    assert (holm(values) >= benjamini_hochberg(values) - 1e-12).all()


def test_holm_follows_the_textbook_and_leaves_out_what_is_unknown():
    found = holm([0.01, np.nan, 0.04, 0.03])
    assert found[[0, 2, 3]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(found[1])
    assert np.isnan(benjamini_hochberg([np.nan])).all()


def test_a_perfect_area_of_few_cases_has_a_wide_interval():
    positive = np.repeat([False, True], 15)
    found = auc(positive.astype(float), positive, GroupBootstrap(np.arange(30), 100))
    assert found.value == found.high == 1
    assert 0.85 < found.low < 0.99
    many = auc(np.repeat([0.0, 1.0], 400), np.repeat([False, True], 400), GroupBootstrap(np.arange(800), 100))
    assert many.low > 0.995
