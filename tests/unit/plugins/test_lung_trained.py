"""The stored ensemble ranks nodules, outlines them, and answers a click on a whole CT."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from plugins.lung_nodule.evidence import evidence
from plugins.lung_nodule.rows import read_row
from whycad.batch import predict_batch
from whycad.datasets.pack import read_pack
from whycad.inference import Ensemble, choose_device, load_members
from whycad.plugin import load_plugin
from whycad.registry import builtin_folder
from whycad.types import Prediction, Region

pytestmark = pytest.mark.data
N_OF_A_LABEL = 30
MALIGNANT = 1


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    plugin = load_plugin(builtin_folder() / "lung_nodule")
    if not plugin.manifest.weights.files:
        pytest.skip("plugins/lung_nodule is not trained")
    return load_members(plugin, choose_device("cpu"))


def probability(found: Prediction | object) -> float:
    assert isinstance(found, Prediction)
    return float(found.probabilities[MALIGNANT])


def test_nodules_are_ranked_and_sets_hold_the_truth(ensemble, data_dir):
    pack = read_pack(data_dir / "lung" / "lidc_key_slices.npz")
    rows, label = pack.rows("val"), pack.arrays["label"]
    chosen = [int(row) for value in (0, 1) for row in rows[label[rows] == value][:N_OF_A_LABEL]]
    cases = [read_row(pack, row) for row in chosen]
    found = predict_batch(
        [study for study, _ in cases], ensemble.plugin, ensemble, regions=[region for _, region in cases]
    )
    truth = label[chosen] == MALIGNANT
    assert roc_auc_score(truth, [probability(item) for item in found]) > 0.85
    inside = [
        ("malignant" if positive else "benign") in item.conformal_set
        for item, positive in zip(found, truth, strict=True)
        if isinstance(item, Prediction)
    ]
    assert np.mean(inside) > 0.8


def test_a_click_on_a_whole_ct_is_answered_steadily_with_an_outline(ensemble, data_dir):
    pack = read_pack(data_dir / "lung" / "ct_lidc0001_48slices.npz")
    study, region = read_row(pack, 0)
    assert region is not None
    step = 3.0 / np.asarray(study.spacing_mm)
    shifts = [(0, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    regions = [Region(tuple(float(v) for v in np.asarray(region.start) + step * np.asarray(s))) for s in shifts]
    found = [probability(item) for item in predict_batch([study] * 5, ensemble.plugin, ensemble, regions=regions)]
    assert np.median(np.abs(np.subtract(found[1:], found[0]))) <= 0.1
    assert found[0] > 0.5, "its readers found this nodule suspicious"
    inputs = ensemble.plugin.preprocess(study, region)
    outputs = {name: array.mean(axis=0)[0] for name, array in ensemble.evidence(_batch(inputs)).items()}
    seen = evidence(study, inputs, outputs)
    names = {item.name: item.value for item in seen.measurements}
    assert 3 < names["Longest diameter"] < 60
    (outline,) = seen.segmentations
    assert outline.mask.shape == study.pixels.shape
    assert outline.mask[tuple(round(v) for v in region.start)]


def _batch(inputs):
    import torch

    return torch.from_numpy(inputs.array)[None]
