"""Calibration undoes what class-balanced training does to probabilities."""

import numpy as np
import pytest

from whycad.errors import TrainingError
from whycad.manifest import Manifest
from whycad.training.calibrate import CalibrationData, fit_calibration, threshold_for_sensitivity
from whycad.uncertainty.calibration import CalibrationSource, calibrate

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
    logits, y = balanced_logits(np.random.default_rng(0), 3000)
    groups = np.arange(3000).astype(str)
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
