"""Moving to another prevalence and back gives the same; sets and the gate stay."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whycad.errors import PredictionError
from whycad.manifest import load_manifest
from whycad.testing.plugins import make_calibration
from whycad.types import Decision, DecisionKind
from whycad.uncertainty.assemble import Observed, predictions
from whycad.uncertainty.prevalence import checked_prior, estimate_prior, reweight, reweighted

PRIORS = st.lists(st.floats(0.02, 1), min_size=7, max_size=7).map(lambda v: np.array(v) / np.sum(v))


class _Weights:
    """What ``make_calibration`` needs of a plugin."""

    def __init__(self, manifest):
        self.manifest, self.weights_sha256 = manifest, "0" * 64


@pytest.fixture(scope="module")
def manifest(repo: Path):
    skin = load_manifest(repo / "plugins" / "skin_lesion")
    return skin.model_copy(update={"decision": skin.decision.model_copy(update={"costs": None})})


@pytest.fixture(scope="module")
def calibration(manifest):
    made = make_calibration(_Weights(manifest))
    return made.model_copy(update={"prior": (0.04, 0.05, 0.11, 0.01, 0.11, 0.66, 0.02)})


@pytest.fixture(scope="module")
def prediction(manifest, calibration):
    logits = np.random.default_rng(0).normal(size=(3, 2, 1, 7))
    return predictions(Observed(logits), manifest, calibration)[0]


@given(arrays(np.float64, (3, 7), elements=st.floats(0.001, 1)), PRIORS, PRIORS)
def test_there_and_back_is_where_it_was(raw, old, new):
    p = raw / raw.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(reweighted(reweighted(p, old, new), new, old), p, atol=1e-9)


@given(PRIORS)
def test_a_stored_prediction_comes_back_too(prediction, calibration, manifest, new):
    there = reweight(prediction, calibration, manifest, new)
    back = reweight(there, calibration.model_copy(update={"prior": tuple(new)}), manifest, calibration.prior)
    np.testing.assert_allclose(back.probabilities, prediction.probabilities, atol=1e-5)
    np.testing.assert_allclose(back.member_probabilities, prediction.member_probabilities, atol=1e-5)
    assert back.predicted == prediction.predicted


@given(PRIORS)
def test_what_is_said_of_each_class_alone_stays(prediction, calibration, manifest, new):
    there = reweight(prediction, calibration, manifest, new)
    assert there.conformal_set == prediction.conformal_set
    assert there.conformal_p is prediction.conformal_p
    assert there.out_of_distribution == prediction.out_of_distribution
    assert there.operating_points == prediction.operating_points
    assert there.uncertainty == prediction.uncertainty


def test_the_same_prevalence_changes_nothing(prediction, calibration, manifest):
    same = reweight(prediction, calibration, manifest, calibration.prior)
    np.testing.assert_allclose(same.probabilities, prediction.probabilities, atol=1e-6)
    assert same.decision == prediction.decision


def test_a_rarer_disease_is_less_probable(prediction, calibration, manifest):
    prior = np.array(calibration.prior)
    rare = prior * np.where(np.arange(7) == 4, 0.1, 1)
    assert reweight(prediction, calibration, manifest, rare).probability("mel") < prediction.probability("mel")


def test_the_whole_is_the_members_mean_weighted_by_their_fit(prediction, calibration, manifest):
    old, new = np.array(calibration.prior), np.full(7, 1 / 7)
    there = reweight(prediction, calibration, manifest, new)
    fit = (prediction.member_probabilities * (new / old)).sum(axis=1)
    expected = (there.member_probabilities * (fit / fit.sum())[:, None]).sum(axis=0)
    np.testing.assert_allclose(there.probabilities, expected, atol=1e-5)


def test_the_decision_follows_the_new_probabilities(prediction, calibration, manifest):
    rule = manifest.decision.model_copy(update={"refer_probability": {"mel": 0.5}, "refer_set_size": 9})
    quiet = tuple(label.model_copy(update={"must_not_miss": False}) for label in manifest.labels)
    calm = manifest.model_copy(update={"decision": rule, "labels": quiet})
    mostly_mel = np.where(np.arange(7) == 4, 0.97, 0.005)
    assert reweight(prediction, calibration, calm, calibration.prior).decision.kind is DecisionKind.REPORT
    assert reweight(prediction, calibration, calm, mostly_mel).decision.kind is DecisionKind.REFER


def test_a_rejected_image_stays_rejected(prediction, calibration, manifest):
    rejected = replace(prediction, decision=Decision(DecisionKind.REJECT, ("Strange.",)))
    assert reweight(rejected, calibration, manifest, np.full(7, 1 / 7)).decision == rejected.decision


def test_an_image_without_a_score_is_returned_as_it_is(prediction, calibration, manifest):
    nothing = replace(prediction, predicted="", probabilities=np.full(7, np.nan, np.float32))
    assert reweight(nothing, calibration, manifest, np.full(7, 1 / 7)) is nothing


@pytest.mark.parametrize("prior", [[1.0], [-1, 1, 1, 1, 1, 1, 1], [0] * 7, [np.nan] * 7])
def test_what_is_no_prevalence_is_refused(prediction, calibration, manifest, prior):
    with pytest.raises(PredictionError, match="a prevalence is"):
        reweight(prediction, calibration, manifest, prior)


def test_a_prevalence_of_nothing_is_a_very_small_one():
    assert checked_prior([1, 0], 2)[1] == pytest.approx(1e-6)


def test_the_prevalence_of_unlabelled_cases_is_found():
    rng = np.random.default_rng(0)
    old, true = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    y = rng.choice(2, 5000, p=true)
    x = rng.normal(size=5000) + 2 * y
    likelihood = np.exp(-0.5 * (x[:, None] - 2 * np.arange(2)) ** 2)
    p = likelihood * old
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(estimate_prior(p, old), true, atol=0.02)


def test_without_cases_nothing_is_estimated():
    with pytest.raises(PredictionError, match="without cases"):
        estimate_prior(np.zeros((0, 2)), [0.5, 0.5])
