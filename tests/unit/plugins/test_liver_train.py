"""Training on simulated cases, end to end and very small: two parts, packaged, calibrated."""

from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import load_file

from plugins.liver_fibrosis import train as training
from plugins.liver_fibrosis.fitting import FitRecipe, RunPlan
from whycad.plugin import load_plugin
from whycad.training.request import TrainRequest

SMALL = FitRecipe(runs=(RunPlan((1,), 1),) * 2, batch_size=5)


def test_members_go_on_from_the_named_scanners_and_are_calibrated_on_wider_ones(tmp_path, monkeypatch):
    for name, value in (("N_NAMED", 10), ("N_VARIED", 10), ("N_CALIBRATION", 100)):
        monkeypatch.setattr(training, name, value)
    for name in ("NAMED_RECIPE", "VARIED_RECIPE"):
        monkeypatch.setattr(training, name, SMALL)
    staged = training.train(TrainRequest(data=tmp_path, out=tmp_path / "out", device="cpu", seed=3))
    plugin = load_plugin(staged)
    assert len(plugin.manifest.weights.files) == 2
    for file in plugin.manifest.weights.files:
        first, last = (load_file(folder / file.path)["head.weight"] for folder in (tmp_path / "out" / "named", staged))
        assert not np.array_equal(first, last)
        assert np.abs(first - last).max() < 0.2
    stored = json.loads((staged / "calibration.json").read_text(encoding="utf-8"))
    assert stored["source"]["weights_sha256"] == plugin.weights_sha256
    assert stored["training_counts"] == dict.fromkeys(("F0", "F1", "F2", "F3", "F4"), 4)
    # Every stratum of a class counts: the envelope is as long as the smallest of the three.
    assert all(len(scores) <= 20 // 3 for scores in stored["conformal_scores"].values())
