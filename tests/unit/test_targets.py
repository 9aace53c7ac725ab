"""What a map may be asked to explain, in the words of requests and of readers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whycad.errors import ExplanationError, ManifestError
from whycad.manifest import Explain, Manifest
from whycad.targets import Contrast, Target, each_way, target_name, target_of
from whycad.testing.examples import example_result, example_study
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.types import TaskKind


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    return write_plugin(tmp_path_factory.mktemp("p"), TinyPlugin(kind="ordinal", calibrated=False)).manifest


CODES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "target", "columns", "name"),
    [
        ("b", Target("b"), 1, "Label b"),
        (">=b", Target("b", at_least=True), Contrast((1, 2), (0,)), "Label b or higher"),
        (">=c", Target("c", at_least=True), Contrast((2,), (0, 1)), "Label c or higher"),
        ("c/a", Target("c", "a"), Contrast((2,), (0,)), "Label c rather than Label a"),
    ],
)
def test_a_target_is_read_written_and_named(manifest, text, target, columns, name):
    assert target_of(text, manifest) == target
    assert str(target) == text
    assert target.columns(CODES) == columns
    assert target_name(text, manifest) == name


@pytest.mark.parametrize("text", ["", "z", ">=z", "a/z", "z/a", ">=", "/a", "a/"])
def test_labels_that_are_not_there_are_named(manifest, text):
    with pytest.raises(ManifestError, match="has no label"):
        target_of(text, manifest)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TaskKind.ORDINAL, ">=a"),
        (TaskKind.ORDINAL, ">=b/a"),
        (TaskKind.ORDINAL, "a/a"),
        (TaskKind.MULTICLASS, ">=b"),
        (TaskKind.MULTILABEL, "a/b"),
    ],
)
def test_questions_that_make_no_sense_are_refused(manifest, kind, text):
    with pytest.raises(ExplanationError, match="cannot be asked about"):
        target_of(text, manifest.model_copy(update={"kind": kind}))


def test_only_a_set_of_two_is_asked_about_each_way(manifest):
    prediction = example_result(example_study(), manifest).prediction
    two = replace(prediction, conformal_set=("a", "c"))
    assert each_way(two, manifest) == (Target("a", "c"), Target("c", "a"))
    assert each_way(two, manifest.model_copy(update={"kind": TaskKind.MULTILABEL})) == ()
    for codes in (("a",), ("a", "b", "c"), ()):
        assert each_way(replace(prediction, conformal_set=codes), manifest) == ()


def test_a_manifest_offers_no_method_that_lacks_its_layer_or_does_not_fit():
    assert Explain(methods=("gradcam_pp", "rise"), gradcam_layer="body").methods == ("gradcam_pp", "rise")
    with pytest.raises(ValueError, match="'gradcam_pp' needs gradcam_layer"):
        Explain(methods=("gradcam_pp",))
    with pytest.raises(ValueError, match="both offered and unfit"):
        Explain(methods=("ig", "rise"), unfit=("rise",))
