"""``whycad analyse``: one file or several, and what is written."""

import json
from dataclasses import replace

import numpy as np
import pytest

from whycad.cli import main
from whycad.result_io import load_result
from whycad.testing.plugins import write_plugin
from whycad.testing.series import make_ct_series, make_oct_volume
from whycad.testing.volume_plugins import PATCHES, SLICES


@pytest.fixture
def files(tmp_path, jpegs):
    for index in range(2):
        (tmp_path / f"{index}.jpg").write_bytes(jpegs[index])
    (tmp_path / "text.dcm").write_text("not an image")
    return tmp_path


def analyse(*arguments):
    return main(["analyse", "--task", "tiny", "--device", "cpu", *map(str, arguments)])


def test_one_file_gives_one_object_one_report_and_a_result_to_load(tasks, files, capsys):
    code = analyse(
        files / "0.jpg", "--explain", "gradcam", "--label", "b", "--seed", 3,
        "--json", files / "o.json", "--report", files / "o.html", "--save", files / "saved",
    )  # fmt: skip
    assert code == 0
    body = json.loads((files / "o.json").read_text())
    result = load_result(files / "saved")
    assert body["study_sha256"] == result.study_sha256
    assert [(a["method"], a["target"]) for a in body["attributions"]] == [("gradcam", "b")]
    assert (result.request.seed, result.attributions[0].map.shape) == (3, (40, 48))
    report = (files / "o.html").read_text()
    assert report.lower().startswith("<!doctype html")
    assert "<script" not in report
    out = capsys.readouterr().out
    assert result.study_sha256[:12] in out
    assert out.count("\n") == 1


def test_several_files_are_listed_and_numbered_and_a_broken_one_does_not_stop_the_others(tasks, files, capsys):
    paths = [files / "0.jpg", files / "text.dcm", files / "1.jpg"]
    code = analyse(*paths, "--json", files / "o.json", "--report", files / "o.html", "--save", files / "saved")
    assert code == 1
    body = json.loads((files / "o.json").read_text())
    assert ["error" in entry for entry in body] == [False, True, False]
    assert body[1]["file"] == 2
    assert {path.name for path in files.glob("*.html")} == {"o-1.html", "o-3.html"}
    assert load_result(files / "saved" / "3").study_sha256 == body[2]["study_sha256"]
    captured = capsys.readouterr()
    assert "file 2: " in captured.err
    assert captured.out.count("\n") == 2
    assert "text.dcm" not in captured.err + captured.out


