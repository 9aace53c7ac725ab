"""Risk-coverage curves and areas, and whether the ensemble knows better than a member when to stop."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whycad.audit.bootstrap import GroupBootstrap
from whycad.audit.selective import Answers, aurc, compare_aurc, harm, member_aurcs, optimal_aurc, risk_coverage
from whycad.manifest import CostTable, load_manifest

CASES = st.integers(2, 40).flatmap(
    lambda n: st.tuples(arrays(np.float64, n, elements=st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9])), arrays(np.bool_, n))
)


def with_rule(manifest, **changes):
    return manifest.model_copy(update={"decision": manifest.decision.model_copy(update=changes)})


@pytest.fixture(scope="module")
def manifest(repo: Path):
    manifest = load_manifest(repo / "plugins" / "skin_lesion")
    return with_rule(manifest, balance_power=0.0, costs=None)


@given(CASES)
def test_the_area_lies_between_the_best_and_the_worst(cases):
    confidence, wrong = cases
    area = aurc(confidence, wrong)
    assert optimal_aurc(wrong) - 1e-12 <= area <= 1 - optimal_aurc(~wrong) + 1e-12
    assert 0 <= area <= 1


@given(CASES)
def test_confidence_that_says_nothing_costs_the_share_of_errors(cases):
    wrong = cases[1]
    assert aurc(np.full(len(wrong), 0.5), wrong) == pytest.approx(wrong.mean())


@given(CASES)
def test_the_curve_ends_at_all_cases(cases):
    confidence, wrong = cases
    coverage, risk = risk_coverage(confidence, wrong, 11)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(wrong.mean())
    assert (np.diff(coverage) > 0).all()
    assert ((risk >= 0) & (risk <= 1)).all()


def test_the_curve_counts_errors_among_the_most_confident():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    wrong = np.array([False, True, False, True])
    coverage, risk = risk_coverage(confidence, wrong, 5)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 1 / 2])
    assert aurc(confidence, wrong) == pytest.approx(np.mean(risk))


def members(n, noise, seed=0):
    """Members that see the truth through noise of their own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, n)
    logits = 1.5 * np.eye(7)[labels] + noise * rng.normal(size=(5, n, 7))
    p = np.exp(logits)
    return p / p.sum(axis=-1, keepdims=True), labels


def test_members_with_their_own_errors_are_beaten_by_their_mean():
    p, labels = members(400, 1.0)
    answers = Answers.most_probable(p, labels)
    found = compare_aurc(answers, GroupBootstrap(np.arange(400), 200))
    assert found.ensemble_is_better
    assert found.difference.value == pytest.approx(found.ensemble.value - found.median_member.value)
    assert found.median_member.value == pytest.approx(np.median(member_aurcs(answers)))


def test_equal_members_are_not():
    p, labels = members(200, 1.0)
    answers = Answers.most_probable(np.stack([p[0]] * 3), labels)
    found = compare_aurc(answers, GroupBootstrap(np.arange(200), 100))
    assert found.difference.value == pytest.approx(0)
    assert not found.ensemble_is_better


def test_the_rule_is_as_sure_as_its_own_utility(manifest):
    p, labels = members(50, 1.0)
    prior = np.array([0.04, 0.05, 0.11, 0.01, 0.11, 0.66, 0.02])
    plain, probable = Answers.by_rule(p, labels, manifest, prior), Answers.most_probable(p, labels)
    np.testing.assert_array_equal(plain.predicted, probable.predicted)
    np.testing.assert_allclose(plain.member_confidence, probable.member_confidence)
    balanced = Answers.by_rule(p, labels, with_rule(manifest, balance_power=1.0), prior)
    utility = p.mean(axis=0) / prior
    np.testing.assert_array_equal(balanced.predicted, utility.argmax(axis=1))
    np.testing.assert_allclose(balanced.confidence, (utility / utility.sum(axis=1, keepdims=True)).max(axis=1))


def test_harm_follows_the_table(manifest):
    codes = manifest.label_codes
    mel, nv = codes.index("mel"), codes.index("nv")
    table = CostTable(report={"mel": {"nv": 10.0}}, refer=1.0, reject=2.0)
    labels = np.array([mel, mel, nv, mel])
    said = np.array([nv, nv, nv, nv])
    answers = Answers(labels, said, np.ones(4), said[None], np.ones((1, 4)))
    decisions = np.array(["report", "refer", "report", "reject"])
    found = harm(answers, decisions, with_rule(manifest, costs=table))
    np.testing.assert_allclose(found.policy, [10, 1, 0, 2])
    np.testing.assert_allclose(found.report_all, [10, 10, 0, 10])
    plain = harm(answers, decisions, manifest)
    np.testing.assert_allclose(plain.policy, [1, 0, 0, 0])
