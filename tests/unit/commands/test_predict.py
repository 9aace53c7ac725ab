"""``whycad predict``: every row is there, the file is whole or absent."""

import csv
import hashlib

import numpy as np
import pytest

from whycad.cli import main
from whycad.errors import PluginError


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
        return predict_batch(*args, **kwargs)

    from whycad.pipeline import predict_batch

    monkeypatch.setattr("whycad.pipeline.predict_batch", fail_later)
    out.write_text("old")
    assert predict(pack, out, "--batch", "2") == 1
    assert out.read_text() == "old"
    assert {path.name for path in out.parent.iterdir()} == {"out.csv", "pack.npz"}
    assert "the plugin died" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "nothing"], "has no rows"),
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
