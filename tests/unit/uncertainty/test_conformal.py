"""Conformal sets keep their promise, per class."""

import numpy as np
import pytest
from crepes import ConformalClassifier
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whycad.types import Decision, DecisionKind, Prediction, TaskKind, Uncertainty
from whycad.uncertainty.calibration_parts import ScoreRule
from whycad.uncertainty.conformal import (
    always_included,
    conformal_set,
    highest_coverage,
    nonconformity,
    p_values,
    set_masks,
    sets_at,
)

LABELS = ("a", "b", "c")
RULES = [
    ScoreRule(),
    ScoreRule(form="aps"),
    ScoreRule(form="raps", penalty=0.1, free_ranks=1),
    ScoreRule(form="ordinal_aps"),
]
LEVELS = (0.8, 0.9, 0.95)


def draw(rng, n):
    """Cases whose true posterior is known: 80 % of class a, few of class c."""
    prior = np.array([0.8, 0.15, 0.05])
    y = rng.choice(3, n, p=prior)
    x = rng.normal(size=n) + 1.5 * y
    likelihood = np.exp(-0.5 * (x[:, None] - 1.5 * np.arange(3)) ** 2)
    posterior = likelihood * prior
    return posterior / posterior.sum(1, keepdims=True), y


def by_class(scores, y):
    return {name: tuple(np.sort(scores[y == i, i])) for i, name in enumerate(LABELS)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.form)
@pytest.mark.parametrize("kind", [TaskKind.MULTICLASS, TaskKind.ORDINAL])
def test_every_class_is_covered_though_one_is_rare(rule, kind):
    rng = np.random.default_rng(0)
    p, y = draw(rng, 20_000)
    calibration = by_class(nonconformity(p, rule), y)
    p, y = draw(rng, 20_000)
    values = p_values(nonconformity(p, rule), calibration)
    masks = set_masks(values, 0.9, p.argmax(axis=1), kind)
    for i in range(3):
        assert np.mean(values[y == i, i] > 0.1) == pytest.approx(0.9, abs=0.035)
        assert np.mean(masks[y == i, i]) >= 0.87


def test_p_values_are_those_of_crepes():
    rng = np.random.default_rng(1)
    p, y = draw(rng, 500)
    for rule in RULES:
        scores = nonconformity(p, rule)
        test = nonconformity(draw(rng, 50)[0], rule)
        ours = p_values(test, by_class(scores, y))
        for i in range(3):
            theirs = ConformalClassifier().fit(scores[y == i, i]).predict_p(test[:, i], smoothing=False)
            np.testing.assert_allclose(ours[:, i], np.ravel(theirs), atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.floats(0.01, 0.99))
def test_exchangeable_cases_get_p_values_that_are_at_most_uniform(values, level):
    """Each of n + 1 values stands as the new case once: at most a share ``level`` may be that strange."""
    p = [p_values(np.array([[v]]), {"a": sorted(values[:i] + values[i + 1 :])})[0, 0] for i, v in enumerate(values)]
    assert np.mean(np.array(p) <= level + 1e-12) <= level + 1e-9
    if len(set(values)) == len(values):
        np.testing.assert_allclose(np.sort(p), np.arange(1, len(p) + 1) / len(p))


@given(
    arrays(np.float64, (8, 3), elements=st.floats(0.01, 1)),
    st.sampled_from(RULES),
    st.sampled_from(list(TaskKind)),
    st.sampled_from(LEVELS),
)
def test_sets_cover_at_least_as_often_as_they_promise(raw, rule, kind, coverage):
    """As above, for whole sets: every case of a class is left out of the calibration once."""
    scores = nonconformity(raw / raw.sum(axis=1, keepdims=True), rule)
    kept = 0
    for i in range(len(scores)):
        others = np.delete(scores[:, 1], i)
        p = p_values(scores[i : i + 1], {"a": (0.0,), "b": tuple(np.sort(others)), "c": (0.0,)})
        kept += set_masks(p, coverage, raw[i : i + 1].argmax(axis=1), kind)[0, 1]
    assert kept / len(scores) >= coverage - 1e-9 or kept >= np.floor(coverage * len(scores))


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0.5, 0.99))
def test_sets_hold_the_leading_label_and_grow_with_coverage(p, coverage):
    values = np.array(p)
    small = conformal_set(values, LABELS, coverage, "b")
    large = conformal_set(values, LABELS, min(0.999, coverage + 0.005), "b")
    assert "b" in small
    assert set(small) <= set(large)


