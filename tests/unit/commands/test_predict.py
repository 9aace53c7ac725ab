"""``whycad predict``: every row is there, the file is whole or absent."""

import csv
import hashlib
import json

import numpy as np
import pytest

from whycad.cli import main
from whycad.errors import PluginError
from whycad.predictions_csv import columns
from whycad.testing.plugins import TinyPlugin, write_plugin


def predict(dataset, out, *more):
    return main(["predict", "--task", "tiny", "--dataset", str(dataset), "--out", str(out), "--device", "cpu", *more])


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.csv"


def test_every_row_is_there_and_the_broken_one_says_why(tasks, pack, jpegs, out, capsys):
    assert predict(pack, out, "--batch", "4") == 0
    rows = rows_of(out)
    assert [row["row"] for row in rows] == list("012345")
    assert [row["label"] for row in rows] == ["a", "b", "a", "b", "", "a"]
    assert [bool(row["error"]) for row in rows] == [False, False, False, True, False, False]
    assert "cannot be decoded" in rows[3]["error"]
    assert (rows[3]["pred"], rows[3]["p_a"], rows[3]["group"]) == ("", "", "g3")
    assert rows[0]["id"] == hashlib.sha256(jpegs[0]).hexdigest()
    assert rows[0]["group"] == "'=g0"
    for row in rows[:3] + rows[4:]:
        assert sum(float(row[f"p_{code}"]) for code in "abc") == pytest.approx(1, abs=1e-4)
        assert row["pred"] in {"a", "b", "c"}
        assert set(row["set"].split("|")) <= {"a", "b", "c"}
        assert row["decision"] in {"report", "refer", "reject"}
    captured = capsys.readouterr()
    assert captured.out.startswith("6 rows (")
    assert "1 failed" in captured.out
    assert "6/6" in captured.err


def test_a_split_keeps_the_row_numbers_of_the_pack(tasks, pack, out):
    assert predict(pack, out, "--split", "val") == 0
    assert [row["row"] for row in rows_of(out)] == ["1", "2", "3", "5"]


def test_the_batch_size_changes_nothing(tasks, pack, out, tmp_path):
    assert predict(pack, out, "--batch", "1") == 0
    assert predict(pack, tmp_path / "other.csv", "--batch", "32") == 0
    for one, other in zip(rows_of(out), rows_of(tmp_path / "other.csv"), strict=True):
        assert {k: v for k, v in one.items() if k[:2] != "p_" and "temic" not in k and "toric" not in k} == {
            k: v for k, v in other.items() if k[:2] != "p_" and "temic" not in k and "toric" not in k
        }
        for code in "abc":
            assert float(one[f"p_{code}"] or 0) == pytest.approx(float(other[f"p_{code}"] or 0), abs=1e-5)


def test_the_same_image_scores_the_same_in_a_pack_and_in_a_folder(tasks, pack, jpegs, out, tmp_path):
    folder = tmp_path / "images" / "second"
    folder.mkdir(parents=True)
    for index, file in enumerate(jpegs[:2]):
        (folder / f"=cmd{index}.jpg").write_bytes(file)
    (folder / "text.dcm").write_text("not an image")
    assert predict(tmp_path / "images", out) == 0
    predict(pack, tmp_path / "pack.csv")
    files, packed = rows_of(out), rows_of(tmp_path / "pack.csv")
    for row in range(2):
        assert files[row]["id"] == packed[row]["id"]
        assert float(files[row]["p_a"]) == pytest.approx(float(packed[row]["p_a"]), abs=1e-5)
    assert [row["label"] for row in files] == ["b", "b", "b"]
    assert "not an image" in files[2]["error"]
    assert "cmd" not in out.read_text()


def test_a_wider_coverage_gives_sets_that_hold_the_narrower(tasks, pack, out, tmp_path):
    predict(pack, out, "--coverage", "0.6")
    predict(pack, tmp_path / "wide.csv", "--coverage", "0.99")
    for narrow, wide in zip(rows_of(out), rows_of(tmp_path / "wide.csv"), strict=True):
        assert set(narrow["set"].split("|")) <= set(wide["set"].split("|"))


def test_an_image_of_another_kind_is_declined_with_a_reason(tasks, out, tmp_path):
    np.savez(tmp_path / "grey.npz", images=np.random.default_rng(0).integers(0, 255, (2, 40, 48), dtype=np.uint8))
    assert predict(tmp_path / "grey.npz", out) == 0
    assert [(row["decision"], row["pred"], row["error"]) for row in rows_of(out)] == [("reject", "", "")] * 2
    assert "grey" in rows_of(out)[0]["reasons"]


