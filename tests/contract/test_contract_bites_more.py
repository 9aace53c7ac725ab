"""The checks of what a plugin may have besides a network catch what was broken for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from whycad.plugin import Plugin, load_plugin
from whycad.testing.contract import CHECKS, run_check, run_checks
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.testing.surveyed import SURVEYED
from whycad.testing.volume_plugins import PATCHES, SLICES

CARD = "---\nid: {id}\nversion: 0.1.0\n---\n# Tiny\n"
EXTRAS = """
import numpy as np
from whycad.datasets.pack_study import row_sha256
from whycad.types import Concept, Evidence, Measurement, Region, Segmentation, Study

def gate(study, region):
    return () if study.pixels.max() < 0.7 else ("The image is too bright.",)

def evidence(study, inputs, outputs):
    mask = np.zeros(study.spatial_shape, bool)
    return Evidence(
        (Measurement("size", float(outputs["size"]), "mm", (1.0, 2.0)),),
        (Concept("margin", "How sharp?", ("poor", "sharp"), (0.25, 0.75)),),
        (Segmentation("lesion", mask, "threshold"), Segmentation("rim", mask, "threshold")),
    )

def read_row(pack, row):
    pixels = pack.image(row).astype(np.float32) / 255
    return Study(pixels, "OT", row_sha256(pack, row)), Region((1.0, 2.0))

def strange(batch):
    return np.abs(batch).reshape(len(batch), -1).mean(axis=1)
"""
EVIDENCE_MODEL = """
from whycad.testing.tiny_net import TinyNet

class Net(TinyNet):
    def forward_evidence(self, x):
        size = x.mean(dim=(1, 2, 3))
        return {"size": size}

def build_model():
    return Net({channels}, {n_labels})
"""
CODE = "".join(f'{name} = "extras:{name}"\n' for name in ("gate", "evidence", "read_row", "strange"))
EXTRA = TinyPlugin(model=EVIDENCE_MODEL, files={"extras.py": EXTRAS}, code=CODE)
SLICE_CODE = replace(SLICES, files={"extras.py": EXTRAS}, code='gate = "extras:gate"\n')
SPECS = {"tiny": EXTRA, "slices": SLICE_CODE, "patches": PATCHES, "surveyed": SURVEYED}
WHAT_IF = {"draw_artefact", "artefacts", "similar"}
SKIPPED = {
    "tiny": {"reference", "survey", "slices", "single_image", "phantom"},
    "slices": {"reference", "survey", "evidence", "row_reader", "strange", "single_image", "phantom"},
    "patches": {"reference", "gate", "survey", "evidence", "row_reader", "strange", "slices", "phantom"},
    "surveyed": {"reference", "evidence", "row_reader", "strange", "single_image", "phantom"},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def working(folder: Path, spec: TinyPlugin) -> Plugin:
    spec = replace(spec, files={**spec.files, "card.md": CARD.format(id=spec.id)})
    plugin = write_plugin(folder, spec)
    edit(plugin.folder / "plugin.toml", "intended_use", 'model_card = "card.md"\nintended_use')
    return load_plugin(plugin.folder)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("name", SPECS)
def test_working_plugins_pass_every_check(tmp_path: Path, name: str) -> None:
    outcomes = run_checks(working(tmp_path, SPECS[name]))
    assert [o.check for o in outcomes] == list(CHECKS)
    assert [o for o in outcomes if o.state == "failed"] == []
    assert {o.check for o in outcomes if o.state == "skipped"} == SKIPPED[name] | WHAT_IF


@dataclass(frozen=True)
class Break:
    """Text to replace in one plugin's file, the check that must fail, and what it says."""

    plugin: str
    check: str
    file: str
    old: str
    new: str
    says: str


