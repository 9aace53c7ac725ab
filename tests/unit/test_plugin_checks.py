"""What a plugin's gate, evidence, read_row and strange return is held against its promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whycad.datasets.pack import Pack
from whycad.errors import ManifestError, PluginError
from whycad.plugin import Plugin, load_plugin
from whycad.plugin_checks import check_model_input, model_grid
from whycad.registry import misfit
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.types import Concept, Evidence, Geometry, Measurement, ModelInput, Region

EXTRAS = """
import numpy as np
from whycad.types import Concept, Evidence, Measurement, Region, Segmentation, Study

def gate(study, region):
    return () if study.pixels.mean() < 0.9 else ("The image is too bright.",)

def evidence(study, inputs, outputs):
    mask = np.zeros(study.spatial_shape, bool)
    return Evidence(
        (Measurement("size", float(outputs["size"]), "mm"),),
        (Concept("margin", "How sharp?", ("poor", "sharp"), (0.25, 0.75)),),
        (Segmentation("lesion", mask, "threshold"),),
    )

def read_row(pack, row):
    return Study(np.zeros((4, 4), np.float32), "CT", "0" * 64, unit="HU"), Region((1.0, 2.0))

def strange(batch):
    return np.abs(batch).mean(axis=(1, 2, 3))
"""
CODE = "".join(f'{name} = "extras:{name}"\n' for name in ("gate", "evidence", "read_row", "strange"))
SPEC = TinyPlugin(files={"extras.py": EXTRAS}, code=CODE)
PACK = Pack(Path("nothing.npz"), {})


def with_extras(folder: Path, old: str = "", new: str = "") -> Plugin:
    assert old in EXTRAS
    return write_plugin(folder, replace(SPEC, files={"extras.py": EXTRAS.replace(old, new, 1) if old else EXTRAS}))


def test_every_function_is_called_and_its_answer_kept(tmp_path: Path) -> None:
    plugin = with_extras(tmp_path)
    study = make_study()
    inputs = plugin.preprocess(study)
    assert plugin.gate(study) == ()
    assert plugin.gate(replace(study, pixels=np.ones_like(study.pixels))) == ("The image is too bright.",)
    found = plugin.evidence(study, inputs, {"size": np.array(3.0, np.float32)})
    assert found.measurements == (Measurement("size", 3.0, "mm"),)
    assert found.concepts[0].expected == 1.75
    read, region = plugin.read_row(PACK, 0)
    assert (read.unit, region) == ("HU", Region((1.0, 2.0)))
    scores = plugin.strange(inputs.array[None])
    assert scores is not None
    assert (scores.shape, scores.dtype) == ((1,), np.float64)


def test_a_plugin_without_them_has_no_reasons_and_no_evidence(tmp_path: Path) -> None:
    plugin, study = write_plugin(tmp_path), make_study()
    inputs = plugin.preprocess(study)
    assert (plugin.gate(study), plugin.strange(inputs.array[None]), plugin.row_reader) == ((), None, None)
    assert plugin.evidence(study, inputs).measurements == ()
    with pytest.raises(PluginError, match="names no read_row"):
        plugin.read_row(PACK, 0)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("return () if", "return 'no' if", "gate returned str"),
        ("return () if", "return (1,) if", "gate returned a reason"),
        ("return () if", "1 / 0\n    return () if", "gate raised ZeroDivisionError at extras.py"),
        ("return Evidence(", "return 3 or Evidence(", "evidence returned int"),
        ('float(outputs["size"])', "float('nan')", "'size' that is not a finite number"),
        ("(0.25, 0.75)", "(0.5, 0.75)", "'margin' whose probabilities"),
        ("(0.25, 0.75)", "(1.0,)", "'margin' whose probabilities"),
        ("spatial_shape, bool", "spatial_shape, float", "'lesion' that is not an array of bool"),
        ("np.zeros(study.spatial_shape", "np.zeros((2, 2)", r"'lesion' of shape \(2, 2\)"),
        ("Region((1.0, 2.0))", "(1, 2)", "read_row returned tuple"),
        ("np.abs(batch).mean(axis=(1, 2, 3))", "np.abs(batch)", "strange must return"),
        ("np.abs(batch).mean(axis=(1, 2, 3))", "np.full(len(batch), np.nan)", "strange must return"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(PluginError, match=says):
        call_everything(with_extras(tmp_path, old, new))


def call_everything(plugin: Plugin) -> None:
    study = make_study()
    inputs = plugin.preprocess(study)
    plugin.gate(study)
    plugin.evidence(study, inputs, {"size": np.array(3.0, np.float32)})
    plugin.read_row(PACK, 0)
    plugin.strange(inputs.array[None])


@pytest.mark.parametrize(
    "part",
    [
        Evidence(measurements=("x",)),  # type: ignore[arg-type]
        Evidence(measurements=(Measurement("m", 1.0, "mm", scale=0.0),)),
        Evidence(measurements=(Measurement("m", 1.0, "mm", scale=float("nan")),)),
        Evidence(concepts=(Measurement("m", 1.0, "mm"),)),  # type: ignore[arg-type]
        Evidence(segmentations=(Concept("c", "?", ("a",), (1.0,)),)),  # type: ignore[arg-type]
    ],
)
def test_evidence_of_the_wrong_kind_is_refused(tmp_path: Path, part: Evidence) -> None:
    from whycad.plugin_checks import check_evidence

    with pytest.raises(PluginError, match="evidence returned"):
        check_evidence(with_extras(tmp_path), part, make_study())


def test_a_volume_network_may_read_a_single_image(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path, replace(TinyPlugin(), shape=(4, 32, 40), calibrated=False, n_members=0))
    study = make_study(colour=False)
    assert model_grid(study, 3) == (1, 48, 60)
    good = ModelInput(np.zeros((3, 4, 32, 40), np.float32), Geometry(np.eye(4), (4, 32, 40), (1, 48, 60)))
    check_model_input(plugin, good, study)
    with pytest.raises(PluginError, match=r"the image \(2, 48, 60\)"):
        check_model_input(plugin, good, replace(study, pixels=np.stack([study.pixels] * 2)))


SLICES = replace(TinyPlugin(), colour=False, input="per_slice = true\n")


def test_only_tasks_that_read_slices_take_volumes(tmp_path: Path) -> None:
    image = make_study(colour=False)
    volume = replace(image, pixels=np.stack([image.pixels] * 3))
    plain = write_plugin(tmp_path / "a", replace(SLICES, input="")).manifest
    slices = write_plugin(tmp_path / "b", SLICES).manifest
    assert misfit(slices, volume) == misfit(slices, image) == misfit(plain, image) == ""
    assert "single images" in misfit(plain, volume)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (replace(SLICES, colour=True), "per_slice needs a grey task"),
        (replace(SLICES, shape=(2, 32, 40)), "per_slice needs a grey task"),
        (replace(SLICES, input="per_slice = true\nneeds_region = true\n"), "exclude each other"),
        (TinyPlugin(more="[decision.refer_probability]\nz = 0.1\n"), r"unknown label codes \['z'\]"),
        (TinyPlugin(more="[decision.refer_probability]\na = 1.5\n"), "refer_probability.a"),
        (TinyPlugin(more="[decision.costs.report.a]\nz = 1.0\n"), r"unknown label codes \['z'\]"),
        (TinyPlugin(more="[decision.costs]\nrefer = -1.0\n"), "costs.refer"),
        (TinyPlugin(more='[argument]\nabsent = ["z"]\n'), r"unknown label codes \['z'\]"),
        (TinyPlugin(more='[reference]\nfile = "r.json"\nrange_label = "z"\n'), r"unknown label codes \['z'\]"),
        (TinyPlugin(more='[reference]\nfile = "../r.json"\n'), "reference.file"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(tmp_path: Path, spec: TinyPlugin, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        write_plugin(tmp_path, replace(spec, calibrated=False, n_members=0))


def test_costs_and_referral_probabilities_are_read(tmp_path: Path) -> None:
    more = "[decision.refer_probability]\na = 0.1\n[decision.costs]\nrefer = 1\n[decision.costs.report.a]\nb = 10\n"
    rule = load_plugin(write_plugin(tmp_path, TinyPlugin(more=more)).folder).manifest.decision
    assert rule.refer_probability == {"a": 0.1}
    assert rule.costs is not None
    assert (rule.costs.refer, rule.costs.report) == (1.0, {"a": {"b": 10.0}})
