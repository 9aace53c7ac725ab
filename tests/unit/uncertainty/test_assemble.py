"""One way from logits to predictions, the same for one case and for many."""

from pathlib import Path

import numpy as np
import pytest

from whycad.errors import PredictionError
from whycad.manifest import Label, load_manifest
from whycad.testing.plugins import make_calibration
from whycad.types import TaskKind
from whycad.uncertainty.assemble import Observed, numbers, numbers_of, pass_entropy, predictions, predictions_from
from whycad.uncertainty.calibration import calibrate, calibrate_passes
from whycad.uncertainty.ood_fit import fit_ood


class _Weights:
    def __init__(self, manifest):
        self.manifest, self.weights_sha256 = manifest, "0" * 64


@pytest.fixture(scope="module")
def manifest(repo: Path):
    return load_manifest(repo / "plugins" / "skin_lesion")


@pytest.fixture(scope="module")
def calibration(manifest):
    rng = np.random.default_rng(1)
    gate = fit_ood(rng.normal(size=(200, 6)), np.arange(200).astype(str), n_components=4)
    return make_calibration(_Weights(manifest)).model_copy(update={"ood": gate, "epistemic_over_views": True})


@pytest.fixture(scope="module")
def observed():
    rng = np.random.default_rng(0)
    return Observed(2 * rng.normal(size=(3, 2, 5, 7)), rng.normal(size=(5, 6)))


def test_a_case_is_the_same_alone_and_among_others(observed, manifest, calibration):
    together = predictions(observed, manifest, calibration)
    for i, case in enumerate(together):
        alone = predictions(
            Observed(observed.logits[:, :, i : i + 1], observed.features[i : i + 1]), manifest, calibration
        )[0]
        np.testing.assert_allclose(alone.probabilities, case.probabilities, atol=1e-7)
        assert alone.conformal_set == case.conformal_set
        assert alone.decision == case.decision
        assert alone.out_of_distribution.score == pytest.approx(case.out_of_distribution.score)


def test_the_ensemble_is_the_mean_of_its_members(observed, manifest, calibration):
    for case in predictions(observed, manifest, calibration):
        np.testing.assert_allclose(case.member_probabilities.mean(axis=0), case.probabilities, atol=1e-6)
        assert case.uncertainty.total == pytest.approx(case.uncertainty.aleatoric + case.uncertainty.epistemic)


def test_views_count_where_the_calibration_says_so(observed, calibration):
    over_views = numbers(observed, calibration)
    over_members = numbers(observed, calibration.model_copy(update={"epistemic_over_views": False}))
    np.testing.assert_allclose(over_views.parts[0], over_members.parts[0])
    assert (over_views.parts[2] > over_members.parts[2]).all()
    passes = calibrate_passes(observed.logits, calibration)
    assert passes.shape == observed.logits.shape
    np.testing.assert_allclose(passes.mean(axis=1), calibrate(observed.logits, calibration), atol=1e-9)


def test_the_policy_looks_at_its_own_level(observed, manifest, calibration):
    rule = manifest.decision.model_copy(update={"set_coverage": 0.5, "refer_set_size": 2})
    own = manifest.model_copy(update={"decision": rule})
    for shown in (0.5, 0.95):
        found = predictions(observed, own, calibration, shown)
        assert [case.decision for case in found] == [case.decision for case in predictions(observed, own, calibration)]
        assert found[0].coverage == shown


def test_a_binary_set_may_be_empty(manifest, calibration):
    labels = (Label(code="a", name="A"), Label(code="b", name="B"))
    binary = manifest.model_copy(update={"kind": TaskKind.BINARY, "labels": labels, "operating_points": ()})
    two = calibration.model_copy(
        update={
            "labels": ("a", "b"), "prior": (0.5, 0.5), "log_prior_shift": (0.0, 0.0), "offset": (0.0, 0.0),
            "conformal_scores": dict.fromkeys("ab", tuple(np.linspace(0, 0.2, 99))), "ood": None,
        }
    )  # fmt: skip
    unsure, sure = predictions(Observed(np.array([[[[0.0, 0.1], [9.0, 0.0]]]])), binary, two)
    assert unsure.conformal_set == ()
    assert "fits neither answer" in unsure.decision.reasons[0]
    assert sure.conformal_set == ("a",)


def test_members_that_are_calibrated_already_can_be_given(observed, manifest, calibration):
    members = calibrate(observed.logits, calibration)
    aleatoric = pass_entropy(observed.logits, calibration)
    whole = predictions(observed, manifest, calibration)
    gate = [case.out_of_distribution for case in whole]
    again = predictions_from(numbers_of(members, gate, calibration, aleatoric), manifest, calibration)
    for a, b in zip(whole, again, strict=True):
        assert a.decision == b.decision
        assert a.uncertainty == b.uncertainty
        np.testing.assert_array_equal(a.conformal_p, b.conformal_p)


def test_numbers_that_are_not_finite_are_no_score(manifest, calibration):
    with pytest.raises(PredictionError, match="not a finite number"):
        predictions(Observed(np.full((1, 1, 1, 7), np.nan)), manifest, calibration)
