"""Rows that name a folder: one series is read, anything else is refused before a child is started."""

from __future__ import annotations

import numpy as np
import pytest

import whycad.audit.data.files as files
import whycad.imaging.reader as reader
import whycad.imaging.studies as studies
from whycad.audit.data.dataset import DatasetRef
from whycad.errors import DatasetError, WhyCadError
from whycad.imaging.worker import Job
from whycad.testing.dicom import make_photo_dicom
from whycad.testing.series import make_ct_series

VOLUME = np.random.default_rng(0).integers(-1000, 1500, (4, 6, 5)).astype(np.int16)
PHOTO = np.random.default_rng(1).integers(0, 255, (6, 7, 3), dtype=np.uint8)


@pytest.fixture
def started(monkeypatch):
    """Return what each child that was started is asked for."""
    found = []
    run = reader.run_request

    def noted(request):
        found.append(request.job)
        return run(request)

    monkeypatch.setattr(reader, "run_request", noted)
    monkeypatch.setattr(studies, "run_request", noted)
    return found


@pytest.fixture
def opened(tmp_path):
    """Write a table of one image per cell and open it."""

    def made(*cells):
        (tmp_path / "table.csv").write_text("image\n" + "".join(f"{cell}\n" for cell in cells))
        return DatasetRef(tmp_path / "table.csv").open()

    return made


def put(folder, contents):
    folder.mkdir(parents=True)
    for number, data in enumerate(contents):
        (folder / f"{number}.dcm").write_bytes(data)


def test_a_folder_of_pictures_is_refused_and_none_is_read(opened, draw, started):
    for number in range(30):
        draw(f"many/{number % 3}/{number}.png", number)
    data = opened("many")
    for read in (data.case, data.picture, data.content):
        with pytest.raises(DatasetError, match="a folder that stands for one image holds 30"):
            read(0)
    assert [str(error) for error in data.pictures([0])] == [str(studies.several(30))]
    assert started == []


def test_a_folder_of_one_picture_is_that_picture(opened, draw, started):
    (draw("one/a.png").parent / "readme.txt").write_text("what lies beside an image")
    data = opened("one")
    assert data.picture(0).shape == (10, 12, 3)
    assert data.content(0)
    assert started == [Job.STUDY]


@pytest.mark.parametrize("cell", [".", "./", "a/.."])
def test_the_folder_of_the_table_stands_for_no_image(opened, draw, started, cell):
    draw("a/a.png")
    data = opened("a/a.png", cell)
    for read in (data.case, data.picture, data.content):
        with pytest.raises(DatasetError, match="the table's own folder"):
            read(1)
    assert data.content(0)
    assert started == []


def test_a_tree_is_left_where_it_holds_more_than_a_series(opened, draw, started, monkeypatch):
    monkeypatch.setattr(files, "MOST_LISTED", 5)
    looked = []
    monkeypatch.setattr(files, "_kind", looked.append)
    for number in range(6):
        draw(f"tree/{number}/a.png")
    data = opened("tree")
    for read in (data.case, data.content):
        with pytest.raises(DatasetError, match="more than 5 files"):
            read(0)
    assert looked == started == []


def test_several_dicom_images_are_told_by_their_headers(opened, tmp_path, started):
    put(tmp_path / "photos", [make_photo_dicom(PHOTO + number) for number in range(3)])
    data = opened("photos")
    assert data.content(0)
    with pytest.raises(DatasetError, match="holds 3"):
        data.case(0)
    assert started == [Job.SURVEY]


def test_one_series_is_one_volume(opened, tmp_path, started):
    put(tmp_path / "ct", make_ct_series(VOLUME, (2.5, 0.7, 0.8)))
    study, region = opened("ct").case(0)
    assert study.pixels.shape == VOLUME.shape
    assert region is None
    assert started == [Job.SURVEY, Job.SERIES]


def test_a_folder_without_images_says_so(opened, tmp_path, started):
    (tmp_path / "none").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("nothing to see")
    data = opened("none", "notes")
    said = [str(error) for error in data.pictures([0, 1]) if isinstance(error, WhyCadError)]
    assert ["folder is empty" in said[0], "no images in it" in said[1]] == [True, True]
    assert started == []
