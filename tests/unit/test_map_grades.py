"""What a task stores about its maps: read back, refused where broken, ignored for other weights, put in a sentence."""

import pytest

from whycad.errors import ManifestError
from whycad.map_grades import (
    Figure,
    InsideFigures,
    MapGrades,
    MethodFigures,
    Provenance,
    Thresholds,
    map_grades_of,
    method_sentence,
    method_sentences,
)
from whycad.plugin import load_plugin
from whycad.testing.plugins import write_plugin


def figure(value):
    return Figure(value=value, interval=(value - 0.1, value + 0.1))


def method(n=30, *, edges=0.1, passes=True, n_inside=30):
    inside = InsideFigures(
        n=n_inside, mass_ratio=figure(2.0), mass_ratio_shifted=figure(1.0), peak_inside=figure(0.83),
        peak_inside_shifted=figure(0.3),
    )  # fmt: skip
    return MethodFigures(
        n=n, n_failed=3, deletion_random=figure(0.2), insertion_random=figure(0.3), deletion_edges=figure(edges),
        insertion_edges=figure(edges), similarity=(figure(0.4), figure(0.1)), shares=(0.5, 1.0),
        passes_randomisation=passes, stability=figure(0.9), inside=inside,
        grades={"A": 10, "B": 10, "C": 7, "fails": 3},
    )  # fmt: skip


def stored(sha256="", **methods):
    source = Provenance(
        weights_sha256=sha256, report_on="held-out data", calibrated_on="train", n_calibration=20, n_report=30,
        command="whycad explanations",
    )  # fmt: skip
    return MapGrades(
        thresholds=Thresholds(good_gain=0.2), inside_of="lesion", inside_cases="re-cropped cases", methods=methods,
        source=source,
    )  # fmt: skip


@pytest.fixture
def plugin(tmp_path):
    folder = write_plugin(tmp_path).folder
    text = (folder / "plugin.toml").read_text().replace("gradcam_layer", 'grades = "explanations.json"\ngradcam_layer')
    (folder / "plugin.toml").write_text(text)
    return load_plugin(folder)


def test_what_was_stored_is_read_back(plugin):
    kept = stored(plugin.weights_sha256, gradcam=method())
    (plugin.folder / "explanations.json").write_text(kept.model_dump_json())
    assert map_grades_of(plugin) == kept


def test_without_a_file_or_for_other_weights_the_general_thresholds_hold(plugin, tmp_path):
    assert map_grades_of(plugin) == MapGrades()
    (plugin.folder / "explanations.json").write_text(stored("0" * 64, gradcam=method()).model_dump_json())
    assert map_grades_of(plugin).thresholds == Thresholds()
    assert map_grades_of(write_plugin(tmp_path / "other")) == MapGrades()


@pytest.mark.parametrize("text", ["", "[]", '{"thresholds": {"good_gain": "NaN"}}', '{"format": "other"}'])
def test_a_broken_file_is_refused_with_its_name(plugin, text):
    (plugin.folder / "explanations.json").write_text(text)
    with pytest.raises(ManifestError, match=r"explanations\.json"):
        map_grades_of(plugin)


def test_a_manifest_cannot_name_a_file_elsewhere(plugin):
    path = plugin.folder / "plugin.toml"
    path.write_text(path.read_text().replace("explanations.json", "../x.json"))
    with pytest.raises(ManifestError, match="grades"):
        load_plugin(plugin.folder)


def test_a_method_in_one_sentence():
    sentence = method_sentence(stored(gradcam=method()), "gradcam", "Grad-CAM")
    assert sentence == (
        "Grad-CAM for this task: passes randomisation, beats an edge detector, peak inside the lesion in 83 % of "
        "re-cropped cases"
    )


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (method(passes=False), "fails randomisation"),
        (method(edges=-0.1), "no better than an edge detector"),
        (method(5), "not established (5 cases)"),
    ],
)
def test_weaknesses_are_said(figures, words):
    assert words in method_sentence(stored(ig=figures), "ig", "IG")


def test_few_outlines_give_no_share():
    assert "peak" not in method_sentence(stored(ig=method(n_inside=5)), "ig", "IG")


def test_sentences_come_in_the_manifests_order(plugin):
    kept = stored(plugin.weights_sha256, rise=method(), ig=method(), gradcam=method())
    (plugin.folder / "explanations.json").write_text(kept.model_dump_json())
    found = method_sentences(plugin, {"ig": "Integrated gradients"})
    assert list(found) == ["gradcam", "ig", "rise"]
    assert found["ig"].startswith("Integrated gradients for this task:")