@given(arrays(np.float64, (5, 6), elements=st.floats(0, 1)), st.floats(0.5, 0.99))
def test_stages_form_one_run_that_holds_the_leading_one_and_loses_nothing(p, coverage):
    leading = np.arange(5)
    run = set_masks(p, coverage, leading, TaskKind.ORDINAL)
    plain = set_masks(p, coverage, leading, TaskKind.MULTICLASS)
    assert run[np.arange(5), leading].all()
    assert (run >= plain).all()
    steps = np.diff(np.pad(run, ((0, 0), (1, 1))).astype(int), axis=1)
    assert (np.sum(steps == 1, axis=1) == 1).all()


def test_a_binary_set_may_hold_both_or_neither():
    p = np.array([[0.5, 0.5], [0.05, 0.05], [0.05, 0.5]])
    masks = set_masks(p, 0.9, np.array([0, 0, 0]), TaskKind.BINARY)
    assert masks.tolist() == [[True, True], [False, False], [False, True]]


def test_a_p_value_at_the_level_is_left_out():
    assert conformal_set(np.array([0.1, 0.5, 0.0]), LABELS, 0.9, "b") == ("b",)
    stored = np.array([0.1, 0.5, 0.0], np.float32).astype(np.float64)
    assert conformal_set(stored, LABELS, 0.9, "b") == ("b",)


def test_scores_are_those_of_the_papers():
    p = np.array([[0.5, 0.2, 0.3]])
    np.testing.assert_allclose(nonconformity(p, RULES[1]), [[0.25, 0.9, 0.65]])
    np.testing.assert_allclose(nonconformity(p, RULES[2]), [[0.25, 1.1, 0.75]])
    # Stages: from the mode outwards, the more probable neighbour first.
    np.testing.assert_allclose(nonconformity(p, RULES[3]), [[0.25, 0.6, 0.85]])
    middle = np.array([[0.1, 0.4, 0.3, 0.2]])
    np.testing.assert_allclose(nonconformity(middle, RULES[3]), [[0.95, 0.2, 0.55, 0.8]])


@given(arrays(np.float64, (4, 5), elements=st.floats(0, 1)))
def test_aps_agrees_with_its_definition(raw):
    p = (raw + 1e-6) / (raw + 1e-6).sum(axis=1, keepdims=True)
    ours = nonconformity(p, ScoreRule(form="aps"))
    for row, scores in zip(p, ours, strict=True):
        order = sorted(range(5), key=lambda i: -row[i])
        for rank, label in enumerate(order):
            assert scores[label] == pytest.approx(sum(row[i] for i in order[:rank]) + row[label] / 2)


def stored(p, probabilities, predicted="a"):
    values = np.array(p, np.float32)
    return Prediction(
        labels=LABELS,
        probabilities=np.array(probabilities, np.float32),
        member_probabilities=np.zeros((0, 3), np.float32),
        predicted=predicted,
        conformal_set=(),
        coverage=0.9,
        conformal_p=values,
        uncertainty=Uncertainty(0, 0, 0),
        out_of_distribution=None,
        decision=Decision(DecisionKind.REPORT),
    )


def test_a_stored_result_gives_its_set_at_every_level():
    prediction = stored([0.5, 0.15, 0.07], [0.7, 0.2, 0.1])
    assert sets_at(prediction, 0.8) == ("a",)
    assert sets_at(prediction, 0.9) == ("a", "b")
    assert sets_at(prediction, 0.95) == ("a", "b", "c")
    gap = stored([0.5, 0.01, 0.3], [0.7, 0.2, 0.1])
    assert sets_at(gap, 0.9) == ("a", "c")
    assert sets_at(gap, 0.9, TaskKind.ORDINAL) == ("a", "b", "c")
    assert sets_at(stored([0.01, 0.01, 0.01], [0.7, 0.2, 0.1]), 0.9, TaskKind.BINARY) == ()


def test_what_was_not_scored_has_no_set():
    assert sets_at(stored([np.nan] * 3, [np.nan] * 3, predicted=""), 0.9) == ()


def test_few_cases_cannot_rule_a_class_out():
    few = tuple(np.linspace(0, 1, 12))
    many = tuple(np.linspace(0, 1, 500))
    assert highest_coverage(19) == pytest.approx(0.95)
    assert always_included({"few": few, "many": many}, 0.95) == ("few",)
    assert always_included({"few": few, "many": many}, 0.9) == ()
    assert always_included({"exact": few + (0.1,) * 7}, 0.95) == ()
    strangest = p_values(np.array([[2.0, 2.0]]), {"few": few, "many": many})
    assert set_masks(strangest, 0.95, np.array([1]), TaskKind.BINARY).tolist() == [[True, False]]
