"""Effects given the label, slices, matched areas, imbalance: each against a plain computation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from whycad.audit.conditional import effect_panel, followed_columns
from whycad.audit.context import AuditOptions
from whycad.audit.imbalance import baselines, cross_fitted, effective_numbers, fitted_weights, shifted_values
from whycad.audit.judged import judged_cases
from whycad.audit.matching import association
from whycad.audit.model_columns import contrasts_of
from whycad.audit.probes import folds_of_groups, held_out_scores
from whycad.audit.slices import LEAST_SUPPORT, distinct, judge_slices, metadata_slices
from whycad.audit.subgroup_gaps import gaps_of
from whycad.testing.audits import AuditRecipe, simulated_context

OPTIONS = AuditOptions(n_draws=100)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    recipe = AuditRecipe(n=500, prevalence=(0.6, 0.3, 0.1), ruler_share=(0.6, 0.3), ruler_use=1.0, options=OPTIONS)
    return judged_cases(simulated_context(recipe, tmp_path_factory.mktemp("searches")))


def test_the_effect_given_the_label_is_the_coefficient_of_a_regression(cases):
    weights = np.random.default_rng(0).integers(0, 3, (1, len(cases))).astype(float)
    for level in contrasts_of(cases.columns, 30):
        known = level.known
        design = np.column_stack([level.inside, np.eye(3)[cases.label]])[known].astype(float)
        found = effect_panel(cases, level)(weights)[0]
        model = LinearRegression(fit_intercept=False).fit(design, cases.probabilities[known], weights[0][known])
        assert found == pytest.approx(model.coef_[:, 0])


def test_effects_of_one_class_take_from_the_others(cases):
    ruler = [effect for effect in followed_columns(cases) if effect.level.column == "ruler"]
    assert sum(effect.effect.value for effect in ruler) == pytest.approx(0, abs=1e-9)
    assert min(effect.p for effect in ruler) < 0.05


def test_slices_have_enough_cases_and_no_two_levels_of_a_column(cases):
    slices = metadata_slices(cases)
    assert {len(one.columns) for one in slices} == {1, 2, 3}
    for one in slices:
        assert one.n >= LEAST_SUPPORT
        assert len(set(one.columns)) == len(one.columns)
    assert len({one.words for one in slices}) == len(slices)


def test_the_excess_of_a_slice_is_against_cases_of_the_same_labels(cases):
    slices = metadata_slices(cases)
    for found in judge_slices(cases, slices)[:5]:
        inside = found.slice.inside
        expected = np.mean([cases.wrong[cases.label == label].mean() for label in cases.label[inside]])
        assert found.excess == pytest.approx(cases.wrong[inside].mean() - expected, abs=1e-5)
        assert found.interval[0] < found.excess < found.interval[1]


def test_of_overlapping_slices_the_first_is_shown(cases):
    found = judge_slices(cases, metadata_slices(cases))
    kept = distinct(found, 50)
    assert kept[0] is found[0]
    for i, one in enumerate(kept):
        for other in kept[:i]:
            shared = (one.slice.inside & other.slice.inside).sum()
            assert shared < 0.6 * min(one.slice.n, other.slice.n)


def test_a_sensitivity_of_one_is_not_taken_for_certain(cases):
    answers, site = cases.context.answers, cases.context.cases.column("site").values
    predicted = np.where((site == "hand") & (answers.label == 0), 0, answers.predicted)
    context = replace(cases.context, shared={})
    vars(context)["answers"] = replace(answers, predicted=predicted)
    fresh = judged_cases(context)
    (gap,) = [
        gap for gap in gaps_of(fresh)
        if gap.figure == "sensitivity" and gap.label == "c0" and [lv.name for lv in gap.levels] == ["hand"]
    ]  # fmt: skip
    assert gap.inside == 1.0
    assert gap.gap.interval[1] - gap.gap.interval[0] > 0.04


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
def test_phi_is_pearsons_correlation(a, b, c, d):
    from whycad.audit.model_columns import Level

    positive = np.repeat([True, True, False, False], [a, b, c, d])
    inside = np.repeat([True, False, True, False], [a, b, c, d])
    level = Level("x", "yes", True, inside, np.ones(len(inside), bool))
    assert association(positive, level)[0] == pytest.approx(np.corrcoef(positive, inside)[0, 1], abs=1e-9)


def test_effective_numbers_grow_ever_more_slowly():
    found = effective_numbers({"a": 1, "b": 1000, "c": 100_000})
    assert found["a"] == pytest.approx(1)
    assert found["b"] == pytest.approx(632.3, abs=0.1)
    assert found["c"] == pytest.approx(1000, abs=0.01)


def test_baselines_are_what_trivial_answers_reach():
    rng = np.random.default_rng(0)
    label = rng.choice(3, 40_000, p=[0.7, 0.2, 0.1])
    drawn = rng.permutation(label)
    free = baselines(np.bincount(label) / len(label))
    assert free["accuracy"].majority == pytest.approx((label == 0).mean())
    assert free["accuracy"].drawn == pytest.approx((label == drawn).mean(), abs=0.01)
    f1 = [2 * ((label == c) & (drawn == c)).sum() / ((label == c).sum() + (drawn == c).sum()) for c in range(3)]
    assert free["macro_f1"].drawn == pytest.approx(np.mean(f1), abs=0.01)


def test_predictive_values_follow_bayes_rule(cases):
    positive, flagged = cases.label == 0, cases.predicted == 0
    shifted = shifted_values(cases, "x", positive, flagged)
    sensitivity, specificity = flagged[positive].mean(), (~flagged)[~positive].mean()
    expected = sensitivity * 0.1 / (sensitivity * 0.1 + (1 - specificity) * 0.9)
    assert shifted.ppv[4].value == pytest.approx(expected)


def test_weights_are_fitted_on_other_groups(cases):
    logs = np.log(np.clip(cases.probabilities, 1e-9, 1))
    folds = folds_of_groups(cases.groups, 5, OPTIONS.seed)
    answers = cross_fitted(cases)
    for fold in range(5):
        weights = fitted_weights(logs[folds != fold], cases.label[folds != fold])
        assert (answers[folds == fold] == (logs[folds == fold] + weights).argmax(axis=1)).all()


def test_folds_never_part_a_group():
    groups = np.array([f"g{i // 3}" for i in range(90)])
    folds = folds_of_groups(groups, 5, 0)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    assert set(folds) == set(range(5))


def test_a_probe_of_noise_is_at_chance_also_where_groups_give_it_away():
    rng = np.random.default_rng(0)
    group = np.arange(200) // 4
    parts = rng.normal(size=(50, 20))[group]
    has = (rng.random(50) < 0.5)[group]
    scores = held_out_scores(parts, has, np.array([f"g{i}" for i in group]), 0)
    auroc = (scores[has][:, None] > scores[~has][None]).mean()
    assert 0.3 < auroc < 0.7
