"""The evidence model: loaded by its hash beside the members, feeding evidence, on its own."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from whycad.errors import ManifestError, PluginError, WeightsError
from whycad.inference import load_members
from whycad.pipeline import analyse
from whycad.plugin import load_plugin
from whycad.registry import inspect_folder
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.types import AnalysisRequest
from whycad.weights import file_sha256

CPU = torch.device("cpu")
OUTLINE = """
import torch
from torch import nn

class Outline(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 1, 1)
    def forward(self, x):
        return self.mix(x)
    def forward_evidence(self, x):
        return {"mask": torch.sigmoid(self.forward(x))[:, 0]}

def build(): return Outline()
"""
EVIDENCE = """
from whycad.types import Evidence, Measurement

def evidence(study, inputs, outputs):
    return Evidence((Measurement("Mask", float(outputs["mask"].mean()), "", key="mask"),))
"""
CODE = 'evidence = "evidence:evidence"\nbuild_evidence_model = "outline:build"\n'
SECTION = '[evidence_model]\npath = "weights/outline.safetensors"\nsha256 = "{sha}"\n'


@pytest.fixture
def plugin(tmp_path):
    return write(tmp_path, OUTLINE)


def write(folder, source, weights=None):
    path = folder / "tiny" / "weights" / "outline.safetensors"
    path.parent.mkdir(parents=True)
    save_file(weights or {"mix.weight": torch.ones(1, 3, 1, 1), "mix.bias": torch.zeros(1)}, path)
    more = SECTION.format(sha=file_sha256(path))
    return write_plugin(folder, TinyPlugin(files={"outline.py": source, "evidence.py": EVIDENCE}, code=CODE, more=more))


def test_its_outputs_come_with_one_member_and_match_a_plain_pass(plugin):
    ensemble = load_members(plugin, CPU)
    batch = torch.randn(5, 3, 32, 40, generator=torch.Generator().manual_seed(1))
    found = ensemble.evidence(batch)
    assert set(found) == {"mask"}
    np.testing.assert_allclose(found["mask"][0], torch.sigmoid(batch.sum(dim=1)).numpy(), atol=1e-5)
    np.testing.assert_array_equal(ensemble.evidence(batch)["mask"], found["mask"])


def test_measurements_are_made_of_it_and_provenance_says_so(plugin):
    result = analyse(make_study(), plugin, AnalysisRequest(), ensemble=load_members(plugin, CPU))
    assert 0 < result.measurements[0].value < 1
    sha = plugin.manifest.evidence_model.sha256
    assert any(sha in note for note in result.provenance.notes)
    assert plugin.weights_sha256 != sha


def test_the_members_predict_as_without_it(plugin, tmp_path):
    plain = write_plugin(tmp_path / "other", TinyPlugin())
    assert plain.weights_sha256 == plugin.weights_sha256
    first, second = (
        analyse(make_study(), p, AnalysisRequest(), ensemble=load_members(p, CPU)) for p in (plain, plugin)
    )
    np.testing.assert_array_equal(first.prediction.probabilities, second.prediction.probabilities)


def test_a_swapped_file_makes_the_task_unavailable(plugin):
    save_file({"mix.weight": torch.zeros(1, 3, 1, 1), "mix.bias": torch.zeros(1)}, plugin.evidence_model_path())
    with pytest.raises(WeightsError, match="hash"):
        load_members(plugin, CPU)


def test_a_missing_file_is_seen_at_discovery(plugin):
    plugin.evidence_model_path().unlink()
    assert "outline.safetensors is missing" in (inspect_folder(plugin.folder).error or "")


def test_a_model_without_the_function_is_refused(tmp_path):
    with pytest.raises(PluginError, match="forward_evidence"):
        load_members(write(tmp_path, OUTLINE.replace("forward_evidence", "other")), CPU)


def test_one_name_from_both_is_refused(plugin):
    ensemble = load_members(plugin, CPU)
    for member in ensemble._engine.members:
        member.forward_evidence = lambda x: {"mask": x}
    for member in ensemble.members:
        member.forward_evidence = lambda x: {"mask": x}
    with pytest.raises(PluginError, match="one name"):
        ensemble.evidence(torch.zeros(1, 3, 32, 40))


@pytest.mark.parametrize("kept", ["code", "section"])
def test_section_and_function_come_together(tmp_path, kept):
    more = SECTION.format(sha="0" * 64) if kept == "section" else ""
    with pytest.raises(ManifestError, match="come together"):
        load_plugin(write_plugin(tmp_path, TinyPlugin(code=CODE if kept == "code" else "", more=more)).folder)
