"""Each check catches the plugin that was broken for it, and lets the working one pass."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from whycad.plugin import Plugin, load_plugin
from whycad.testing.contract import CHECKS, assert_contract, run_check, run_checks, run_contract
from whycad.testing.plugins import MODEL, PREPROCESS, TinyPlugin, write_manifest, write_plugin
from whycad.weights import file_sha256

CARD = "---\nid: tiny\nversion: 0.1.0\n---\n# Tiny\n"
PHANTOM = """
import numpy as np
from dataclasses import replace
from whycad.phantom import PhantomCase
from whycad.testing.plugins import make_study

def sample_cases():
    study = make_study()
    mask = np.zeros(study.spatial_shape, bool)
    mask[3:5, 4] = True
    return (PhantomCase(study, mask, "a", "One", "A blob."), PhantomCase(study, mask, "b", "Two", "A blob."))
"""
WORKING = TinyPlugin(files={"card.md": CARD, "phantom.py": PHANTOM}, code='phantom = "phantom:sample_cases"\n')
RETURN = "    return ModelInput("
OPTIONAL = {
    "gate",
    "survey",
    "evidence",
    "reference",
    "row_reader",
    "strange",
    "slices",
    "single_image",
    "artefacts",
    "draw_artefact",
    "similar",
}


def working(folder: Path, spec: TinyPlugin = WORKING) -> Plugin:
    plugin = write_plugin(folder, spec)
    edit(plugin.folder / "plugin.toml", "intended_use", 'model_card = "card.md"\nintended_use')
    return load_plugin(plugin.folder)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_working_plugin_passes_every_check(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    outcomes = run_checks(working(tmp_path))
    assert [o.check for o in outcomes] == list(CHECKS)
    assert [o for o in outcomes if o.state == "failed"] == []
    assert {o.check for o in outcomes if o.state == "skipped"} == OPTIONAL


@dataclass(frozen=True)
class Break:
    """One way to break a plugin: text to replace in a file, the check that must fail, and what it says."""

    check: str
    file: str
    old: str
    new: str
    says: str


NET = "    return TinyNet({channels}, {n_labels})"
OWN_FORWARD = """    class Net(TinyNet):
        def forward(self, x):
            BODY
    return Net({channels}, {n_labels})"""


def forward_that(body: str) -> str:
    """Return build_model's body for a net whose forward does something else."""
    return OWN_FORWARD.replace("BODY", body)


