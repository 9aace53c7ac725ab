"""``whycad uncertainty``: figures from a real run, kept and made again only where something changed."""

import numpy as np
import pytest
import torch

from whycad.audit import evaluation_sets, strange_images, uncertainty_run
from whycad.cli import main
from whycad.inference import load_members
from whycad.plugin import load_plugin
from whycad.testing.plugins import TinyPlugin, make_calibration, make_study, write_plugin
from whycad.training.calibrate import run_members
from whycad.uncertainty.ood import Observed
from whycad.uncertainty.ood_fit import GateData, GateOptions, fit_gate

N = 60


def study_pixels(seed):
    return (255 * make_study((48, 60), seed=seed).pixels).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ready task ``tiny`` with a gate fitted on blobs, and an untrained one of grey images."""
    parent = tmp_path_factory.mktemp("plugins")
    write_plugin(parent, TinyPlugin(id="grey", colour=False, n_members=0, calibrated=False))
    plugin = write_plugin(parent, TinyPlugin())
    inputs = (plugin.preprocess(make_study((48, 60), seed=1000 + i)) for i in range(120))
    logits, features = run_members(inputs, load_members(plugin, torch.device("cpu")))
    groups = np.arange(120).astype(str)
    gate = fit_gate(GateData(Observed(logits, features), None, groups), GateOptions(n_components=6)).gate
    calibration = make_calibration(plugin).model_copy(update={"ood": gate})
    (plugin.folder / "calibration.json").write_text(calibration.model_dump_json())
    return parent


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(
        path,
        images=np.stack([study_pixels(i) for i in range(N)]),
        label=np.array([["a", "b", "c", "none of these"][i % 4] for i in range(N)]),
        patient=np.array([f"p{i // 2}" for i in range(N)]),
    )
    return path


@pytest.fixture(scope="module")
def grey_pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    stripes = np.tile(255 * (np.arange(60) // 3 % 2), (48, 1)).astype(np.uint8)
    np.savez(path, images=np.stack([np.roll(stripes, i, axis=1) for i in range(12)]), label=np.array(["a", "b"] * 6))
    return path


@pytest.fixture
def measure(folder, pack, grey_pack, tmp_path, monkeypatch):
    monkeypatch.setenv("WHYCAD_PLUGINS", str(folder))
    monkeypatch.setattr(evaluation_sets, "SETS", ())
    monkeypatch.setattr(strange_images, "CROPS_OF_A_PICTURE", 1)
    monkeypatch.setattr(strange_images, "N_NOISE", 3)
    monkeypatch.setattr(uncertainty_run, "N_RUINED", 4)

    def run(*more):
        out = tmp_path / "uncertainty.md"
        packs = ["--pack", f"tiny={pack}", "--pack", f"grey={grey_pack}"]
        places = ["--data", str(pack.parent), "--out", str(out), "--cache", str(tmp_path / "cache")]
        status = main(
            ["uncertainty", "--task", "tiny", *packs, *places, "--draws", "20", "--device", "cpu", *more],
        )
        return status, out.read_text(encoding="utf-8") if out.exists() else ""

    return run


def test_a_task_is_measured_and_a_second_run_reads_what_was_kept(measure, capsys):
    status, text = measure()
    assert status == 0
    assert "## Tiny test task" in text
    assert "Judged on blobs: 45 cases of" in text
    for heading in ("Ranking", "Calibration", "Coverage of the 90 % sets", "Strange images", "Policy"):
        assert heading in text
    come, disguised = text.split("### Strange images")[1:]
    assert "| stripes | 12 | 1.000 (1.000 to 1.000) | yes | 1.00 (1.00 to 1.00) |" in come, "grey is refused at once"
    assert "| stripes | 12 | 1.000" in disguised, "dressed in colour it is strange in its features"
    assert "| noise | 9 |" in text
    assert "| everyday pictures and textures | 13 |" in text
    assert "| own images, ruined | 20 |" in text
    first = capsys.readouterr()
    assert "tiny: blobs" in first.err
    assert first.out.startswith("tiny: ")
    status, again = measure()
    assert (status, again) == (0, text)
    assert capsys.readouterr().err == "", "nothing is run a second time"


def test_another_calibration_is_run_anew(measure, folder, capsys):
    measure()
    capsys.readouterr()
    path = folder / "tiny" / "calibration.json"
    before = path.read_text()
    changed = make_calibration(load_plugin(folder / "tiny")).model_copy(update={"temperature": 2.0})
    try:
        path.write_text(changed.model_dump_json())
        status, text = measure()
    finally:
        path.write_text(before)
    assert status == 0
    assert "tiny: blobs" in capsys.readouterr().err
    assert "Strange images" not in text, "without a gate there is nothing to measure"


def test_a_task_that_is_not_there_is_left_out_with_a_line(measure, capsys):
    status, text = measure("--task", "grey", "--task", "ghost")
    assert status == 0
    assert "**grey** is left out: it cannot be used here" in text
    assert "**ghost** is left out: no labelled pack is known" in text
    assert "grey: left out" in capsys.readouterr().out


def test_without_any_task_it_fails(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WHYCAD_PLUGINS", str(folder))
    out = tmp_path / "x.md"
    assert main(["uncertainty", "--data", str(tmp_path), "--task", "liver_fibrosis", "--out", str(out)]) == 1
    assert "no labelled pack is known" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize("given", ["tiny", "=x.npz", "tiny="])
def test_a_pack_needs_its_task(given, tmp_path, capsys):
    assert main(["uncertainty", "--out", str(tmp_path / "x.md"), "--pack", given]) == 2
    assert "TASK=PACK.npz" in capsys.readouterr().err


def test_a_missingdata_folder_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("WHYCAD_DATA", raising=False)
    assert main(["uncertainty", "--out", str(tmp_path / "x.md")]) == 1
    assert "--data or WHYCAD_DATA" in capsys.readouterr().err