STATE = "import itertools\nCOUNT = itertools.count()\n"
BREAKS = {
    "gate raises": Break(
        "tiny", "gate", "extras.py", "    return () if", "    1 / 0\n    return () if", "ZeroDivision"
    ),
    "gate says True": Break(
        "tiny", "gate", "extras.py", "return () if", "return True if True else () if", "gate returned bool"
    ),
    "gate draws": Break(
        "tiny", "gate", "extras.py", "study.pixels.max() < 0.7", "np.random.rand() < 0.5", "something else"
    ),
    "gate in place": Break(
        "tiny", "gate", "extras.py", "    return () if", "    study.pixels[0, 0] = 0\n    return () if", "in place"
    ),
    "gate with markup": Break("tiny", "gate", "extras.py", "0.7 else", '0.0 else ("<b>bright</b>",) or', "plain text"),
    "survey raises": Break(
        "surveyed", "survey", "extras.py", "    return np.array", "    1 / 0\n    return np.array", "ZeroDivision"
    ),
    "survey in place": Break(
        "surveyed",
        "survey",
        "extras.py",
        "    return np.array",
        "    study.pixels[0, 0] = 0\n    return np.array",
        "in place",
    ),
    "survey changed by the gate": Break(
        "surveyed", "survey", "extras.py", "    return () if", "    found *= 0.5\n    return () if", "another input"
    ),
    "survey used up by the preprocessing": Break(
        "surveyed",
        "survey",
        "preprocess.py",
        "    height, width",
        "    found[:] = 0\n    height, width",
        "gate says",
    ),
    "survey in a buffer": Break(
        "surveyed",
        "survey",
        "extras.py",
        "survey(study, region):\n",
        "survey(study, region, kept=np.zeros(2)):\n    kept[:] = np.median(study.pixels), 1\n    return kept\n",
        "another input",
    ),
    "evidence raises": Break("tiny", "evidence", "extras.py", 'outputs["size"]', 'outputs["mass"]', "KeyError"),
    "evidence of the batch": Break(
        "tiny",
        "evidence",
        "model.py",
        "x.mean(dim=(1, 2, 3))",
        "x.mean(dim=(1, 2, 3)) + x.mean()",
        "others in the batch",
    ),
    "evidence NaN": Break("tiny", "evidence", "model.py", "(dim=(1, 2, 3))", "(dim=(1, 2, 3)) * float('nan')", "NaN"),
    "evidence draws": Break(
        "tiny", "evidence", "extras.py", 'float(outputs["size"])', "np.random.rand()", "differs for the same"
    ),
    "evidence in place": Break(
        "tiny", "evidence", "extras.py", "    mask =", "    study.pixels[0] = 0\n    mask =", "in place"
    ),
    "mask off the grid": Break(
        "tiny",
        "evidence",
        "extras.py",
        "np.zeros(study.spatial_shape",
        "np.zeros(inputs.geometry.model_shape[:1]",
        "mask",
    ),
    "two masks of one name": Break("tiny", "evidence", "extras.py", '"rim"', '"lesion"', "two segmentations alike"),
    "range upside down": Break("tiny", "evidence", "extras.py", "(1.0, 2.0)),)", "(2.0, 1.0)),)", "from low to high"),
    "concept of one level": Break(
        "tiny", "evidence", "extras.py", '("poor", "sharp"), (0.25, 0.75)', '("poor",), (1.0,)', "fewer than two"
    ),
    "concept without words": Break("tiny", "evidence", "extras.py", '"poor"', '" "', "plain text"),
    "concept with markup": Break("tiny", "evidence", "extras.py", "How sharp?", "<i>How?</i>", "plain text"),
    "row raises": Break(
        "tiny",
        "row_reader",
        "extras.py",
        "    pixels = pack",
        '    spacing = pack.arrays["spacing"]\n    pixels = pack',
        "KeyError",
    ),
    "row of integers": Break(
        "tiny", "row_reader", "extras.py", ".astype(np.float32) / 255", ".astype(np.int64)", "float32"
    ),
    "row draws": Break(
        "tiny", "row_reader", "extras.py", "/ 255", "/ 255 + np.float32(np.random.rand())", "another image"
    ),
    "row changes the pack": Break(
        "tiny",
        "row_reader",
        "extras.py",
        "    pixels = pack.image(row)",
        '    if "images" in pack.arrays:\n        pack.image(row)[:] += 1\n'
        '        return Study(np.zeros((9, 9), np.float32), "OT", "0"), None\n    pixels = pack.image(row)',
        "in place",
    ),
    "row points outside": Break(
        "tiny", "row_reader", "extras.py", "Region((1.0, 2.0))", "Region((-9.0, 2.0))", "outside"
    ),
    "row without region or None": Break(
        "tiny", "row_reader", "extras.py", ", Region((1.0, 2.0))", "", "returned Study"
    ),
    "strange of the batch": Break(
        "tiny", "strange", "extras.py", "np.abs(batch)", "np.abs(batch - batch.mean(0))", "others"
    ),
    "strange in place": Break(
        "tiny", "strange", "extras.py", "    return np.abs", "    batch *= 2\n    return np.abs", "in place"
    ),
    "strange too short": Break(
        "tiny", "strange", "extras.py", ".mean(axis=1)", ".mean(axis=1)[:1]", "one finite number"
    ),
    "slices remember": Break(
        "slices", "slices", "preprocess.py", "array * 2 - 1", "array * 2 - 1 + 0.3 * next(COUNT)", "other numbers"
    ),
    "slices refuse slices": Break(
        "slices",
        "slices",
        "preprocess.py",
        "    height, width = study.spatial_shape",
        "    assert len(study.spacing_mm or ()) == 3\n    height, width = study.spatial_shape",
        "AssertionError",
    ),
    "single image without a slice axis": Break(
        "patches",
        "single_image",
        "preprocess.py",
        "else study.pixels[None]",
        "else np.stack([study.pixels] * 3)",
        "but the input is",
    ),
    "single image unforeseen": Break(
        "patches", "single_image", "preprocess.py", " if study.pixels.ndim == 3 else study.pixels[None]", "", "raised"
    ),
    "volume flipped": Break(
        "patches", "geometry_round_trip", "preprocess.py", "array[None]", "array[None, ::-1]", "maps back"
    ),
    "volume's rows flipped": Break(
        "patches", "geometry_round_trip", "preprocess.py", "array[None]", "array[None, :, ::-1]", "maps back"
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_check_meant_for_it_catches(tmp_path: Path, name: str) -> None:
    broken = BREAKS[name]
    plugin = working(tmp_path, SPECS[broken.plugin])
    path = plugin.folder / broken.file
    edit(path, broken.old, broken.new)
    if "COUNT" in broken.new:
        path.write_text(STATE + path.read_text())
    outcome = run_check(load_plugin(plugin.folder), broken.check)
    assert outcome.state == "failed", outcome
    assert broken.says in outcome.reason


def test_a_bare_pack_may_be_refused_in_words(tmp_path: Path) -> None:
    plugin = working(tmp_path, EXTRA)
    refusal = "    from whycad.errors import DatasetError\n    raise DatasetError('no spacing')\n    pixels = pack"
    edit(plugin.folder / "extras.py", "    pixels = pack", refusal)
    assert run_check(load_plugin(plugin.folder), "row_reader").state == "passed"


def test_a_single_image_may_be_refused_in_words(tmp_path: Path) -> None:
    plugin = working(tmp_path, PATCHES)
    refusal = (
        "    from whycad.errors import GeometryError\n"
        "    if study.pixels.ndim == 2: raise GeometryError('a volume is needed')\n    volume ="
    )
    edit(plugin.folder / "preprocess.py", "    volume =", refusal)
    assert run_check(load_plugin(plugin.folder), "single_image").state == "passed"


def test_a_gate_that_refuses_the_probes_still_lets_the_whole_way_be_checked(tmp_path: Path) -> None:
    plugin = working(tmp_path, EXTRA)
    edit(plugin.folder / "extras.py", "study.pixels.max() < 0.7", "False")
    outcomes = {o.check: o.state for o in run_checks(load_plugin(plugin.folder), ["gate", "analysis", "evidence"])}
    assert set(outcomes.values()) == {"passed"}


REFERENCE = (
    '{{"source": {{"dataset": "x", "selection": "", "n": 3, "weights_sha256": "{sha}"}}, "measurements": {more}}}'
)
UNKNOWN = '{"size": {"name": "Size", "labels": {"z": {"n": 3}}}}'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read"),
        (REFERENCE.format(sha="1" * 64, more="{}"), "other weights"),
        (REFERENCE.format(sha="OWN", more=UNKNOWN), "unknown label 'z'"),
        (REFERENCE.format(sha="OWN", more="{}"), ""),
    ],
)
def test_reference_distributions_must_fit(tmp_path: Path, text: str, says: str) -> None:
    plugin = write_plugin(tmp_path, TinyPlugin(more='[reference]\nfile = "reference.json"\n'))
    (plugin.folder / "reference.json").write_text(text.replace("OWN", plugin.weights_sha256), encoding="utf-8")
    outcome = run_check(plugin, "reference")
    assert outcome.state == ("failed" if says else "passed")
    assert says in outcome.reason
