"""``whycad broken-maps`` on a tiny task with simulated samples."""

import pytest

from whycad.audit.broken_maps import RankReport
from whycad.cli import main
from whycad.commands.broken_maps import describe
from whycad.testing.plugins import TinyPlugin, write_plugin

PHANTOM = '''
"""Two blobs."""

from whycad.phantom import PhantomCase
from whycad.testing.plugins import make_study
from dataclasses import replace


def samples():
    """Return the samples."""
    studies = [replace(make_study(seed=seed), simulated=True) for seed in range(2)]
    masks = [study.pixels.mean(axis=-1) > study.pixels.mean() for study in studies]
    return tuple(PhantomCase(s, m, "a", f"blob {i}", "A blob.") for i, (s, m) in enumerate(zip(studies, masks)))
'''


@pytest.fixture
def task(tmp_path, monkeypatch):
    spec = TinyPlugin(files={"samples.py": PHANTOM}, code='phantom = "samples:samples"\n')
    write_plugin(tmp_path / "plugins", spec)
    write_plugin(tmp_path / "plugins", TinyPlugin(id="bare"))
    monkeypatch.setenv("WHYCAD_PLUGINS", str(tmp_path / "plugins"))


def test_samples_are_graded_beside_broken_maps(task, capsys):
    assert main(["broken-maps", "--task", "tiny", "--methods", "gradcam"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 simulated samples")
    assert [line.split(" graded")[0].strip() for line in lines[1:5]] == [
        "random", "edges", "wrong label", "other image",
    ]  # fmt: skip
    assert "edges        graded" in lines[2]
    assert "fails in 2" in lines[2]
    assert "mass inside the finding" in lines[5]


def test_a_task_without_samples_is_an_error(task, capsys):
    assert main(["broken-maps", "--task", "bare"]) == 1
    assert "fewer than two" in capsys.readouterr().err


def test_counts_are_said():
    report = RankReport(3, {"edges": 2}, {"edges": 3}, {"A": 1, "fails": 2}, (0.5, 0.7))
    assert list(describe(report)) == [
        "3 simulated samples; grades of their best maps: A: 1, fails: 2",
        "edges        graded below the best map in 2 of 3, fails in 3",
        "share of the best map's mass inside the finding: 0.60 on average, least 0.50",
    ]
