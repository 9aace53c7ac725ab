"""Reference distributions from cases: measured as the pipeline measures, refused cases counted."""

import numpy as np
import pytest
import torch

from whycad.datasets.source import open_source
from whycad.errors import DatasetError, PluginError
from whycad.inference import load_members
from whycad.reference import ReferenceSource
from whycad.reference_cases import ReferenceCase, labelled_cases
from whycad.reference_fit import collect, fit_reference
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin

EVIDENCE = """
from whycad.types import Concept, Evidence, Measurement

def evidence(study, inputs, outputs):
    value = float(study.pixels.mean())
    return Evidence(
        (
            Measurement("Grey", value * 10, "px", key="grey", scale=10.0),
            Measurement("Unnamed", value, ""),
        ),
        (Concept("margin", "?", ("x", "y"), (1 - value, value)),),
    )
"""
CASES = """
from whycad.reference_cases import ReferenceCase
from whycad.testing.plugins import make_study

def cases(data):
    yield ReferenceCase(make_study(), None, "a")
    yield 3
"""
SOURCE = ReferenceSource(dataset="made", selection="", n=0, weights_sha256="0" * 64)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    files = {"evidence.py": EVIDENCE, "cases.py": CASES}
    code = 'evidence = "evidence:evidence"\nreference_cases = "cases:cases"\n'
    return write_plugin(tmp_path_factory.mktemp("plugins"), TinyPlugin(files=files, code=code))


@pytest.fixture(scope="module")
def ensemble(plugin):
    return load_members(plugin, torch.device("cpu"))


def cases(n=33):
    for index in range(n):
        yield ReferenceCase(make_study(seed=index), None, "ab"[index % 3 > 0], readings={"margin": 2.0})


def test_values_are_kept_by_label_in_the_unit_of_the_reference(ensemble):
    found = collect(cases(), ensemble)
    assert found.n == 33
    assert found.simulated
    assert len(found.measured["grey", "a"]) == 11
    assert found.measured["grey", "a"][0] == pytest.approx(float(make_study(seed=0).pixels.mean()))
    assert set(found.names) == {"grey"}, "a measurement without a key has no distribution"


def test_the_reference_holds_every_label_and_what_is_not_established(ensemble):
    found = fit_reference(collect(cases(48), ensemble), SOURCE, ("a", "b", "c"))
    labels = found.measurements["grey"].labels
    assert {code: item.n for code, item in labels.items()} == {"a": 16, "b": 32, "c": 0}
    assert labels["a"].quantiles == ()
    assert labels["b"].established
    assert found.concepts["margin"].labels["b"].established
    assert found.readers == {"margin": {"b": (2.0, 2.0)}}


def test_refused_cases_are_counted_and_left_out(ensemble):
    grey = ReferenceCase(make_study(colour=False), None, "a")
    found = collect([grey, *cases(2)], ensemble)
    assert (found.n, found.n_refused) == (2, 1)


def test_nothing_measured_is_an_error(ensemble):
    with pytest.raises(DatasetError, match="no case"):
        fit_reference(collect([], ensemble), SOURCE, ("a",))


def test_a_function_that_yields_something_else_is_named(plugin, ensemble, tmp_path):
    with pytest.raises(PluginError, match="yielded int"):
        collect(plugin.reference_cases(tmp_path), ensemble)


def test_labelled_rows_of_a_pack_are_cases(plugin, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (3, 40, 50, 3), dtype=np.uint8)
    path = tmp_path / "pack.npz"
    np.savez(path, images=images, y=np.array([0, 1, 0]), class_names=np.array(["a", "other"]))
    source = open_source(path, plugin.manifest)
    found = list(labelled_cases(source, None, plugin.manifest.label_codes))
    assert [case.label for case in found] == ["a", "a"]
