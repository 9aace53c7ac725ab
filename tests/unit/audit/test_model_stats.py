"""Each statistic equals its reference, on all cases and on weighted ones, which are repeated cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from sklearn import metrics

from whycad.audit.bootstrap import Estimate, GroupBootstrap
from whycad.audit.matching import balanced_auroc_of
from whycad.audit.model_stats import (
    accuracies,
    auprc_of,
    confusion_of,
    estimate_panel,
    f1_scores,
    kappa,
    matthews,
    mean_known,
    only,
    p_value,
    pr_points,
    precisions,
    recalls,
    roc_points,
    sliced,
    specificities,
    stratified_auroc_of,
)
from whycad.audit.stats import benjamini_hochberg, holm

K = 3


@st.composite
def answers(draw):
    """Labels, answers, scores with ties and whole weights of a few cases; every class is there."""
    n = draw(st.integers(6, 30))
    label = np.array(draw(st.lists(st.integers(0, K - 1), min_size=n, max_size=n)))
    label[:K] = range(K)
    said = np.array(draw(st.lists(st.integers(0, K - 1), min_size=n, max_size=n)))
    said[:2] = (0, 1)
    scores = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))) / 5
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    weights[:K] = np.maximum(weights[:K], 1)
    return label, said, scores, weights


@given(answers())
@settings(deadline=None, max_examples=25)
def test_answers_are_counted_as_sklearn_counts_repeated_cases(case):
    label, said, _, weights = case
    true, answer = np.repeat(label, weights), np.repeat(said, weights)
    c = confusion_of(label, said, K)(weights[None].astype(float))
    labels = list(range(K))
    assert accuracies(c)[0] == pytest.approx(metrics.accuracy_score(true, answer))
    assert mean_known(recalls(c))[0] == pytest.approx(
        metrics.recall_score(true, answer, average="macro", labels=labels)
    )
    assert matthews(c)[0] == pytest.approx(metrics.matthews_corrcoef(true, answer), abs=1e-9) or np.isnan(
        matthews(c)[0]
    )
    assert f1_scores(c)[0] == pytest.approx(metrics.f1_score(true, answer, average=None, labels=labels))
    given_any = np.isin(labels, answer)
    assert precisions(c)[0][given_any] == pytest.approx(
        metrics.precision_score(true, answer, average=None, labels=labels, zero_division=0)[given_any]
    )
    for index in range(K):
        assert specificities(c)[0][index] == pytest.approx(
            metrics.recall_score(true != index, answer != index), abs=1e-12
        )
    if len(np.unique(np.r_[true, answer])) > 1 and not np.isnan(kappa(c)[0]):
        assert kappa(c)[0] == pytest.approx(metrics.cohen_kappa_score(true, answer, labels=labels))
        quadratic = metrics.cohen_kappa_score(true, answer, labels=labels, weights="quadratic")
        assert kappa(c, ordinal=True)[0] == pytest.approx(quadratic)


@given(answers())
@settings(deadline=None, max_examples=25)
def test_average_precision_is_sklearns(case):
    label, _, scores, weights = case
    true = label == 0
    found = auprc_of(scores, true)(weights[None].astype(float))[0]
    assert found == pytest.approx(metrics.average_precision_score(np.repeat(true, weights), np.repeat(scores, weights)))


@given(answers())
@settings(deadline=None, max_examples=25)
def test_stratified_auroc_counts_pairs_of_one_stratum_only(case):
    label, said, scores, weights = case
    true, strata = label == 0, np.where(said == 2, -1, said)
    won = pairs = 0.0
    for i in np.flatnonzero(true):
        for j in np.flatnonzero(~true):
            if strata[i] == strata[j] >= 0:
                both = weights[i] * weights[j]
                pairs += both
                won += both * (scores[i] > scores[j]) + both * 0.5 * (scores[i] == scores[j])
    found = stratified_auroc_of(scores, true, strata)(weights[None].astype(float))[0]
    assert np.isnan(found) if pairs == 0 else found == pytest.approx(won / pairs)


def test_balancing_weights_make_level_and_label_independent():
    rng = np.random.default_rng(0)
    true, inside = rng.random(400) < 0.4, np.zeros(400, bool)
    inside[:] = rng.random(400) < np.where(true, 0.8, 0.2)
    scores = rng.random(400)
    share = np.ones(400)
    for a in (True, False):
        for b in (True, False):
            cell = (true == a) & (inside == b)
            share[cell] = (true == a).sum() * (inside == b).sum() / (400 * cell.sum())
    expected = metrics.roc_auc_score(true, scores, sample_weight=share)
    assert balanced_auroc_of(scores, true, inside)(np.ones((1, 400)))[0] == pytest.approx(expected)


def test_curves_are_thinned_but_keep_their_ends():
    rng = np.random.default_rng(0)
    true, scores = rng.random(2000) < 0.3, rng.random(2000)
    false, found = roc_points(scores, true, 50)
    assert len(false) <= 50
    assert (false[0], found[0], false[-1], found[-1]) == (0, 0, 1, 1)
    recall, precision = pr_points(scores, true, 50)
    assert len(recall) <= 50
    assert (recall[0], recall[-1], precision[-1]) == (1, 0, 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_corrections_equal_their_references_and_leave_out_what_is_not_known(p):
    known = np.array(p)
    with_gap = np.r_[known, np.nan]
    assert benjamini_hochberg(with_gap)[:-1] == pytest.approx(false_discovery_control(known))
    m = len(known)
    expected = [min(1.0, max((m - rank) * q for rank, q in enumerate(sorted(known)) if q <= one)) for one in known]
    assert holm(with_gap)[:-1] == pytest.approx(expected)
    assert np.isnan(holm(with_gap)[-1])


def test_a_figure_without_spread_has_no_p_value():
    assert np.isnan(p_value(Estimate(0.3, (0.3, 0.3), 0.0)))
    assert p_value(Estimate(1.96, None, 1.0)) == pytest.approx(0.05, abs=1e-3)


def test_parts_of_the_cases_are_measured_on_the_same_draws():
    rng = np.random.default_rng(1)
    keep, values = rng.random(50) < 0.5, rng.random(50)
    own = lambda weights: (weights * values[keep]).sum(axis=1) / weights.sum(axis=1)  # noqa: E731
    weights = rng.integers(0, 3, (4, 50)).astype(float)
    expected = (weights * (values * keep)).sum(axis=1) / (weights * keep).sum(axis=1)
    assert only(own, keep)(weights) == pytest.approx(expected)
    assert sliced(lambda w: own(w)[:, None], keep)(weights)[:, 0] == pytest.approx(expected)


def test_a_panel_gives_what_single_statistics_give():
    rng = np.random.default_rng(1)
    values, groups = rng.random((60, 2)), rng.integers(0, 20, 60)
    bootstrap = GroupBootstrap(groups, 150, 3)
    panel = lambda w: (w @ values) / w.sum(axis=1, keepdims=True)  # noqa: E731
    found, draws = estimate_panel(bootstrap, panel, 60)
    assert draws.shape == (150, 2)
    for index in range(2):
        single = bootstrap.estimate({"one": lambda w, i=index: panel(w)[:, i]})["one"]
        assert found[index].value == pytest.approx(single.value)
        assert found[index].interval == pytest.approx(single.interval)
