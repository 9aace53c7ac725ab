"""The stored ensemble does on fresh simulated slices of the other scanner what its card says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from plugins.liver_fibrosis.data import slice_study, slices_of
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.simulator_scanner import HELD_OUT_SCANNER
from whycad.inference import choose_device, load_members
from whycad.pipeline import predict_batch
from whycad.plugin import load_plugin
from whycad.scoring import calibration_of
from whycad.types import DecisionKind, Prediction

FOLDER = Path(__file__).parents[3] / "plugins" / "liver_fibrosis"
N = 60


@pytest.fixture(scope="module")
def predictions() -> list[Prediction]:
    plugin = load_plugin(FOLDER)
    if not plugin.manifest.weights.files:
        pytest.skip("plugins/liver_fibrosis is not trained")
    studies = [slice_study(item) for item in slices_of(PackOrder(N, 4711, (HELD_OUT_SCANNER,)))]
    found = predict_batch(studies, plugin, load_members(plugin, choose_device("cpu")))
    assert all(isinstance(item, Prediction) for item in found)
    return [item for item in found if isinstance(item, Prediction)]


truth = np.arange(N) % 5


def test_stages_are_ranked(predictions):
    p = np.stack([item.probabilities for item in predictions])
    for boundary in (2, 3, 4):
        assert roc_auc_score(truth >= boundary, p[:, boundary:].sum(axis=1)) > 0.9
    said = [item.labels.index(item.predicted) for item in predictions]
    assert cohen_kappa_score(truth, said, weights="quadratic") > 0.75


def test_sets_are_runs_of_stages_that_hold_the_truth(predictions):
    inside = np.array([[label in item.conformal_set for label in item.labels] for item in predictions])
    for row in inside:
        assert (np.diff(np.flatnonzero(row)) == 1).all()
    assert inside[np.arange(N), truth].mean() > 0.8
    assert 1 <= inside.sum(axis=1).mean() <= 2.3


def test_few_are_rejected_and_every_operating_point_is_answered(predictions):
    rejected = [item.decision.kind is DecisionKind.REJECT for item in predictions]
    assert np.mean(rejected) < 0.1
    assert all(set(item.operating_points) == {"at_least_f2", "at_least_f3", "f4"} for item in predictions)


def test_the_policy_reports_the_surer_cases_and_does_less_harm_than_reporting_all():
    found = calibration_of(load_plugin(FOLDER)).held_out
    assert found is not None
    assert found.error_reported is not None
    assert found.error_reported < found.error_all - 0.05
    assert found.harm_policy is not None
    assert found.harm_report_all is not None
    assert found.harm_policy < found.harm_report_all
    assert found.aurc < found.aurc_median_member
    assert found.shares["report"] > 0.15


@pytest.mark.parametrize("name", ["performance.json", "performance-d.json"])
def test_on_unseen_scanners_reported_cases_are_surer_and_sets_small(name):
    found = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert "simulated" in found["dataset"]
    metrics = {key: figure["value"] for key, figure in found["metrics"].items()}
    assert metrics["accuracy_reported"] > metrics["accuracy"]
    assert metrics["mean_set_size"] <= 2.2


def test_on_scanner_c_every_stage_is_covered_and_calibration_holds():
    found = json.loads((FOLDER / "performance.json").read_text(encoding="utf-8"))
    assert found["metrics"]["ece_excess"]["value"] <= 0.02
    for stage in found["per_class"].values():
        assert stage["coverage"] >= 0.9 - 2.6 * stage["coverage_se"]
