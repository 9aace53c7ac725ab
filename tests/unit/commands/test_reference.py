"""``whycad reference`` writes a file that the pipeline then uses."""

import json

import numpy as np
import pytest

from whycad.cli import main
from whycad.pipeline import analyse
from whycad.registry import discover
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.types import AnalysisRequest

EVIDENCE = """
from whycad.types import Evidence, Measurement

def evidence(study, inputs, outputs):
    return Evidence((Measurement("Grey", float(study.pixels.mean()), "", key="grey"),))
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    spec = TinyPlugin(
        files={"evidence.py": EVIDENCE},
        code='evidence = "evidence:evidence"\n',
        more='[reference]\nfile = "reference.json"\n',
    )
    plugin = write_plugin(tmp_path / "plugins", spec)
    monkeypatch.setattr("whycad.registry.discover", lambda *_: discover([tmp_path / "plugins"]))
    return plugin


def test_the_file_gives_percentiles_and_findings(plugin, tmp_path, capsys):
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    images = np.clip(rng.normal(60 + 60 * y[:, None, None, None], 8, (90, 24, 30, 3)), 0, 255).astype(np.uint8)
    pack = tmp_path / "pack.npz"
    np.savez(pack, images=images, y=y, class_names=np.array(["a", "b", "c"]))
    assert main(["reference", "--task", "tiny", "--dataset", str(pack)]) == 0
    stored = json.loads(plugin.reference_path().read_text())
    assert stored["source"]["n"] == 90
    assert stored["source"]["selection"] == "all rows"
    assert "median by label: a 0.233 (n 30)" in capsys.readouterr().out
    result = analyse(make_study(), plugin, AnalysisRequest())
    assert set(result.measurements[0].percentiles) == {"a", "b", "c"}
    assert result.measurements[0].reference_range is not None
    assert all(finding.key == "grey" for finding in result.findings)


def test_without_a_place_for_the_file_it_says_so(tmp_path, monkeypatch, capsys):
    write_plugin(tmp_path / "plugins", TinyPlugin())
    monkeypatch.setattr("whycad.registry.discover", lambda *_: discover([tmp_path / "plugins"]))
    assert main(["reference", "--task", "tiny"]) == 1
    assert "names no reference file" in capsys.readouterr().err
