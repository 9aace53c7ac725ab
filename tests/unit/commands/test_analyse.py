"""``whycad analyse``: one file or several, and what is written."""

import json

import pytest

from whycad.cli import main
from whycad.result_io import load_result


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
