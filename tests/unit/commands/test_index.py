"""``whycad index`` and ``whycad fragility``: files that the app uses, never pictures beside plugins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whycad.cli import main
from whycad.plugin import load_plugin
from whycad.reference_index import FOLDER_VARIABLE, picture_path, read_index, reference_of
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.whatif.fragility import FragilityTable

CASES = """
from whycad.reference_cases import ReferenceCase
from whycad.testing.plugins import make_study


def reference_cases(data):
    for i in range(15):
        yield ReferenceCase(make_study(seed=i), None, "abc"[i % 3], f"Patient {i}")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    parent = tmp_path / "plugins"
    code = 'reference_cases = "cases:reference_cases"\n'
    write_plugin(parent, TinyPlugin(files={"cases.py": CASES}, code=code))
    monkeypatch.setenv("WHYCAD_PLUGINS", str(parent))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "own"))
    return parent / "tiny"


def index(*more: str) -> int:
    return main(["index", "--task", "tiny", "--device", "cpu", *more])


def test_the_users_own_set_goes_where_the_app_finds_it(folder: Path, tmp_path: Path) -> None:
    assert index("--data", str(tmp_path), "--pictures") == 0
    plugin = load_plugin(folder)
    reference = reference_of(plugin)
    assert reference is not None
    assert reference.dataset == "made, none"
    assert len(reference.vectors) == 15
    pictures = [picture_path("tiny", reference.name(row)) for row in range(15)]
    assert all(pictures)
    assert not list(folder.rglob("*.png"))


def test_the_shipped_set_goes_into_the_plugin_without_pictures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert index("--data", str(tmp_path), "--install", "--pictures") == 1
    assert "may not lie beside plugins" in capsys.readouterr().err
    assert index("--data", str(tmp_path), "--install") == 0
    assert len(read_index(folder / "reference_index.npz", load_plugin(folder)).vectors) == 15


def test_a_labelled_data_set_of_ones_own_will_do(folder: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (12, 40, 48, 3), dtype=np.uint8)
    names = np.array(["a", "b", "c", ""])[np.arange(12) % 4]
    np.savez(tmp_path / "mine.npz", images=images, label=names, patient=np.arange(12) // 4, split=["val"] * 12)
    out = tmp_path / "out"
    assert index("--dataset", str(tmp_path / "mine.npz"), "--split", "val", "--out", str(out), "--name", "Ours") == 0
    reference = read_index(out / "reference_index.npz", load_plugin(folder))
    assert (reference.dataset, reference.simulated) == ("Ours", False)
    assert np.bincount(reference.label_of).tolist() == [3, 3, 3]  # rows without a label are left out
    assert len(np.unique(reference.groups)) == 3


def test_a_task_that_names_no_cases_says_so(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = folder / "plugin.toml"
    manifest.write_text(manifest.read_text().replace('reference_cases = "cases:reference_cases"\n', ""))
    assert index("--data", str(tmp_path)) == 1
    assert "names no reference_cases" in capsys.readouterr().err


def test_a_fragility_table_is_written_and_says_what_it_is_of(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    arguments = [
        "fragility",
        "--task",
        "tiny",
        "--data",
        str(tmp_path),
        "--n",
        "11",
        "--out",
        str(out),
        "--device",
        "cpu",
    ]
    assert main(arguments) == 0
    table = FragilityTable.model_validate_json((out / "fragility.json").read_bytes())
    assert (table.n, table.dataset) == (11, "made, none")
    assert main([*arguments, "--install"]) == 0  # from what was kept
    assert (folder / "fragility.json").read_bytes() == (out / "fragility.json").read_bytes()
