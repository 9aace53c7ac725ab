"""Files are whole or absent."""

import os
import stat

import pytest

from whycad.errors import StoreError
from whycad.files import whole_file, write_whole


def test_a_file_appears_with_its_text_and_ordinary_rights(tmp_path):
    write_whole(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "é\n"
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "plain"]  # noqa: PTH208


def _write_half(path):
    with whole_file(path) as stream:
        stream.write("new, half")
        raise RuntimeError("killed in mid-write")


def test_a_failure_in_mid_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="killed"):
        _write_half(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_nothing_is_under_the_name_before_the_end(tmp_path):
    with whole_file(tmp_path / "a.txt") as stream:
        stream.write("x")
        stream.flush()
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").exists()


def test_a_missing_folder_is_a_plain_error(tmp_path):
    with pytest.raises(StoreError, match=r"'a\.txt' cannot be written"):
        write_whole(tmp_path / "nowhere" / "a.txt", "x")


def test_a_full_disk_is_a_plain_error_and_no_file(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(StoreError, match="No space left"):
        write_whole(tmp_path / "a.txt", "x")
    assert list(tmp_path.iterdir()) == []
