"""``whycad train`` calls what the manifest names, with what was asked."""

import pytest

from whycad.cli import main
from whycad.testing.plugins import TinyPlugin, write_plugin

TRAIN = """
import json


def train(request):
    seen = [request.data.name, request.device, request.seed, request.install]
    (request.out / "seen.json").write_text(json.dumps(seen))


def fail(request):
    raise RuntimeError("out of luck")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WHYCAD_PLUGINS", str(tmp_path / "plugins"))
    for name, code in (("good", 'train = "fit:train"'), ("failing", 'train = "fit:fail"'), ("without", "")):
        spec = TinyPlugin(id=name, n_members=0, calibrated=False, code=code, files={"fit.py": TRAIN})
        write_plugin(tmp_path / "plugins", spec)
    (tmp_path / "data").mkdir()
    return tmp_path


def train(folder, task, *more):
    return main(["train", "--task", task, "--data", str(folder / "data"), "--out", str(folder / "runs" / "x"), *more])


def test_an_untrained_task_can_be_trained(folder, capsys):
    assert train(folder, "good", "--device", "cpu", "--seed", "7", "--install") == 0
    assert (folder / "runs" / "x" / "seen.json").read_text() == '["data", "cpu", 7, true]'
    assert "is trained" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "message"), [("without", "declares no training function"), ("failing", "train raised RuntimeError")]
)
def test_what_cannot_be_trained_is_said_in_a_line(folder, capsys, task, message):
    assert train(folder, task) == 1
    assert message in capsys.readouterr().err


def test_missing_data_and_places_that_cannot_be_made_are_plain_errors(folder, capsys):
    (folder / "runs").write_text("a file")
    assert train(folder, "good") == 1
    assert "cannot be made" in capsys.readouterr().err
    (folder / "data").rmdir()
    assert train(folder, "good") == 1
    assert "there is no folder or table 'data'" in capsys.readouterr().err
