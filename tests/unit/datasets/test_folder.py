"""Folders: every file that may be an image is a row, whatever it is called."""

import hashlib

import pytest

from whycad.datasets.folder import read_folder
from whycad.errors import DatasetError


@pytest.fixture
def folder(tmp_path):
    for name in ("b/mel/2.jpg", "a/1.dcm", "a/noextension", "b/readme.txt", ".hidden/3.png", "a/.4.png", "a/t.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_rows_are_the_images_in_order_of_their_paths(folder):
    found = read_folder(folder)
    assert [path.relative_to(folder).as_posix() for path in found.files] == ["a/1.dcm", "a/noextension", "b/mel/2.jpg"]
    assert found.parent_names(2) == ("mel", "b", folder.name)
    assert found.sha256(0) == hashlib.sha256(b"a/1.dcm").hexdigest()


def test_links_are_not_followed(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.png").write_text("x")
    (folder / "link.png").symlink_to(outside / "secret.png")
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    assert [path.name for path in read_folder(folder).files] == ["1.dcm", "noextension", "2.jpg"]


def test_a_split_is_a_folder_of_that_name(folder):
    found = read_folder(folder)
    assert found.rows() == [0, 1, 2]
    assert found.rows("b") == [2]
    with pytest.raises(DatasetError, match="no images below a folder named 'val'"):
        found.rows("val")


def test_a_single_file_is_one_row(folder):
    found = read_folder(folder / "a" / "1.dcm")
    assert (len(found), found.parent_names(0)) == (1, ("a",))


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DatasetError, match="holds no images"):
        read_folder(tmp_path)


def test_a_file_that_vanished_has_no_hash(folder):
    found = read_folder(folder)
    found.files[0].unlink()
    assert found.sha256(0) == ""