def test_a_single_broken_file_writes_nothing(tasks, files):
    assert analyse(files / "text.dcm", "--json", files / "o.json", "--report", files / "o.html") == 1
    assert not list(files.glob("o.*"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--explain", "gradcam,astrology"], "does not offer astrology"),
        (["--label", "zz"], "has no label 'zz'"),
        (["--label", ">=b"], "cannot be asked about '>=b'"),
        (["--json", "/nowhere/o.json"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(tasks, files, capsys, more, message):
    assert analyse(files / "0.jpg", *more) == 1
    assert message in capsys.readouterr().err


def test_methods_are_a_list_with_commas_and_repeats_count_once(tasks, files):
    assert analyse(files / "0.jpg", "--explain", "ig, gradcam,ig", "--json", files / "o.json") == 0
    body = json.loads((files / "o.json").read_text())
    assert [a["method"] for a in body["attributions"]] == ["ig", "gradcam"]


def test_any_method_that_fits_can_be_asked_for_and_one_label_rather_than_another(tasks, files):
    code = analyse(
        files / "0.jpg", "--explain", "smoothgrad,input_x_gradient", "--label", "b/a",
        "--json", files / "o.json", "--report", files / "o.html",
    )  # fmt: skip
    assert code == 0
    body = json.loads((files / "o.json").read_text())
    assert [(a["method"], a["target"]) for a in body["attributions"]] == [
        ("smoothgrad", "b/a"),
        ("input_x_gradient", "b/a"),
    ]
    assert not {"map", "disagreement"} & set(body["attributions"][0])
    assert "Label b rather than Label a" in (files / "o.html").read_text()


def test_each_way_is_asked_for_instead_of_a_label(tasks, files, capsys):
    assert analyse(files / "0.jpg", "--explain", "ig", "--each-way", "--label", "b") != 0
    assert "not allowed with" in capsys.readouterr().err
    assert analyse(files / "0.jpg", "--explain", "ig", "--each-way", "--save", files / "saved") == 0
    result = load_result(files / "saved")
    assert result.request.each_way
    assert len(result.attributions) == (2 if len(result.prediction.conformal_set) == 2 else 1)


def test_lime_stops_early_only_where_asked_and_says_what_it_used(tasks, files):
    for more in ([], ["--stop-when-stable"]):
        code = analyse(
            files / "0.jpg", "--explain", "lime", "--no-grades", *more, "--save", files / f"saved{len(more)}"
        )
        assert code == 0
    whole, early = (load_result(files / f"saved{n}") for n in (0, 1))
    assert not whole.request.stop_when_stable
    assert "most_samples" not in whole.attributions[0].parameters
    said = early.attributions[0].parameters
    assert early.request.stop_when_stable
    assert said["samples"] <= said["most_samples"] == whole.attributions[0].parameters["samples"]


@pytest.fixture(scope="session")
def volume_tasks(tmp_path_factory):
    """Return a folder with ``patches`` (reads CT volumes) and ``slices`` (reads OCT B-scans)."""
    parent = tmp_path_factory.mktemp("volume-plugins")
    write_plugin(parent, replace(PATCHES, modalities=("CT",)))
    write_plugin(parent, replace(SLICES, modalities=("OPT",)))
    return parent


@pytest.fixture
def volumes(volume_tasks, monkeypatch, tmp_path):
    monkeypatch.setenv("WHYCAD_PLUGINS", str(volume_tasks))
    return tmp_path


def volume_task(task, *arguments):
    return main(["analyse", "--task", task, "--device", "cpu", *map(str, arguments)])


def ct_files(n=5):
    rng = np.random.default_rng(0)
    return make_ct_series(rng.integers(-900, 100, (n, 36, 40)), (2.0, 0.8, 0.7), shuffle=3)


@pytest.mark.parametrize("kind", ["files", "folder"])
@pytest.mark.parametrize("point", [("--point", "3,20,21"), ("--point-mm=-105.3,-94,-44",)])
def test_slices_of_a_series_are_one_volume_with_one_point(volumes, capsys, kind, point):
    place = volumes / "series"
    place.mkdir()
    paths = [place / f"{index}.dcm" for index in range(5)]
    for path, file in zip(paths, ct_files(), strict=True):
        path.write_bytes(file)
    sources = paths if kind == "files" else [place]
    code = volume_task("patches", *sources, *point, "--explain", "ig", "--json", volumes / "o.json",
                       "--save", volumes / "saved")  # fmt: skip
    captured = capsys.readouterr()
    assert code == 0, captured.err
    result = load_result(volumes / "saved")
    assert result.source_shape == (5, 36, 40)
    assert result.attributions[0].map.shape == (5, 36, 40)
    np.testing.assert_allclose(result.request.region.start, (3, 20, 21), atol=1e-6)
    assert captured.out.startswith("image 1 (files 1 to 5)" if kind == "files" else "file 1 (")


def test_a_tomography_volume_is_read_slice_by_slice(volumes):
    frames = np.random.default_rng(0).integers(0, 255, (6, 40, 44), dtype=np.uint8)
    (volumes / "oct.dcm").write_bytes(make_oct_volume(frames, (0.24, 0.004, 0.011)))
    assert volume_task("slices", volumes / "oct.dcm", "--json", volumes / "o.json", "--report", volumes / "o.html") == 0
    body = json.loads((volumes / "o.json").read_text())
    assert np.shape(body["profile"]["probabilities"]) == (6, 3)
    assert len(body["profile"]["decisions"]) == 6


@pytest.mark.parametrize(
    ("point", "status", "message"),
    [
        (["--point", "3,20"], 1, "region"),
        (["--point", "9,20,20"], 1, "lies outside"),
        (["--point", "3,x,1"], 2, "--point"),
        (["--point", "3,nan,1"], 2, "--point"),
        (["--point-mm", "1,2"], 1, "three numbers"),
        (["--point", "1,1,1", "--point-mm", "1,2,3"], 2, "not allowed with"),
    ],
)
def test_points_that_cannot_be_are_said(volumes, capsys, point, status, message):
    for index, file in enumerate(ct_files(3)):
        (volumes / f"{index}.dcm").write_bytes(file)
    assert volume_task("patches", *sorted(volumes.glob("*.dcm")), *point) == status
    assert message in capsys.readouterr().err
