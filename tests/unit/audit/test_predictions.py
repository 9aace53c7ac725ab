"""The table is read back, and refused where it is not what it says."""

import pytest

from whycad.audit.predictions import read_predictions
from whycad.errors import DatasetError

HEAD = "row,id,group,label,pred,p_a,p_b,set,decision,reasons,epistemic,aleatoric,error"


def table(tmp_path, *rows, head=HEAD):
    path = tmp_path / "p.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def test_rows_with_numbers_are_read_and_the_others_counted(tmp_path):
    path = table(
        tmp_path,
        "0,x,g,a,b,0.25,0.75,a|b,refer,why,0.1,0.5,",
        "1,y,,,a,1,0,a,report,,0,0,",
        "2,z,g,a,,,,,,,,,the JPEG cannot be decoded",
        "3,z,g,a,,,,,reject,flat,,,",
    )
    found = read_predictions(path, ("a", "b"))
    assert (len(found), found.n_failed, found.n_unscored) == (2, 1, 1)
    assert found.label.tolist() == [0, -1]
    assert found.predicted.tolist() == [1, 0]
    assert found.probabilities.tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert found.in_set.tolist() == [[True, True], [True, False]]
    assert found.group.tolist() == ["g", "row-1"]
    assert found.decision.tolist() == ["refer", "report"]
    assert (found.epistemic[0], found.aleatoric[0]) == (0.1, 0.5)


def test_a_table_of_another_task_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="it lacks p_c"):
        read_predictions(table(tmp_path), ("a", "b", "c"))


@pytest.mark.parametrize(
    "row",
    [
        "0,x,g,a,b,high,0.7,a,refer,,0,0,",
        "x,x,g,a,b,0.3,0.7,a,refer,,0,0,",
        "0,x,g,a,b,nan,0.7,a,refer,,0,0,",
        "0,x,g,a,b,1.3,-0.3,a,refer,,0,0,",
        "0,x,g,a,b,1",
    ],
)
def test_cells_that_are_no_numbers_are_refused(tmp_path, row):
    with pytest.raises(DatasetError, match="not what its column promises"):
        read_predictions(table(tmp_path, row), ("a", "b"))


def test_missing_and_binary_files_are_plain_errors(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_predictions(tmp_path / "nowhere.csv", ("a",))
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_predictions(tmp_path / "b.csv", ("a",))


def test_a_table_without_rows_is_empty(tmp_path):
    found = read_predictions(table(tmp_path), ("a", "b"))
    assert (len(found), found.probabilities.shape, found.in_set.shape) == (0, (0, 2), (0, 2))
