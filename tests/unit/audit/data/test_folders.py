"""What folders say of the images in them."""

from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.data.dataset import DatasetRef
from whycad.audit.data.folders import Place, name_patterns, open_folder, places_of
from whycad.errors import DatasetError
from whycad.testing.dicom import CANARY, Patient, Writing, make_ct_slice
from whycad.testing.example_tasks import SCANS


def places(*paths, manifest=None):
    return places_of([tuple(path.split("/")) if path else () for path in paths], manifest)


def test_class_and_split_folders_in_either_order():
    assert places("train/a", "test/b") == [Place("a", split="train"), Place("b", split="test")]
    assert places("a/Training", "b/valid") == [Place("a", split="train"), Place("b", split="val")]


def test_folders_below_a_class_are_groups_and_above_it_sources():
    assert places("a/p1", "a/p2", "b/p3") == [Place("a", "a/p1"), Place("a", "a/p2"), Place("b", "b/p3")]
    found = places("siteA/ill", "siteA/well", "siteB/ill", "siteB/well")
    assert [place.label for place in found] == ["ill", "well", "ill", "well"]
    assert [place.source for place in found] == ["siteA", "siteA", "siteB", "siteB"]


def test_a_task_knows_its_classes_at_any_level():
    found = places("clinic/cnv/p1", "clinic/Normal/p2", manifest=SCANS)
    assert [(place.label, place.source) for place in found] == [("cnv", "clinic"), ("Normal", "clinic")]


def test_files_in_the_root_have_no_label():
    assert places("", "") == [Place(), Place()]


def test_a_folder_of_pictures_is_a_data_set(draw, tmp_path):
    draw("set/a/1.png", 1)
    draw("set/b/1.png", 2)
    draw("set/b/2.png", 2)
    data = DatasetRef(tmp_path / "set").open()
    assert data.kind == "folder"
    assert data.cases.ids.tolist() == ["1", "1#2", "2"]
    assert data.cases.labels.tolist() == ["a", "b", "b"]
    assert data.content(1) == data.content(2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no images"):
        DatasetRef(tmp_path / "empty").open()
    with pytest.raises(DatasetError, match="there is no file or folder"):
        DatasetRef(tmp_path / "absent").open()


def test_a_dicom_tree_has_its_headers_as_metadata_and_subjects_as_groups(tmp_path):
    for number, (label, patient, maker) in enumerate(
        [("ill", CANARY, "SIEMENS"), ("ill", CANARY, "SIEMENS"), ("well", Patient(), "GE MEDICAL")]
    ):
        folder = tmp_path / "tree" / label
        folder.mkdir(parents=True, exist_ok=True)
        data = make_ct_slice(np.full((6, 7), number, np.int16), Writing(patient), Manufacturer=maker)
        (folder / f"{number}.dcm").write_bytes(data)
    (tmp_path / "tree" / "well" / "9.dcm").write_bytes(b"x" * 128 + b"DICM" + b"broken")
    found = open_folder(tmp_path / "tree", None)
    cases = found.cases
    assert found.kind == "dicom-tree"
    assert cases.labels.tolist() == ["ill", "ill", "well", "well"]
    maker = cases.column("manufacturer")
    assert maker is not None
    assert maker.values.tolist() == ["Siemens", "Siemens", "GE", ""]
    assert cases.patients is not None
    assert cases.patients[0] == cases.patients[1] != cases.patients[2]
    assert cases.groups.tolist() == [*cases.patients[:3].tolist(), "row-3"]
    assert not any(secret in repr(cases.columns) + repr(cases.patients) for secret in CANARY.secrets)


def test_names_are_compared_without_numbers_and_without_their_own_label():
    ids = np.array(["CNV-12-3", "NORMAL-7-1", "scan_00ff12ab"])
    assert name_patterns(ids, np.array(["CNV", "NORMAL", "x"])).tolist() == ["*-#-#", "*-#-#", "scan_#"]
