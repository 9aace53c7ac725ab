"""Discovery finds every plugin, runs none of them, and keeps broken ones to their own row."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whycad.errors import PluginError
from whycad.registry import builtin_folder, card_problem, discover, misfit
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin

BOOM = "raise SystemExit('imported')\n"


def test_finds_ready_plugins_in_folder_order(tmp_path: Path) -> None:
    write_plugin(tmp_path, TinyPlugin(id="beta"))
    write_plugin(tmp_path, TinyPlugin(id="alpha"))
    entries = discover([tmp_path]).entries
    assert [(entry.id, entry.status) for entry in entries] == [("alpha", "ready"), ("beta", "ready")]


def test_discovery_imports_no_plugin_code_and_no_torch(tmp_path: Path) -> None:
    write_plugin(tmp_path, TinyPlugin(model=BOOM, preprocess=BOOM, files={"__init__.py": BOOM}))
    script = (
        "import sys; from pathlib import Path; from whycad.registry import discover\n"
        f"assert [e.status for e in discover([Path({str(tmp_path)!r})]).entries] == ['ready']\n"
        "discover()\n"
        "assert 'torch' not in sys.modules and not any(m.split('.')[0] == 'plugins' for m in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(builtin_folder().parent)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


@pytest.mark.parametrize(
    "text",
    ["", "not toml [", "schema_version = 9", 'schema_version = 1\nid = "x"', "a = " + "[" * 50_000, "\udcff"],
    ids=["empty", "not-toml", "other-schema", "incomplete", "deep", "not-utf8"],
)
def test_one_broken_manifest_is_one_broken_row(tmp_path: Path, text: str) -> None:
    write_plugin(tmp_path)
    broken = tmp_path / "a_broken"
    broken.mkdir()
    (broken / "plugin.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    rows = {entry.id: entry for entry in discover([tmp_path]).entries}
    assert rows["tiny"].status == "ready"
    assert rows["a_broken"].status == "unavailable"
    assert rows["a_broken"].error


def test_a_huge_manifest_is_not_read(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path)
    with (plugin.folder / "plugin.toml").open("a") as stream:
        stream.write("#" * 300_000)
    assert "larger than" in (discover([tmp_path]).entries[0].error or "")


def test_a_second_plugin_of_the_same_id_is_an_error_row(tmp_path: Path) -> None:
    write_plugin(tmp_path / "first")
    write_plugin(tmp_path / "second")
    registry = discover([tmp_path / "first", tmp_path / "second"])
    assert [entry.status for entry in registry.entries] == ["ready", "unavailable"]
    assert "already taken" in (registry.entries[1].error or "")
    assert registry.get("tiny").folder == tmp_path / "first" / "tiny"


def test_one_folder_named_twice_is_one_row(tmp_path: Path) -> None:
    write_plugin(tmp_path)
    assert len(discover([tmp_path, tmp_path, tmp_path / "tiny"]).entries) == 1


def test_a_broken_row_does_not_hide_a_plugin_of_that_id(tmp_path: Path) -> None:
    broken = tmp_path / "one" / "tiny"
    broken.mkdir(parents=True)
    (broken / "plugin.toml").write_text("")
    write_plugin(tmp_path / "two")
    assert discover([tmp_path / "one", tmp_path / "two"]).get("tiny").folder.parent.name == "two"


def test_extra_folders_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plugin(tmp_path / "one", TinyPlugin(id="first"))
    write_plugin(tmp_path / "two", TinyPlugin(id="second"))
    folders = os.pathsep.join([str(tmp_path / "one"), "", str(tmp_path / "two"), str(tmp_path / "nowhere")])
    monkeypatch.setenv("WHYCAD_PLUGINS", folders)
    rows = {entry.id: entry.status for entry in discover().entries}
    assert rows["first"] == rows["second"] == "ready"
    assert rows["nowhere"] == "unavailable"


def test_entry_points_are_read_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "vendor_pkg"
    write_plugin(package, TinyPlugin(id="vendor"))
    (package / "__init__.py").write_text(BOOM)
    points = [
        importlib.metadata.EntryPoint("vendor", "vendor_pkg.vendor", "whycad.plugins"),
        importlib.metadata.EntryPoint("gone", "no_such_pkg_at_all.x", "whycad.plugins"),
    ]
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("whycad.registry.entry_points", lambda group: points)
    rows = {entry.id: entry for entry in discover().entries}
    assert rows["vendor"].status == "ready"
    assert "entry point" in (rows["gone"].error or "")
    assert "vendor_pkg" not in sys.modules


@pytest.mark.parametrize("damage", ["missing", "empty", "link", "none", "calibration"])
def test_missing_files_make_a_plugin_unavailable_with_the_reason(tmp_path: Path, damage: str) -> None:
    plugin = write_plugin(tmp_path / "p", TinyPlugin(n_members=0 if damage == "none" else 1))
    if damage != "none":
        weights = plugin.weights_paths()[0]
        copy = tmp_path / "elsewhere.safetensors"
        copy.write_bytes(weights.read_bytes())
        if damage in {"missing", "link"}:
            weights.unlink()
        if damage == "link":
            weights.symlink_to(copy)
        if damage == "empty":
            weights.write_bytes(b"")
        if damage == "calibration":
            (plugin.folder / "calibration.json").unlink()
    registry = discover([tmp_path / "p"])
    words = {"missing": "missing", "empty": "empty", "link": "outside", "none": "no weights", "calibration": "calib"}
    assert words[damage] in (registry.entries[0].error or "")
    with pytest.raises(PluginError, match="unavailable"):
        registry.get("tiny")
    assert registry.get("tiny", untrained=True).id == "tiny"
    assert registry.compatible(make_study()) == ()


def test_an_unknown_task_is_named_with_the_known_ones(tmp_path: Path) -> None:
    write_plugin(tmp_path)
    with pytest.raises(PluginError, match=r"'nope'.*known tasks: tiny"):
        discover([tmp_path]).get("nope")


def test_compatible_looks_at_modality_colour_dimensions_and_size(tmp_path: Path) -> None:
    manifest = write_plugin(tmp_path).manifest
    registry = discover([tmp_path])
    study = make_study()
    assert [entry.id for entry in registry.compatible(study)] == ["tiny"]
    volume = replace(study, pixels=np.zeros((20, 30, 30), np.float32), unit="HU")
    others = [
        replace(study, modality="CT"),
        make_study(colour=False),
        make_study((15, 60)),
        volume,
    ]
    for other in others:
        assert registry.compatible(other) == ()
        assert misfit(manifest, other)


class TestCode:
    def test_two_plugins_may_have_equal_module_names(self, tmp_path: Path) -> None:
        one = write_plugin(tmp_path, TinyPlugin(id="one", files={"who.py": "def say(): return 1\n"}))
        two = write_plugin(tmp_path, TinyPlugin(id="two", files={"who.py": "def say(): return 2\n"}))
        assert (one.resolve("who:say")(), two.resolve("two.who:say")()) == (1, 2)

    def test_relative_imports_work_in_an_external_folder(self, tmp_path: Path) -> None:
        files = {"helper.py": "VALUE = 7\n", "user.py": "from .helper import VALUE\ndef get(): return VALUE\n"}
        plugin = write_plugin(tmp_path, TinyPlugin(files={**files, "__init__.py": ""}))
        assert plugin.resolve("tiny.user:get")() == 7

    def test_a_builtin_plugin_keeps_its_ordinary_module_name(self) -> None:
        plugin = discover([builtin_folder()]).get("skin_lesion", untrained=True)
        assert type(plugin.build_model()).__module__ == "plugins.skin_lesion.model"

    def test_a_copy_of_a_builtin_plugin_runs_its_own_code(self, tmp_path: Path) -> None:
        files = {"model.py": "def build_model(): raise KeyError\n"}
        copy = write_plugin(tmp_path / "plugins", TinyPlugin(id="skin_lesion", files=files))
        build = copy.resolve("plugins.skin_lesion.model:build_model")
        with pytest.raises(KeyError):
            build()

    @pytest.mark.parametrize("source", ["import no_such_module_x", "syntax error", "raise SystemExit", "1 / 0"])
    def test_code_that_cannot_be_imported_is_an_error_that_names_the_plugin(self, tmp_path: Path, source: str) -> None:
        plugin = write_plugin(tmp_path, TinyPlugin(model=source + "\n"))
        with pytest.raises(PluginError, match=r"plugin 'tiny' 0\.1\.0: import"):
            plugin.build_model()

    def test_a_reference_to_something_else_than_a_function_is_an_error(self, tmp_path: Path) -> None:
        plugin = write_plugin(tmp_path, TinyPlugin(model="build_model = 3\n"))
        with pytest.raises(PluginError, match="not a function"):
            plugin.build_model()

    def test_errors_quote_nothing_that_the_plugin_said(self, tmp_path: Path) -> None:
        source = "def preprocess(study, region):\n    raise ValueError('CANARY^NAME')\n"
        plugin = write_plugin(tmp_path, TinyPlugin(preprocess=source))
        with pytest.raises(PluginError, match=r"preprocess raised ValueError at preprocess\.py:2") as caught:
            plugin.preprocess(make_study())
        assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return None", "not a ModelInput"),
        ("return ModelInput(np.zeros((3, 32, 40)), g)", "float64, not float32"),
        ("return ModelInput(np.zeros((3, 32, 41), np.float32), g)", r"shape \(3, 32, 41\).*declares \(3, 32, 40\)"),
        ("return ModelInput(np.full((3, 32, 40), np.nan, np.float32), g)", "NaN"),
        ("return ModelInput(np.zeros((3, 32, 40), np.float32), Geometry(np.eye(3), (32, 40), (1, 1)))", "geometry"),
    ],
)
def test_what_preprocess_returns_is_checked(tmp_path: Path, body: str, problem: str) -> None:
    source = (
        "import numpy as np\nfrom whycad.types import Geometry, ModelInput\ndef preprocess(study, region):\n"
        f"    g = Geometry(np.eye(3), (32, 40), study.spatial_shape)\n    {body}\n"
    )
    with pytest.raises(PluginError, match=problem):
        write_plugin(tmp_path, TinyPlugin(preprocess=source)).preprocess(make_study())


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        ("---\nid: tiny\nversion: 0.1.0\n---\n# Card\n", ""),
        ("---\nid: other\n---\n", "another id"),
        ("---\nversion: 9.0.0\n---\n", "another version"),
        ("# no header\n", "no valid YAML header"),
        ("---\n- a\n---\n", "no valid YAML header"),
        ("---\n!!python/object/apply:os.system ['true']\n---\n", "no valid YAML header"),
        (None, "missing"),
    ],
)
def test_the_model_card_is_checked_but_does_not_block(tmp_path: Path, card: str | None, problem: str) -> None:
    plugin = write_plugin(tmp_path)
    toml = plugin.folder / "plugin.toml"
    toml.write_text(toml.read_text().replace("intended_use", 'model_card = "card.md"\nintended_use'))
    if card is not None:
        (plugin.folder / "card.md").write_text(card)
    entry = discover([tmp_path]).entries[0]
    assert entry.status == "ready"
    assert problem in " ".join(entry.remarks)
    assert bool(entry.remarks) == bool(problem)
    assert card_problem(discover([tmp_path]).get("tiny")) == " ".join(entry.remarks)


def test_weights_paths_may_not_leave_the_folder(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path)
    toml = plugin.folder / "plugin.toml"
    toml.write_text(toml.read_text().replace("weights/member0", "weights/../../member0"))
    assert "inside the plugin folder" in (discover([tmp_path]).entries[0].error or "")


def test_the_weights_hash_depends_on_every_member_and_their_order(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path)
    files = plugin.manifest.weights.files
    swapped = replace(
        plugin,
        manifest=plugin.manifest.model_copy(
            update={"weights": plugin.manifest.weights.model_copy(update={"files": files[::-1]})}
        ),
    )
    assert len(plugin.weights_sha256) == 64
    assert plugin.weights_sha256 != swapped.weights_sha256
