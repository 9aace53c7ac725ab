"""Packaging writes what the manifest then declares."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from whycad.errors import TrainingError
from whycad.manifest import load_manifest
from whycad.training.package import install_plugin, stage_plugin, with_weights


@pytest.fixture
def states(tmp_path):
    paths = []
    for seed in range(2):
        torch.manual_seed(seed)
        state = {
            "w": torch.randn(3, 3),
            "bn.running_var": torch.full((3,), 1e-9),
            "bn.num_batches_tracked": torch.tensor(7),
        }
        path = tmp_path / f"s{seed}.pt"
        torch.save(state, path)
        paths.append(path)
    return paths


def test_staged_hashes_are_those_of_the_files(repo: Path, states, tmp_path):
    staged = stage_plugin(repo / "plugins" / "skin_lesion", states, tmp_path / "staged")
    files = load_manifest(staged).weights.files
    assert [f.path for f in files] == ["weights/member0.safetensors", "weights/member1.safetensors"]
    for file in files:
        assert hashlib.sha256((staged / file.path).read_bytes()).hexdigest() == file.sha256


def test_small_variances_survive_half_precision(repo: Path, states, tmp_path):
    staged = stage_plugin(repo / "plugins" / "skin_lesion", states, tmp_path / "staged")
    tensors = load_file(staged / "weights" / "member0.safetensors")
    assert tensors["w"].dtype == torch.float16
    assert (tensors["bn.running_var"] > 0).all()
    assert "bn.num_batches_tracked" not in tensors


def test_everything_else_in_the_manifest_stays(repo: Path):
    text = (repo / "plugins" / "skin_lesion" / "plugin.toml").read_text()
    new = with_weights(text, [("weights/a.safetensors", "0" * 64)])
    before, after = text.split("[weights]"), new.split("[weights]")
    assert before[0] == after[0]
    assert before[1][before[1].index("[calibration]") :] == after[1][after[1].index("[calibration]") :]


def test_a_manifest_without_the_section_is_refused():
    with pytest.raises(TrainingError, match=r"0 \[weights\] sections"):
        with_weights("id = 'x'\n", [])


def test_install_replaces_the_files(repo: Path, states, tmp_path):
    staged = stage_plugin(repo / "plugins" / "skin_lesion", states, tmp_path / "staged")
    target = tmp_path / "plugin"
    target.mkdir()
    (target / "plugin.toml").write_text("old")
    install_plugin(staged, target)
    assert load_manifest(target).weights.files


def test_the_evidence_model_goes_along_as_it_is(repo: Path, states, tmp_path):
    folder = repo / "plugins" / "skin_lesion"
    extra = load_manifest(folder).evidence_model
    staged = stage_plugin(folder, states, tmp_path / "staged")
    assert (staged / extra.path).read_bytes() == (folder / extra.path).read_bytes()
