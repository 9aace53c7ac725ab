"""Calibration undoes what class-balanced training does to probabilities."""

from dataclasses import replace

import numpy as np
import pytest

from whycad.errors import TrainingError
from whycad.manifest import Manifest
from whycad.training.calibrate import CalibrationData, fit_calibration, threshold_for_sensitivity
from whycad.types import TaskKind
from whycad.uncertainty.assemble import Observed, predictions
from whycad.uncertainty.calibration import Calibration, CalibrationSource, calibrate

SOURCE = CalibrationSource(dataset="made", selection="all", n=1, n_groups=1, weights_sha256="0" * 64)
PRIOR = np.array([0.7, 0.2, 0.1])


@pytest.fixture(scope="module")
def manifest():
    return Manifest.model_validate(
        {
            "schema_version": 1,
            "id": "made",
            "version": "1.0.0",
            "title": "Made",
            "kind": "multiclass",
            "evidence_level": "simulated",
            "intended_use": "tests",
            "labels": [{"code": c, "name": c} for c in "abc"],
            "input": {"modalities": ["OT"], "colour": False, "channels": 1, "shape": [8, 8], "value_range": [0, 1]},
            "code": {"build_model": "m:f", "preprocess": "m:g"},
            "operating_points": [{"name": "sick", "labels": ["b", "c"], "sensitivity": 0.95}],
        }
    )


def balanced_logits(rng, n, sharpness=2.0):
    """Logits of three overconfident members trained on balanced classes, with true labels drawn from PRIOR."""
    y = rng.choice(3, n, p=PRIOR)
    x = rng.normal(size=(n, 2)) + 1.5 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    centres = 1.5 * np.array([[0, 0], [1, 0], [0, 1]])
    log_likelihood = -0.5 * ((x[:, None] - centres) ** 2).sum(-1)
    members = [sharpness * (log_likelihood + rng.normal(scale=0.1, size=(n, 3))) for _ in range(3)]
    return np.stack(members)[:, None], y


@pytest.fixture(scope="module")
def fitted(manifest):
    logits, y = balanced_logits(np.random.default_rng(0), 1500)
    groups = np.arange(1500).astype(str)
    data = CalibrationData(logits, y, groups, None, np.full(3, 1 / 3), SOURCE)
    return fit_calibration(data, manifest)


def test_probabilities_match_frequencies_on_new_cases(fitted):
    logits, y = balanced_logits(np.random.default_rng(1), 20_000)
    p = calibrate(logits, fitted).mean(axis=0)
    np.testing.assert_allclose(p.mean(axis=0), np.bincount(y) / len(y), atol=0.015)
    top = p.max(axis=1)
    sure = top > 0.8
    assert np.mean(p.argmax(1)[sure] == y[sure]) == pytest.approx(top[sure].mean(), abs=0.02)


def test_uncalibrated_probabilities_would_not(fitted):
    logits, y = balanced_logits(np.random.default_rng(1), 20_000)
    raw = fitted.model_copy(update={"temperature": 1.0, "offset": (0.0,) * 3, "log_prior_shift": (0.0,) * 3})
    p = calibrate(logits, raw).mean(axis=0)
    assert abs(p[:, 0].mean() - np.mean(y == 0)) > 0.05


def test_temperature_finds_the_overconfidence(fitted):
    assert 1.5 < fitted.temperature < 3.0
    assert fitted.scaling.matrix[0][0] == pytest.approx(1 / fitted.temperature)


def test_operating_point_reaches_its_sensitivity(fitted):
    point = fitted.operating_points["sick"]
    assert point.sensitivity >= 0.95
    assert 0 < point.specificity < 1


def test_threshold_is_the_largest_that_still_finds_enough():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.1])
    positive = np.array([True, True, True, True, False])
    assert threshold_for_sensitivity(scores, positive, 0.75) == 0.7
    assert threshold_for_sensitivity(scores, positive, 0.76) == 0.6


def test_a_class_without_cases_is_refused(manifest):
    logits, _ = balanced_logits(np.random.default_rng(0), 100)
    data = CalibrationData(logits, np.zeros(100, int), np.arange(100).astype(str), None, np.full(3, 1 / 3), SOURCE)
    with pytest.raises(TrainingError, match="at least 5 cases of each class"):
        fit_calibration(data, manifest)


