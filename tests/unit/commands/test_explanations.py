"""``whycad explanations`` on a tiny task: figures are stored beside it, and the document says what they are."""

import json

import pytest

from whycad.cli import main
from whycad.map_grades import MapGrades
from whycad.testing.plugins import TinyPlugin, write_plugin

CASES = '''
"""Blobs of the test images, outlined where they are bright."""

from whycad.masked_cases import MaskedCase
from whycad.testing.plugins import make_study


def cases(data, part, n, seed):
    """Yield n images; those of calibration are others than those to report on."""
    first = 1000 if part == "calibration" else 0
    for index in range(n):
        study = make_study(seed=first + seed + index)
        grey = study.pixels.mean(axis=-1)
        yield MaskedCase(study, f"{part}-{index}", mask=grey > grey.mean(), of="blob", called="test images")
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    spec = TinyPlugin(files={"cases.py": CASES}, code='masked_cases = "cases:cases"\n')
    folder = write_plugin(tmp_path / "plugins", spec).folder
    text = (folder / "plugin.toml").read_text().replace("gradcam_layer", 'grades = "explanations.json"\ngradcam_layer')
    (folder / "plugin.toml").write_text(text)
    write_plugin(tmp_path / "plugins", TinyPlugin(id="raw", n_members=0, calibrated=False))
    monkeypatch.setenv("WHYCAD_PLUGINS", str(tmp_path / "plugins"))
    return folder


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    from whycad import registry

    monkeypatch.setattr(registry, "builtin_folder", lambda: tmp_path / "nothing")

    def call(*arguments):
        return main(["explanations", "--data", str(tmp_path), "--out", str(tmp_path / "out.md"), *arguments])

    return call


def test_figures_are_stored_and_documented(run, folder, tmp_path, capsys):
    assert run("--task", "tiny", "--n", "3", "--n-calibration", "4", "--methods", "gradcam,occlusion") == 0
    kept = MapGrades.model_validate(json.loads((folder / "explanations.json").read_text()))
    assert set(kept.methods) == {"gradcam", "occlusion"}
    assert (kept.source.n_report, kept.source.n_calibration) == (3, 4)
    assert kept.inside_of == "blob"
    assert kept.methods["gradcam"].inside.n == 3
    assert len(kept.methods["gradcam"].similarity) == 3
    text = (tmp_path / "out.md").read_text()
    assert "whycad explanations --data DATA --task tiny --n 3 --n-calibration 4" in text
    assert str(tmp_path) not in text
    assert "Simulated data" in text


def test_the_same_command_gives_the_same_figures(run, folder):
    for _ in range(2):
        run("--n", "2", "--n-calibration", "2", "--methods", "gradcam")
        first = (folder / "explanations.json").read_text()
    run("--n", "2", "--n-calibration", "2", "--methods", "gradcam")
    assert (folder / "explanations.json").read_text() == first


def test_the_document_alone_measures_nothing(run, folder, tmp_path):
    assert run("--document-only") == 0
    assert not (folder / "explanations.json").exists()
    assert "Not measured" in (tmp_path / "out.md").read_text()


def test_a_task_without_cases_is_an_error(run, folder, capsys):
    path = folder / "plugin.toml"
    path.write_text(path.read_text().replace('masked_cases = "cases:cases"\n', ""))
    assert run("--n", "2") == 1
    assert "offers no cases" in capsys.readouterr().err