def test_when_nothing_could_be_predicted_the_status_says_so_and_the_rows_are_there(tasks, out, tmp_path, jpegs):
    data = np.frombuffer(jpegs[0][:50], np.uint8)
    np.savez(tmp_path / "bad.npz", jpeg=data, jpeg_offsets=np.array([0, 50]))
    assert predict(tmp_path / "bad.npz", out) == 1
    assert len(rows_of(out)) == 1


def test_a_failure_in_the_middle_leaves_what_was_there(tasks, pack, out, monkeypatch, capsys):
    calls = []

    def fail_later(*args, **kwargs):
        calls.append(args)
        if len(calls) > 1:
            raise PluginError("the plugin died")
        return predict_cases(*args, **kwargs)

    from whycad.batch import predict_cases

    monkeypatch.setattr("whycad.batch.predict_cases", fail_later)
    out.write_text("old")
    assert predict(pack, out, "--batch", "2") == 1
    assert out.read_text() == "old"
    assert {path.name for path in out.parent.iterdir()} == {"out.csv", "pack.npz"}
    assert "the plugin died" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (["sex=female"], "145"),
        (["sex!=female", "split=val"], "23"),
        (["SEX=female"], None),
        (["sex=FEMALE", "age=50"], "1"),
        (["sex="], "2"),
    ],
)
def test_rows_can_be_chosen_by_their_columns(tasks, pack, out, capsys, where, expected):
    status = predict(pack, out, *(part for condition in where for part in ("--where", condition)))
    if expected is None:
        assert status == 1
        assert "has no column 'SEX'" in capsys.readouterr().err
    else:
        assert "".join(row["row"] for row in rows_of(out)) == expected


def test_a_condition_that_is_none_is_a_usage_error(tasks, pack, out):
    assert predict(pack, out, "--where", "sex") == 2


def test_folders_have_no_columns_to_choose_by(tasks, out, tmp_path, jpegs, capsys):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.jpg").write_bytes(jpegs[0])
    assert predict(tmp_path / "images", out, "--where", "sex=female") == 1
    assert "has no column" in capsys.readouterr().err


EXTRAS = """
import numpy as np
from whycad.errors import DatasetError
from whycad.types import Concept, Evidence, Measurement, Region, Study

def read_row(pack, row):
    if row == 1:
        raise DatasetError("this row has no spacing")
    pixels = pack.image(row).astype(np.float32) / 255
    return Study(pixels, "OT", f"{row:064x}", unit="rgb", spacing_mm=(0.5, 0.5)), Region((1.0 + row, 2.0))

def evidence(study, inputs, outputs):
    value = study.spacing_mm[0] * inputs.geometry.source_shape[0]
    return Evidence((Measurement("height", value, "mm"),), (Concept("margin", "?", ("poor", "sharp"), (0.25, 0.75)),))
"""
PREPROCESS = """
from whycad.testing.plugins import PREPROCESS as SOURCE
exec(SOURCE.replace("{" "shape}", "(32, 40)").replace("def preprocess", "def resize"))

def preprocess(study, region=None):
    assert region.start == (1.0 + int(study.sha256, 16), 2.0)
    return resize(study)
"""


def test_a_task_that_reads_rows_its_own_way_gets_its_points_and_evidence(tmp_path, monkeypatch, pack, out):
    code = 'read_row = "extras:read_row"\nevidence = "extras:evidence"\n'
    write_plugin(tmp_path / "own", TinyPlugin(files={"extras.py": EXTRAS}, code=code, preprocess=PREPROCESS))
    monkeypatch.setenv("WHYCAD_PLUGINS", str(tmp_path / "own"))
    assert predict(pack, out, "--evidence") == 0
    rows = rows_of(out)
    assert [row["error"] for row in rows[:3]] == ["", "this row has no spacing", ""]
    assert json.loads(rows[0]["evidence"]) == {"measurements": {"height": 20.0}, "concepts": {"margin": 1.75}}
    assert rows[1]["evidence"] == ""
    assert predict(pack, out) == 0
    assert {row["evidence"] for row in rows_of(out)} == {""}


def test_further_columns_come_last(tasks, pack, out):
    predict(pack, out)
    head = out.read_text().splitlines()[0].split(",")
    assert head == [*columns(["a", "b", "c"]), "ood", "evidence", "simulated"]
    assert {row["simulated"] for row in rows_of(out) if not row["error"]} == {"simulated data"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "nothing"], "has no rows"),
        (["--where", "sex=nobody"], "check --split and --where"),
        (["--device", "quantum"], "unknown device"),
        (["--out", "/nowhere/out.csv"], "cannot be written"),
        (["--dataset", "/nowhere"], "no file or folder"),
        (["--task", "raw"], "unavailable"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(tasks, pack, out, capsys, more, message):
    assert predict(pack, out, *more) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()
