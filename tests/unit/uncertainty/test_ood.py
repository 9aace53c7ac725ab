"""The gate accepts what it was fitted on, notices what lies elsewhere, and says by which score."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whycad.uncertainty.ood import (
    METHOD,
    SCORES,
    Observed,
    OodGate,
    OodReference,
    Tail,
    assess,
    combined,
    energy,
    percentile_among,
    raw_scores,
)
from whycad.uncertainty.ood_fit import GateData, GateOptions, cross_fitted_scores, fit_gate, fit_ood, fit_tail

OPTIONS = GateOptions(n_components=8)
BASIS = np.random.default_rng(0).normal(size=(12, 40))


def features(n, seed):
    return np.random.default_rng(seed).normal(size=(n, 12)) @ BASIS


def cases(n, seed):
    """Two classes that differ in features and logits, with a plugin's own score."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    x = features(n, seed + 100) + 3 * labels[:, None] * BASIS[0]
    logits = rng.normal(scale=0.5, size=(2, 2, n, 2)) + 3 * np.eye(2)[labels]
    return GateData(Observed(logits, x, rng.normal(size=n)), labels, np.arange(n).astype(str))


@pytest.fixture(scope="module")
def fitted():
    return fit_gate(cases(800, 1), OPTIONS)


def test_new_cases_of_the_same_kind_are_accepted_as_promised(fitted):
    scores = np.array([found.score for found in assess(cases(4000, 2).observed, fitted.gate)])
    assert np.mean(scores <= fitted.gate.refer_above) == pytest.approx(0.95, abs=0.02)
    assert np.mean(scores > fitted.gate.reject_above) < 0.01


def test_the_promise_holds_for_few_cases_too():
    accepted = []
    for seed in range(6):
        gate = fit_gate(cases(120, 10 + seed), OPTIONS).gate
        found = assess(cases(500, 20 + seed).observed, gate)
        accepted.append(np.mean([item.score <= gate.refer_above for item in found]))
    assert np.mean(accepted) == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(
    ("change", "leader"),
    [
        (
            lambda o: Observed(o.logits, o.features + 9 * features(1, 4), o.strange),
            {"distance", "neighbours", "class_distance"},
        ),
        (lambda o: Observed(o.logits, o.features + 40 * np.eye(40)[3], o.strange), {"residual", "distance"}),
        (lambda o: Observed(o.logits - 30, o.features, o.strange), {"energy"}),
        (lambda o: Observed(o.logits, o.features, o.strange + 30), {"strange"}),
    ],
)
def test_what_is_elsewhere_is_rejected_by_the_score_that_sees_it(fitted, change, leader):
    found = assess(change(cases(200, 3).observed), fitted.gate)
    assert np.mean([item.score > fitted.gate.reject_above for item in found]) > 0.95
    assert {item.method for item in found} <= {SCORES[name] for name in leader}


def test_held_out_findings_reach_the_threshold_as_often_as_promised(fitted):
    assert np.mean([found.score > fitted.gate.refer_above for found in fitted.held_out]) == pytest.approx(
        0.05, abs=0.01
    )


def test_percentiles_rise_with_the_score(fitted):
    percentiles = [fitted.gate.percentile(s) for s in np.linspace(0, 20, 30)]
    assert percentiles == sorted(percentiles)
    assert percentiles[0] == 0
    assert percentiles[-1] == 100


def test_the_gate_is_small_and_survives_json(fitted):
    wide = np.random.default_rng(0).normal(size=(60, 2560))
    text = fit_ood(wide, np.arange(60).astype(str)).model_dump_json()
    assert len(text) < 500_000
    again = OodGate.model_validate_json(fitted.gate.model_dump_json())
    observed = cases(20, 5).observed
    assert assess(observed, again) == assess(observed, fitted.gate)


def test_a_gate_without_features_still_looks_at_the_logits():
    data = cases(300, 6)
    gate = fit_gate(GateData(Observed(data.observed.logits), None, data.groups), OPTIONS).gate
    assert set(gate.tails) == {"energy"}
    assert gate.space is None
    assert np.isfinite([item.score for item in assess(data.observed, gate)]).all()


def test_missing_parts_are_left_out_of_the_score(fitted):
    observed = cases(10, 7).observed
    part = assess(Observed(observed.logits), fitted.gate)
    whole = assess(observed, fitted.gate)
    assert all(a.score <= b.score for a, b in zip(part, whole, strict=True))
    surprises = fitted.gate.surprises(observed)
    of_features = [surprises[name] for name in ("distance", "residual", "neighbours", "class_distance")]
    np.testing.assert_allclose(fitted.gate.score(observed.features), combined(of_features))


def test_one_large_surprise_is_enough_and_small_ones_add_up():
    assert combined([np.array([9.0]), np.array([0.0])]) == pytest.approx(9)
    assert combined([np.array([3.0]), np.array([4.0])]) == pytest.approx(5)


def test_groups_are_never_on_both_sides():
    """Cases come in pairs that are equal: were a pair split, its distance to its twin would be 0."""
    x = np.repeat(features(100, 8), 2, axis=0)
    data = GateData(Observed(np.zeros((1, 1, 200, 2)), x), None, np.repeat(np.arange(100), 2).astype(str))
    scores = cross_fitted_scores(data, GateOptions(n_components=8, n_neighbours=1))
    assert scores["neighbours"].min() > 0.05
    assert "energy" not in scores, "a score that never varies says nothing"


@example([0.0, 0.0, 0.0, -1.0, -2.2e-309], [0.0, -2.2e-309])
@given(st.lists(st.floats(-100, 100), min_size=5, max_size=60), st.lists(st.floats(-300, 300), min_size=2, max_size=9))
def test_surprise_is_finite_at_least_nothing_and_rises(values, queries):
    tail = fit_tail(np.array(values))
    found = tail.of(np.sort(queries))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found) >= -1e-9).all()


def test_surprise_is_minus_the_log_of_the_share_that_is_as_strange():
    values = np.random.default_rng(0).exponential(size=20_000)
    for share in (0.5, 0.1, 0.05, 0.01, 0.001):
        assert fit_tail(values).of(np.array(-np.log(share))) == pytest.approx(-np.log(share), abs=0.25)


def test_energy_is_low_where_logits_are_large():
    logits = np.zeros((1, 1, 2, 3))
    logits[..., 1, 0] = 10
    low = energy(logits)
    assert low[0] == pytest.approx(-np.log(3))
    assert low[1] < low[0]


def test_a_stored_gate_of_the_first_version_is_still_read():
    old = OodReference(
        projection=((1.0, 0.0),),
        centre=(0.0, 0.0),
        scale=(1.0, 1.0),
        quantiles=tuple(np.linspace(0, 10, 101)),
        refer_above=9.5,
        reject_above=15.0,
    )
    found = assess(Observed(np.zeros((1, 1, 2, 2)), np.array([[3.0, 0.0], [20.0, 1.0]])), old)
    assert [(item.score, item.method) for item in found] == [(3.0, METHOD), (20.0, METHOD)]
    assert assess(Observed(np.zeros((1, 1, 2, 2))), old) == [None, None]
    assert assess(Observed(np.zeros((1, 1, 2, 2))), None) == [None, None]


def test_helpers():
    assert percentile_among(tuple(np.arange(101.0)), 50.5) == pytest.approx(51 / 101 * 100)
    assert set(raw_scores(None, cases(5, 9).observed)) == {"energy", "strange"}
    with pytest.raises(ValueError, match="greater than 0"):
        Tail(values=(0, 1), surprise=(0, 1), scale=0)
