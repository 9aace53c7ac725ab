"""``whycad tasks`` lists every plugin, broken ones with their reason, and runs none of their code."""

import json
import re

import pytest

from whycad.cli import main
from whycad.testing.plugins import TinyPlugin, write_plugin


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    write_plugin(tmp_path, TinyPlugin(model="raise SystemExit\n", title="Tiny \\u001b[31mred"))
    write_plugin(tmp_path, TinyPlugin(id="raw", n_members=0))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "plugin.toml").write_text("no")
    monkeypatch.setenv("WHYCAD_PLUGINS", str(tmp_path))


def test_the_table_names_status_evidence_device_and_card(plugins, capsys):
    assert main(["tasks", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["task", "version", "status", "evidence", "device", "card", "title"]
    rows = {line.split()[0]: line.split() for line in lines}
    assert rows["tiny"][1:6] == ["0.1.0", "ready", "simulated", "cpu", "-"]
    assert rows["raw"][2:5] == ["unavailable", "simulated", "-"]
    assert any(line.startswith("raw: ") and "no weights" in line for line in lines)
    assert any(line.startswith("broken: ") and "plugin.toml" in line for line in lines)


def test_nothing_steers_the_terminal(plugins, capsys):
    main(["tasks", "--device", "cpu"])
    assert "\x1b" not in capsys.readouterr().out


def test_json_is_a_list_of_objects(plugins, capsys):
    assert main(["tasks", "--json", "--device", "cpu"]) == 0
    rows = {row["task"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["tiny"]["members"] == 2
    assert rows["tiny"]["labels"] == ["a", "b", "c"]
    assert rows["broken"]["status"] == "unavailable"


def test_an_unknown_device_fails(plugins, capsys):
    assert main(["tasks", "--device", "abacus"]) == 1
    assert "unknown device" in capsys.readouterr().err


def test_check_plugin_fails_on_a_broken_folder_and_names_it(tmp_path, capsys):
    plugin = write_plugin(tmp_path, TinyPlugin(n_members=0, calibrated=False))
    assert main(["check-plugin", str(plugin.folder)]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^failed\s+card\s.*no model card", out, re.MULTILINE)
    assert re.search(r"^passed\s+geometry_round_trip$", out, re.MULTILINE)
    assert re.search(r"^skipped\s+weights\s", out, re.MULTILINE)
    assert out.splitlines()[-1] == "plugin 'tiny' 0.1.0: 1 checks failed"


def test_check_plugin_of_an_unknown_task_fails(capsys):
    assert main(["check-plugin", "no_such_task"]) == 1
    assert "no task" in capsys.readouterr().err
