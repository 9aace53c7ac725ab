"""Tables of every kind and fault: sound rows go on, bad ones are listed, unusable tables are refused plainly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from whycad.audit.data.cases import UNKNOWN
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.data.tables import open_table
from whycad.errors import DatasetError, WhyCadError
from whycad.testing.example_tasks import SCANS
from whycad.types import Region


@pytest.fixture
def table(tmp_path):
    """Write text as a table and open it."""

    def opened(text, name="table.csv", manifest=None, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return open_table(path, manifest)

    return opened


def test_roles_metadata_and_pictures_of_a_sound_table(table, draw, tmp_path):
    draw("a/1.png", 1)
    draw("b/2.png", 2)
    Image.fromarray(np.pad(np.full((4, 4), 255, np.uint8), ((3, 3), (4, 4)))).save(tmp_path / "mask.png")
    data = table(
        "Image,label,patient,split,mask,age,ruler,point\n"
        "a/1.png,benign,p1,train,mask.png,41.5,1,3 4\nb/2.png,malignant,p2,val,,60,0,\n"
    )
    cases = data.cases
    assert data.kind == "table"
    assert cases.ids.tolist() == ["1", "2"]
    assert cases.labels.tolist() == ["benign", "malignant"]
    assert cases.groups.tolist() == ["p1", "p2"]
    assert cases.splits.tolist() == ["train", "val"]
    assert [(c.name, c.kind, c.role) for c in cases.columns] == [
        ("age", "number", "metadata"),
        ("ruler", "category", "artefact"),
    ]
    assert cases.sources is not None
    assert cases.sources.tolist() == ["a", "b"]
    pictures = list(data.pictures([1, 0]))
    assert [p.shape for p in pictures] == [(10, 12, 3)] * 2
    assert (pictures[1] == np.asarray(Image.open(tmp_path / "a/1.png"))).all()
    mask = data.mask(0)
    assert mask is not None
    assert mask.sum() == 16
    assert data.mask(1) is None
    assert data.rows[0].region == Region((3.0, 4.0))
    assert data.rows[1].region is None
    assert data.content(0) != data.content(1)
    assert data.file_bytes(0) == (tmp_path / "a/1.png").stat().st_size


def test_bad_rows_stay_rows_with_a_reason_and_nothing_of_their_cells(table, draw, tmp_path):
    draw("good.png")
    (tmp_path / "text.png").write_text("no picture, but long enough to be looked at by whoever wants to")
    (tmp_path.parent / "outside.png").write_bytes((tmp_path / "good.png").read_bytes())
    (tmp_path / "link.png").symlink_to(tmp_path.parent / "outside.png")
    bad = [
        "",
        "absent.png",
        "../outside.png",
        "/etc/hostname",
        "link.png",
        "x" * 1_000_000,
        "text.png",
        "=cmd()",
        "a\x07.png",
    ]
    data = table("image,label\ngood.png,a\n" + "".join(f"{name},b\n" for name in bad) + "one,two,three\nalone\n")
    assert len(data.cases) == 1 + len(bad) + 2
    found = list(data.pictures(range(len(data.cases))))
    assert not isinstance(found[0], WhyCadError)
    assert all(isinstance(item, WhyCadError) for item in found[1:])
    said = " ".join(str(item) for item in found[1:])
    assert "outside of the table's folder" in said
    assert "not there" in said
    assert "more or fewer cells" in said
    assert not any(word in said for word in ("hostname", "xxxx", "cmd", "absent.png"))
    assert all(len(name) <= 64 for name in data.cases.ids)


def test_an_absolute_path_inside_the_folder_is_taken(table, draw):
    path = draw("a.png")
    assert table(f"image\n{path}\n").rows[0].file == path.resolve()


def test_ids_that_occur_twice_get_a_number_and_a_warning(table, draw):
    draw("a.png")
    data = table("image,id\na.png,x\na.png,x\na.png,\n")
    assert data.cases.ids.tolist() == ["x", "x#2", "row-2"]
    assert any("more than once" in warning for warning in data.cases.warnings)


def test_labels_that_a_task_does_not_know_are_unlabelled_and_said_shortly(table, draw):
    draw("a.png")
    data = table("image,label\na.png,CNV\na.png," + "z" * 100_000 + "\n", manifest=SCANS)
    assert data.cases.labels.tolist() == ["cnv", UNKNOWN]
    (warning,) = data.cases.warnings
    assert "1 rows have labels that the task does not know" in warning
    assert len(warning) < 200


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf  \n", "is empty"),
        (b"image,label\n", "has no rows"),
        (b"picture,label\na.png,b\n", "no column 'image'"),
        (b"image,label,Label\na,b,c\n", "names column 'Label' twice"),
        (b"image,,\na,b,c\n", "two columns without a name"),
        ("image,label\nb\u00f6se.png,x\n".encode("latin-1"), "not written in UTF-8"),
        (b"image,label\na\x00.png,x\n", "bytes that are no text"),
        (b"image\n" + b"".join(b"a,%d\n" % i for i in range(3)), None),
    ],
)
def test_unusable_tables_are_refused_plainly(table, content, said):
    if said is None:
        assert len(table(content).cases) == 3
        return
    with pytest.raises(DatasetError, match=said):
        table(content)


def test_too_many_labels_are_no_classes(table):
    with pytest.raises(DatasetError, match="150 different labels"):
        table("image,label\n" + "".join(f"a.png,{i}.5\n" for i in range(150)))


@pytest.mark.parametrize(
    ("name", "separator", "encoding"),
    [("t.csv", ",", "utf-8-sig"), ("t.csv", ";", "utf-8"), ("t.tsv", "\t", "utf-8"), ("t.csv", ",", "utf-16")],
)
def test_separators_and_marks_of_spreadsheets_are_read(table, draw, name, separator, encoding):
    draw("a.png")
    text = separator.join(["image", "label"]) + "\r\n" + separator.join(["a.png", "b\u00f6se"]) + "\r\n"
    assert table(text, name, encoding=encoding).cases.labels.tolist() == ["b\u00f6se"]


def test_quoted_cells_may_hold_line_ends_and_separators(table, draw):
    draw("a.png")
    data = table('image,label\na.png,"one, or\nthe other"\n')
    assert data.cases.labels.tolist() == ["one, or the other"]


def test_parquet_is_read_and_nested_columns_are_left_out(tmp_path, draw):
    draw("a.png")
    frame = pd.DataFrame({"image": ["a.png", None], "label": ["x", "y"], "age": [1.5, None], "list": [[1], [2]]})
    frame.to_parquet(tmp_path / "t.parquet")
    data = DatasetRef(tmp_path / "t.parquet").open()
    assert [column.name for column in data.cases.columns] == ["age"]
    assert any("nested" in warning for warning in data.cases.warnings)
    (tmp_path / "u.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(DatasetError, match="no Parquet file"):
        DatasetRef(tmp_path / "u.parquet").open()


def test_dates_and_notes_are_left_out_and_said(table, draw):
    draw("a.png")
    rows = "".join(f"a.png,2020-01-{i:02d},note number {i}\n" for i in range(1, 29))
    data = table("image,taken,notes\n" + rows)
    assert data.cases.columns == ()
    assert [warning.split(" ", 2)[2] for warning in data.cases.warnings] == [
        "holds dates and was left out",
        "differs in most rows and was left out",
    ]


def test_two_lesions_of_a_patient_are_one_group(table, draw):
    draw("1.png", 1)
    rows = "1.png,p1,l1\n1.png,p1,l2\n1.png,,l3\n1.png,,\n"
    assert table("image,patient,group\n" + rows).cases.groups.tolist() == ["p1", "p1", "l3", "row-3"]


def test_a_column_that_names_subjects_is_the_patient(table, draw):
    draw("1.png", 1)
    cases = table("image,volunteer_no\n" + "1.png,7\n1.png,8\n").cases
    assert cases.groups.tolist() == ["7", "8"]
    assert cases.subject_name == "volunteer_no"
    assert cases.columns == ()


def test_folders_are_those_below_the_table_however_they_are_written(table, draw, tmp_path):
    draw("im/1.png", 1)
    cells = ["im/1.png", "./im/1.png", f"{tmp_path}/im/1.png", "im/../im/1.png", "1.png", "/elsewhere/Smith/1.png"]
    sources = table("image\n" + "\n".join(cells) + "\n").cases.sources
    assert sources is not None
    assert sources.tolist() == ["im", "im", "im", "im", ".", UNKNOWN]


def test_none_and_na_may_be_classes_and_nan_is_no_label(table, draw):
    draw("1.png", 1)
    cases = table("image,label\n" + "".join(f"1.png,{name}\n" for name in ("none", "NA", "tumour", "nan", ""))).cases
    assert cases.labels.tolist() == ["none", "NA", "tumour", UNKNOWN, UNKNOWN]


@pytest.mark.parametrize(
    ("name", "cells"), [("volunteer", ("yes", "no")), ("n_patients", ("3", "7")), ("animal", "01")]
)
def test_flags_and_counts_of_people_are_no_patients(table, draw, name, cells):
    draw("1.png", 1)
    cases = table(f"image,{name}\n" + "".join(f"1.png,{cell}\n" for cell in cells)).cases
    assert cases.groups.tolist() == ["row-0", "row-1"]
    assert cases.patients is None