BREAKS = {
    "html in a name": Break("manifest", "plugin.toml", "Label b", "<img src=x onerror=alert(1)>", "HTML"),
    "markdown in a title": Break("manifest", "plugin.toml", "Tiny test task", "[click](http://x)", "Markdown"),
    "reversed text": Break("manifest", "plugin.toml", "Tiny test task", "Tiny \u202etask", "invisible"),
    "card of another task": Break("card", "card.md", "id: tiny", "id: other", "another id"),
    "card without header": Break("card", "card.md", "---", "", "header"),
    "no such layer": Break("build", "plugin.toml", '"layer1"', '"layer9"', "layer9"),
    "build raises": Break("build", "model.py", "    return TinyNet", "    raise OSError; return TinyNet", "OSError"),
    "build returns text": Break(
        "build", "model.py", "    return TinyNet", "    return 'net' or TinyNet", "returned str"
    ),
    "build varies": Break(
        "build",
        "model.py",
        "    return TinyNet(3, 3)",
        "    import random; return TinyNet(3, random.randint(4, 10**6))",
        "another",
    ),
    "preprocess raises": Break("preprocess", "preprocess.py", RETURN, "    1 / 0\n" + RETURN, "ZeroDivisionError"),
    "preprocess wrong shape": Break("preprocess", "preprocess.py", "sampled, -1, 0)", "sampled, -1, 1)", "shape"),
    "preprocess float64": Break("preprocess", "preprocess.py", "np.float32", "np.float64", "float64"),
    "preprocess NaN": Break("preprocess", "preprocess.py", "array * 2 - 1", "array * np.nan", "NaN"),
    "preprocess in place": Break(
        "preprocess", "preprocess.py", RETURN, "    study.pixels[0, 0] = 0\n" + RETURN, "in place"
    ),
    "preprocess draws": Break(
        "determinism", "preprocess.py", "array * 2 - 1", "array + np.random.rand()", "another array"
    ),
    "geometry draws": Break(
        "determinism", "preprocess.py", "[(scale[0] - 1) / 2,", "[np.random.rand(),", "another geometry"
    ),
    "rows flipped": Break("geometry_round_trip", "preprocess.py", "array * 2", "array[:, ::-1] * 2", "maps back"),
    "columns flipped": Break("geometry_round_trip", "preprocess.py", "array * 2", "array[:, :, ::-1] * 2", "maps back"),
    "crop forgotten": Break(
        "geometry_round_trip", "preprocess.py", "np.ix_(rows, columns)", "np.ix_(rows // 2, columns // 2)", "maps back"
    ),
    "scale forgotten": Break(
        "geometry_round_trip", "preprocess.py", "np.diag([scale[0], scale[1], 1.0])", "np.eye(3)", "maps back"
    ),
    "singular geometry": Break(
        "geometry_round_trip", "preprocess.py", "np.diag([scale[0], scale[1], 1.0])", "np.zeros((3, 3))", "inverted"
    ),
    "method unknown": Break("explain", "plugin.toml", '"ig", "occ', '"tea_leaves", "occ', "tea_leaves"),
    "phantom raises": Break("phantom", "phantom.py", "    study =", "    1 / 0\n    study =", "ZeroDivisionError"),
    "phantom label": Break("phantom", "phantom.py", '"a", "One"', '"z", "One"', "label"),
    "phantom names": Break("phantom", "phantom.py", '"b", "Two"', '"b", "One"', "two of one name"),
    "phantom mask": Break("phantom", "phantom.py", "mask[3:5, 4] = True", "", "mask"),
    "phantom posing as real": Break(
        "phantom", "phantom.py", "make_study()", "replace(make_study(), simulated=False)", "simulated"
    ),
    "phantom of another modality": Break(
        "phantom", "phantom.py", "make_study()", "replace(make_study(), modality='CT')", "not admitted"
    ),
    "calibration of other labels": Break("calibration", "calibration.json", '"labels":["a"', '"labels":["z"', "labels"),
    "calibration not JSON": Break("calibration", "calibration.json", "{", "", "broken"),
}
FORWARDS = {
    "forward raises": ("forward", "raise KeyError", "KeyError"),
    "forward wrong shape": ("forward", "return super().forward(x)[:, :2]", r"output shape \(1, 2\)"),
    "forward NaN": ("forward", "return super().forward(x) * float('nan')", "NaN"),
    "forward mixes the batch": ("forward", "y = super().forward(x); return y - y.mean(0)", "others in the batch"),
    "forward draws": ("determinism", "y = super().forward(x); return y + torch.rand_like(y)", "another output"),
    "forward always drops out": (
        "determinism", "return torch.nn.functional.dropout(super().forward(x), 0.5, True)", "another output"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_the_check_meant_for_it_catches(tmp_path: Path, name: str) -> None:
    broken = BREAKS[name]
    plugin = working(tmp_path)
    edit(plugin.folder / broken.file, broken.old, broken.new)
    outcome = run_check(load_plugin(plugin.folder), broken.check)
    assert outcome.state == "failed"
    assert broken.says in outcome.reason


@pytest.mark.parametrize("name", FORWARDS)
def test_a_broken_forward_is_caught(tmp_path: Path, name: str) -> None:
    check, body, says = FORWARDS[name]
    source = "import torch\n" + MODEL.replace(NET, forward_that(body))
    outcome = run_check(working(tmp_path, replace(WORKING, model=source)), check)
    assert outcome.state == "failed"
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(outcome.reason)


def swap(plugin: Plugin) -> None:
    first, second = plugin.weights_paths()
    first.write_bytes(second.read_bytes())


def pickled(plugin: Plugin) -> None:
    plugin.weights_paths()[0].write_bytes(pickle.dumps({"head.weight": [1.0]}))


def not_a_number(plugin: Plugin) -> None:
    path = plugin.weights_paths()[0]
    state = {name: tensor.clone() for name, tensor in load_file(path).items()}
    state["head.bias"][0] = float("nan")
    save_file(state, path)


@pytest.mark.parametrize(
    ("damage", "declare", "says"),
    [
        (swap, False, "hash"),
        (swap, True, "same weights"),
        (pickled, True, "not a safetensors file"),
        (not_a_number, True, "NaN"),
        (lambda plugin: plugin.weights_paths()[0].unlink(), False, "cannot be read"),
    ],
)
def test_damaged_weights_are_caught(tmp_path: Path, damage: Callable[[Plugin], None], declare: bool, says: str) -> None:
    plugin = working(tmp_path)
    damage(plugin)
    if declare:
        hashes = {f"weights/{path.name}": file_sha256(path) for path in plugin.weights_paths()}
        write_manifest(plugin.folder, WORKING, hashes)
    outcome = run_check(load_plugin(plugin.folder), "weights")
    assert outcome.state == "failed"
    assert says in outcome.reason


def test_a_calibration_of_other_weights_is_caught(tmp_path: Path) -> None:
    plugin = working(tmp_path)
    edit(plugin.folder / "calibration.json", plugin.weights_sha256, "0" * 64)
    outcome = run_check(plugin, "calibration")
    assert (outcome.state, "other weights" in outcome.reason) == ("failed", True)


def test_an_operating_point_without_a_threshold_is_caught(tmp_path: Path) -> None:
    plugin = working(tmp_path)
    with (plugin.folder / "plugin.toml").open("a") as stream:
        stream.write('\n[[operating_points]]\nname = "bad"\nlabels = ["a"]\nsensitivity = 0.9\n')
    outcome = run_check(load_plugin(plugin.folder), "calibration")
    assert (outcome.state, "'bad'" in outcome.reason) == ("failed", True)


def test_an_untrained_plugin_skips_what_needs_weights_and_says_so(tmp_path: Path) -> None:
    outcomes = {o.check: o for o in run_checks(working(tmp_path, replace(WORKING, n_members=0, calibrated=False)))}
    needing_weights = {"weights", "calibration", "explain", "analysis"}
    assert {name for name, o in outcomes.items() if o.state == "skipped"} == needing_weights | OPTIONAL
    assert all("names no" in outcomes[name].reason for name in needing_weights)
    assert outcomes["forward"].state == "passed"


def test_hanging_and_exiting_are_outcomes_and_the_other_checks_go_on(tmp_path: Path) -> None:
    phantom = PHANTOM.replace("    study =", "    while True: pass\n    study =")
    preprocess = PREPROCESS.replace(RETURN, "    import os; os._exit(0)\n" + RETURN)
    spec = replace(WORKING, preprocess=preprocess, files={"card.md": CARD, "phantom.py": phantom})
    plugin = working(tmp_path, replace(spec, n_members=0, calibrated=False))
    outcomes = {outcome.check: outcome for outcome in run_contract(plugin, timeout_s=8)}
    assert list(outcomes) == list(CHECKS)
    assert outcomes["manifest"].state == outcomes["build"].state == "passed"
    for name in ("preprocess", "determinism", "geometry_round_trip", "forward"):
        assert "plugin 'tiny' 0.1.0: the check ended the process" in outcomes[name].reason
    assert "hung" in outcomes["phantom"].reason


def test_assert_contract_names_every_broken_check(tmp_path: Path) -> None:
    plugin = working(tmp_path)
    edit(plugin.folder / "card.md", "id: tiny", "id: other")
    edit(plugin.folder / "phantom.py", '"a", "One"', '"z", "One"')
    with pytest.raises(AssertionError, match=r"card: .*another id[\s\S]*phantom: .*label"):
        assert_contract(plugin.folder)
