"""The stored ensemble tells neovascularisation from normal, and hands over what it was never shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whycad.batch import predict_batch
from whycad.datasets.pack import Pack, read_pack
from whycad.datasets.pack_study import row_study
from whycad.inference import Ensemble, choose_device, load_members
from whycad.plugin import load_plugin
from whycad.registry import builtin_folder
from whycad.types import DecisionKind, Prediction

pytestmark = pytest.mark.data
N = 24


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    plugin = load_plugin(builtin_folder() / "retinal_oct")
    if not plugin.manifest.weights.files:
        pytest.skip("plugins/retinal_oct is not trained")
    return load_members(plugin, choose_device("cpu"))


def spread(rows: list[int]) -> list[int]:
    return [rows[i] for i in np.linspace(0, len(rows) - 1, N).round().astype(int)]


def answers(pack: Pack, rows: list[int], ensemble: Ensemble) -> list[Prediction]:
    studies = [row_study(pack, row, ensemble.plugin.manifest) for row in rows]
    found = predict_batch(studies, ensemble.plugin, ensemble)
    assert all(isinstance(item, Prediction) for item in found)
    return [item for item in found if isinstance(item, Prediction)]


def test_the_two_answers_are_told_apart(ensemble, data_dir):
    pack = read_pack(data_dir / "oct" / "kermany_cnv_normal.npz")
    rows = [int(row) for row in pack.rows("val") if not pack.arrays["near_fold_border"][row]]
    for name, code in (("CNV", "cnv"), ("NORMAL", "normal")):
        found = answers(pack, spread([row for row in rows if pack.label_name(row) == name]), ensemble)
        assert np.mean([item.predicted == code for item in found]) >= 0.9
        if code == "normal":
            assert np.mean([item.decision.kind is DecisionKind.REPORT for item in found]) >= 0.7
        else:
            assert all(item.decision.kind is not DecisionKind.REPORT for item in found if item.predicted == code)


def test_oedema_is_hardly_ever_reported_as_normal(ensemble, data_dir: Path):
    pack = read_pack(data_dir / "oct" / "duke_dme_fluid.npz")
    rows = [row for row in range(len(pack)) if pack.label_name(row) == "FLUID"]
    found = answers(pack, spread(rows), ensemble)
    missed = [item.predicted == "normal" and item.decision.kind is DecisionKind.REPORT for item in found]
    assert np.mean(missed) <= 0.2


def test_skin_is_no_scan(ensemble, data_dir):
    pack = read_pack(data_dir / "skin" / "isic2017.npz")
    study = row_study(pack, 0, load_plugin(builtin_folder() / "skin_lesion").manifest)
    (found,) = predict_batch([study], ensemble.plugin, ensemble)
    assert not isinstance(found, Prediction) or found.decision.kind is DecisionKind.REJECT