def test_a_class_of_few_groups_is_refused(manifest):
    logits, y = balanced_logits(np.random.default_rng(0), 200)
    groups = np.where(y == 2, "one", np.arange(200).astype(str))
    data = CalibrationData(logits, y, groups, None, np.full(3, 1 / 3), SOURCE)
    with pytest.raises(TrainingError, match="at least 2 groups of each class"):
        fit_calibration(data, manifest)


def test_a_class_of_two_groups_is_enough(manifest):
    logits, y = balanced_logits(np.random.default_rng(0), 200)
    groups = np.where(y == 2, np.where(np.arange(200) % 2, "one", "two"), np.arange(200).astype(str))
    found = fit_calibration(CalibrationData(logits, y, groups, None, np.full(3, 1 / 3), SOURCE), manifest)
    assert len(found.conformal_scores["c"]) == np.sum(y == 2)


def test_everything_is_stored_and_comes_back_from_json(fitted):
    assert Calibration.model_validate_json(fitted.model_dump_json()) == fitted
    assert len(fitted.model_dump_json()) < 200_000
    assert len(fitted.scaling.trials) == 9
    assert fitted.score.form in {name.split()[0] for name in fitted.score.trials}
    assert sum(fitted.reliability.top.counts) == 1500
    assert set(fitted.reliability.per_class) == set("abc")
    assert fitted.epistemic_over_views


def test_the_policy_on_held_out_cases_is_recorded(fitted):
    risk = fitted.held_out
    assert risk.n == 1500
    assert sum(risk.shares.values()) == pytest.approx(1)
    assert risk.error_reported < risk.error_all
    assert risk.coverage[-1] == 1
    assert risk.risk[-1] == pytest.approx(risk.error_all)
    assert risk.aurc < risk.error_all
    assert risk.harm_policy is None


def test_held_out_sets_cover_new_cases(fitted, manifest):
    logits, y = balanced_logits(np.random.default_rng(7), 4000)
    found = predictions(Observed(logits), manifest, fitted)
    for label, code in enumerate("abc"):
        inside = [code in case.conformal_set for case, true in zip(found, y, strict=True) if true == label]
        assert np.mean(inside) > 0.86


@pytest.mark.parametrize(("kind", "k"), [(TaskKind.BINARY, 2), (TaskKind.ORDINAL, 3)])
def test_every_kind_of_task_is_calibrated_with_its_gate(manifest, kind, k):
    labels = manifest.labels[:k]
    codes = "abc"[:k]
    wrong = {true: {said: 5.0 for said in codes if said != true} for true in codes}
    costs = {"refer": 0.3, "reject": 0.5, "report": wrong}
    other = Manifest.model_validate(
        manifest.model_dump(exclude_none=True)
        | {"kind": kind, "labels": [label.model_dump() for label in labels], "operating_points": []}
        | {"decision": {"costs": costs}}
    )
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, 150)
    logits = np.eye(k)[y] + rng.normal(size=(2, 1, 150, k))
    features, strange = rng.normal(size=(150, 20)) + y[:, None], rng.normal(size=150)
    groups = np.repeat(np.arange(75), 2).astype(str)
    data = CalibrationData(logits, y, groups, features, np.full(k, 1 / k), SOURCE, strange)
    found = fit_calibration(data, other)
    assert set(found.ood.tails) == {"distance", "residual", "class_distance", "neighbours", "energy", "strange"}
    assert found.held_out.harm_policy < found.held_out.harm_report_all
    cases = predictions(data.observed, other, found)
    assert all(case.out_of_distribution is not None for case in cases)
    if kind is TaskKind.ORDINAL:
        assert "ordinal_aps" in found.score.trials
        runs = [[other.label_codes.index(code) for code in case.conformal_set] for case in cases]
        assert all(run == list(range(run[0], run[-1] + 1)) for run in runs)
    without = fit_calibration(replace(data, features=None, strange=None), other)
    assert set(without.ood.tails) == {"energy"}
