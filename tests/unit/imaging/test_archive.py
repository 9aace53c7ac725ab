"""Archives, folders and DICOMDIRs: hostile ones are refused, honest ones read, names never used."""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from whycad.errors import CorruptImageError, ImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging import StudyItem
from whycad.imaging.companions import is_companion
from whycad.imaging.limits import MIB, Limits
from whycad.imaging.remarks import Remark
from whycad.testing.dicom import CANARY, Writing, make_photo_dicom
from whycad.testing.series import make_ct_series, make_dicomdir, make_zip

VOLUME = np.random.default_rng(0).integers(-1000, 1500, (4, 6, 5)).astype(np.int16)
SLICES = make_ct_series(VOLUME, (2.0, 0.7, 0.8), patient=CANARY)
PIXELS = np.random.default_rng(1).integers(0, 255, (6, 7, 3), dtype=np.uint8)
PHOTO = make_photo_dicom(PIXELS, Writing(CANARY, seed="photo"))
# Room for small things only, so that a test need not make large ones.
TIGHT = Limits(
    memory_bytes=1024 * MIB, cpu_s=10, wall_s=15, max_pixels=1000, max_file_bytes=MIB, max_files=8, max_total_bytes=MIB
)


def png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(2).integers(0, 255, (8, 9), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def entry(name: str, mode: int = 0, **fields: Any) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def archive(*members: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for info, data in members:
            file.writestr(info, data)
    return out.getvalue()


def patched(data: bytes, magic: bytes, offset: int, form: str, value: int) -> bytes:
    """Change a field of every record of one kind."""
    changed = bytearray(data)
    at = changed.find(magic)
    while at >= 0:
        struct.pack_into(form, changed, at + offset, value)
        at = changed.find(magic, at + 4)
    return bytes(changed)


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def encrypted() -> bytes:
    data = make_zip(SLICES, stored=True)
    return patched(patched(data, LOCAL, 6, "<H", 1), CENTRAL, 8, "<H", 1)


def declared(size: int) -> bytes:
    """A small archive whose member claims to be of another size."""
    data = make_zip([PHOTO])
    return patched(patched(data, LOCAL, 22, "<L", size), CENTRAL, 24, "<L", size)


def bomb(megabytes: int) -> bytes:
    """An archive of zeros that packs as well as deflate can."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = engine.compress(bytes(MIB)) + engine.flush(zlib.Z_FULL_FLUSH)
    packed = block * megabytes + engine.flush()
    size, name = megabytes * MIB, b"a"
    head = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 33, 0, len(packed), size, len(name), 0)
    local = LOCAL + head + name + packed
    central = CENTRAL + struct.pack("<H", 20) + head + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name
    return local + central + END + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(central), len(local), 0)


def overlapping(count: int) -> bytes:
    """Many entries that share the same packed bytes."""
    data = make_zip({"a": bytes(200_000)})
    at, end = data.index(CENTRAL), data.index(END)
    central = data[at:end] * count
    return data[:at] + central + END + struct.pack("<HHHHLLH", 0, 0, count, count, len(central), at, 0)


def nested() -> bytes:
    return make_zip({"inner.zip": make_zip(SLICES)})


REFUSED: dict[str, tuple[Callable[[], bytes], type[ImageError], str]] = {
    "bomb": (lambda: bomb(200), UnsupportedFormatError, "grow more than 200 times"),
    "bomb beyond the size of a file": (lambda: bomb(300), ImageTooLargeError, "unpack to more than"),
    "declares 4 GB": (lambda: declared(0xFFFFFFFE), ImageTooLargeError, "unpack to more than"),
    "declares too little": (lambda: declared(600), CorruptImageError, "broken"),
    "declares too much": (lambda: declared(100_000), CorruptImageError, "broken"),
    "entries that overlap": (lambda: overlapping(2000), UnsupportedFormatError, "grow more than 200 times"),
    "slip upwards": (lambda: make_zip({"../../evil.dcm": PHOTO}), UnsupportedFormatError, "leads out"),
    "slip in the middle": (lambda: make_zip({"a/../../evil.dcm": PHOTO}), UnsupportedFormatError, "leads out"),
    "slip with backslashes": (
        lambda: archive((entry("x..\\..\\evil", filename="..\\..\\evil.dcm"), PHOTO)),
        UnsupportedFormatError,
        "leads out",
    ),
    "absolute": (lambda: make_zip({"/etc/evil.dcm": PHOTO}), UnsupportedFormatError, "leads out"),
    "drive": (lambda: make_zip({"C:/evil.dcm": PHOTO}), UnsupportedFormatError, "leads out"),
    "name of 2,000 characters": (lambda: make_zip({"a" * 2000: PHOTO}), UnsupportedFormatError, "leads out"),
    "link": (
        lambda: archive((entry("a.dcm", stat.S_IFLNK | 0o777), b"/etc/passwd")),
        UnsupportedFormatError,
        "link or a device",
    ),
    "device": (
        lambda: archive((entry("a.dcm", stat.S_IFCHR | 0o666), b"")),
        UnsupportedFormatError,
        "link or a device",
    ),
    "encrypted": (encrypted, UnsupportedFormatError, "encrypted"),
    "strongly encrypted": (
        lambda: patched(make_zip([PHOTO]), CENTRAL, 8, "<H", 0x41),
        UnsupportedFormatError,
        "encrypted",
    ),
    "encrypted by the local header only": (
        lambda: patched(make_zip([PHOTO], stored=True), CENTRAL, 8, "<H", 1),
        UnsupportedFormatError,
        "encrypted",
    ),
    "packed with LZMA": (
        lambda: patched(make_zip([PHOTO]), CENTRAL, 10, "<H", zipfile.ZIP_LZMA),
        UnsupportedFormatError,
        "packed in a way",
    ),
    "too many entries": (lambda: make_zip([b"x"] * 6000), ImageTooLargeError, "more than the limit of 5,000 files"),
    "too many entries, in secret": (
        lambda: patched(patched(make_zip([b"x"] * 6000), END, 8, "<H", 1), END, 10, "<H", 1),
        ImageTooLargeError,
        "more than the limit of 5,000 files",
    ),
    "empty": (lambda: make_zip([]), CorruptImageError, "empty"),
    "folders only": (lambda: archive((entry("a/", stat.S_IFDIR | 0o755), b"")), CorruptImageError, "empty"),
    "cut short": (lambda: make_zip(SLICES)[:-40], CorruptImageError, "broken"),
    "head missing": (lambda: LOCAL + make_zip(SLICES)[300:], CorruptImageError, "broken"),
    "checksum wrong": (lambda: patched(make_zip([PHOTO]), CENTRAL, 16, "<L", 7), CorruptImageError, "broken"),
    "table of contents beyond the file": (
        lambda: patched(make_zip([PHOTO]), END, 16, "<L", 1 << 30),
        CorruptImageError,
        "broken",
    ),
    "archive in the archive": (nested, UnsupportedFormatError, "ZIP archive"),
    "gzip in the archive": (lambda: make_zip({"a.gz": b"\x1f\x8b" + bytes(50)}), UnsupportedFormatError, "gzip"),
    "text only": (lambda: make_zip({"a.dcm": b"Zzcanary " * 99}), UnsupportedFormatError, "not an image"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_a_typed_reason(case: str, read_all: Any) -> None:
    make, kind, words = REFUSED[case]
    limits = Limits(memory_bytes=1024 * MIB, max_pixels=4_000_000)
    items = read_all([make()], limits=limits)
    assert [item.sources for item in items] == [(0,)]
    assert type(items[0].error) is kind
    assert words in items[0].error.message
    assert items[0].error.message.isprintable()


def test_other_sources_are_read_beside_a_refused_archive(read_all: Any) -> None:
    items = read_all([bomb(200), PHOTO, make_zip(SLICES)])
    assert [item.error is None for item in items] == [False, True, True]


def test_an_archive_within_an_archive_costs_only_itself(read_all: Any) -> None:
    items = read_all([make_zip({"in.zip": make_zip([PHOTO]), **{f"{i}": data for i, data in enumerate(SLICES)}})])
    assert sorted(item.error is None for item in items) == [False, True]


def test_an_archive_is_read_whatever_its_names_and_folders(read_all: Any, private_places: Path) -> None:
    names = ["Zzcanary^Wilhelmina/1", "\u202egpj", "a\nb.dcm", "<img onerror=x>.dcm"]
    members = [(entry("Zzcanary/", stat.S_IFDIR | 0o755), b"")]
    members += [(entry(name), data) for name, data in zip(names, SLICES, strict=True)]
    members += [(entry("PHOTO.DCM", compress_type=zipfile.ZIP_DEFLATED), PHOTO), (entry("x.txt"), png())]
    volume, photo, picture = read_all([archive(*members)])
    assert np.array_equal(volume.study.pixels, VOLUME.astype(np.float32))
    assert (photo.study.modality, picture.study.metadata["format"]) == ("XC", "png")
    assert all(item.sources == (0,) for item in (volume, photo, picture))


def test_what_lies_beside_images_is_passed_over_and_the_rest_is_named(read_all: Any) -> None:
    beside = {
        "README.TXT": b"x",
        "viewer/run.exe": b"MZ",
        "__MACOSX/._1": b"\0\5",
        "autorun.inf": b"",
        ".DS_Store": b"",
    }
    odd = {"report.bin": b"Zzcanary", "other.bin": b"QX-77013-CANARY", "film.gif": b"GIF89a"}
    items = read_all([make_zip({**beside, **odd, **{f"{i}": data for i, data in enumerate(SLICES)}})])
    assert sum(item.study is not None for item in items) == 1
    messages = sorted(item.error.message for item in items if item.error is not None)
    assert len(messages) == 2
    assert messages[0].startswith("2 files: The file is not an image")
    assert "GIF" in messages[1]


def test_a_source_of_companions_only_says_that_there_are_no_images(read_all: Any) -> None:
    assert "no images" in read_all([make_zip({"README.txt": b"x"})])[0].error.message


def test_companions_are_told_by_contents_first() -> None:
    assert is_companion(("a", "notes.txt"), b"text")
    assert is_companion(("__MACOSX", "IM1"), b"")
    assert not is_companion(("notes.txt",), png())
    assert not is_companion(("IM1",), b"text")
    assert not is_companion(("IM1.dcm",), b"")


def test_an_archive_is_read_from_a_file_as_well(read_all: Any, tmp_path: Path) -> None:
    path = tmp_path / "Zzcanary.zip"
    path.write_bytes(make_zip(SLICES))
    assert read_all([path])[0].study.sha256 == read_all([make_zip(SLICES, stored=True)])[0].study.sha256


def test_dicom_that_begins_like_an_archive_is_dicom(read_all: Any) -> None:
    items = read_all([b"PK\3\4" + PHOTO[4:]])
    assert Remark.POLYGLOT in items[0].study.warnings


def tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def numbered(prefix: str = "") -> dict[str, bytes]:
    return {f"{prefix}IM{i}": data for i, data in enumerate(SLICES)}


def test_a_folder_is_read_with_what_lies_below_it(read_all: Any, tmp_path: Path) -> None:
    folder = tree(tmp_path / "Zzcanary", {**numbered("a/b/"), "photo.dcm": PHOTO, "README.txt": b"x", "c/x.png": png()})
    items = read_all([folder])
    assert sorted(item.study.pixels.shape for item in items) == [(4, 6, 5), (6, 7, 3), (8, 9)]
    assert {item.sources for item in items} == {(0,)}


def test_slices_from_several_sources_are_one_volume(read_all: Any, tmp_path: Path) -> None:
    folder = tree(tmp_path / "f", {"a": SLICES[0]})
    items = read_all([make_zip(SLICES[2:]), PHOTO, folder, SLICES[1]])
    assert [item.sources for item in items] == [(0, 2, 3), (1,)]
    assert np.array_equal(items[0].study.pixels, VOLUME.astype(np.float32))


@pytest.mark.skipif(not hasattr(os, "symlink") or sys.platform == "win32", reason="needs links")
def test_links_and_pipes_in_a_folder_are_not_followed(read_all: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "photo.dcm").write_bytes(PHOTO)
    folder = tree(tmp_path / "f", numbered())
    (folder / "link.dcm").symlink_to(tmp_path / "secret" / "photo.dcm")
    (folder / "linked").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    items = read_all([folder])
    assert [item.study.pixels.shape for item in items if item.study] == [(4, 6, 5)]
    assert [item.error.message for item in items if item.error] == [
        "The folder holds 3 link(s), which are not followed"
    ]


def test_empty_folders_and_missing_paths_are_typed_errors(read_all: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    items = read_all([tmp_path / "empty", tmp_path / "Zzcanary"])
    assert ["folder is empty" in items[0].error.message, "cannot be opened" in items[1].error.message] == [True, True]


def test_too_many_files_and_too_many_bytes_are_refused(read_all: Any, tmp_path: Path) -> None:
    folder = tree(tmp_path / "f", {f"{i}": b"x" for i in range(9)})
    assert "more than the limit of 8 files" in read_all([folder], limits=TIGHT)[0].error.message
    half = bytes(600 << 10)
    items = read_all([PHOTO, half, half, PHOTO], limits=TIGHT)
    assert [type(item.error) for item in items] == [type(None), UnsupportedFormatError, ImageTooLargeError, type(None)]
    assert "together are more than the limits" in items[2].error.message
    many = read_all([PHOTO[:-k] for k in range(9)], limits=replace(TIGHT, max_total_bytes=64 * MIB))
    assert "together" in many[8].error.message


def test_a_file_beyond_the_limit_is_refused(read_all: Any, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(MIB + 1))
    limits = replace(TIGHT, max_total_bytes=64 * MIB)
    for source in (path, path.read_bytes()):
        assert "larger than the limit of 1 MB" in read_all([source], limits=limits)[0].error.message
    inside = read_all([tree(tmp_path / "f", {"a": bytes(MIB + 1), "b": PHOTO})], limits=limits)
    assert [item.error is None for item in inside] == [False, True]


def dicomdir(*entries: list[str]) -> bytes:
    return make_dicomdir(entries, Writing(CANARY))


LISTED = [["IMAGES", f"IM{i}"] for i in range(4)]


def folder_and_archive(tmp_path: Path, files: dict[str, bytes]) -> list[bytes | Path]:
    return [tree(tmp_path / "disc", files), make_zip(files)]


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir.dcm"])
def test_a_dicomdir_leads_to_its_images_and_is_none(name: str, read_all: Any, tmp_path: Path) -> None:
    files = {name: dicomdir(*LISTED), **{f"images/im{i};1": data for i, data in enumerate(SLICES)}}
    for source in folder_and_archive(tmp_path, files):
        items = read_all([source])
        assert [item.study.pixels.shape for item in items] == [(4, 6, 5)]


def test_a_dicomdir_in_a_subfolder_is_relative_to_that(read_all: Any, tmp_path: Path) -> None:
    for source in folder_and_archive(tmp_path, {"CD1/DICOMDIR": dicomdir(*LISTED), **numbered("CD1/IMAGES/")}):
        assert [item.error for item in read_all([source])] == [None]


@pytest.mark.parametrize(
    "parts",
    [["..", "SECRET"], ["IMAGES", "..", "..", "IM0"], ["/etc/passwd"], ["C:"], ["."], ["IMAGES/../../IM0"], ["a", ""]],
    ids=str,
)
def test_a_dicomdir_that_leads_out_of_its_folder_refuses_it_all(
    parts: list[str], read_all: Any, tmp_path: Path
) -> None:
    files = {"DICOMDIR": dicomdir(*LISTED, parts), **numbered("IMAGES/"), "odd": b"x"}
    for source in folder_and_archive(tmp_path, files):
        items = read_all([source, PHOTO])
        assert [item.error is None for item in items] == [False, True]
        assert isinstance(items[0].error, UnsupportedFormatError)
        assert "outside of its own folder" in items[0].error.message


def test_files_that_a_dicomdir_lists_and_are_missing_are_counted(read_all: Any, tmp_path: Path) -> None:
    files = {"DICOMDIR": dicomdir(*LISTED, ["IMAGES", "IM9"], ["X"]), **numbered("IMAGES/")}
    for source in folder_and_archive(tmp_path, files):
        items = read_all([source])
        assert sorted(item.error is None for item in items) == [False, True]
        assert "lists 2 file(s) that are not there" in next(i.error.message for i in items if i.error)


def test_a_dicomdir_alone_says_what_it_is(read_all: Any) -> None:
    alone: tuple[StudyItem, ...] = read_all([dicomdir(*LISTED)])
    assert isinstance(alone[0].error, UnsupportedFormatError)
    beside = read_all([dicomdir(["..", "X"]), *SLICES])
    assert [item.error is None for item in beside] == [False, True]
    assert "DICOMDIR" in beside[0].error.message


def test_a_broken_dicomdir_costs_only_itself(read_all: Any, tmp_path: Path) -> None:
    whole = dicomdir(*LISTED)
    for source in folder_and_archive(tmp_path, {"DICOMDIR": whole[:-9], **numbered("IMAGES/")}):
        assert sorted(item.error is None for item in read_all([source])) == [False, True]


def test_more_images_than_the_limit_are_said_and_not_read(read_all: Any) -> None:
    photos = [make_photo_dicom(PIXELS, Writing(CANARY, seed=f"p{k}")) for k in range(5)]
    items = read_all([photos[0], make_zip(photos[1:]), png()], limits=replace(TIGHT, max_studies=3))
    assert sum(item.study is not None for item in items) == 3
    left = [item for item in items if item.error is not None]
    assert [item.sources for item in left] == [(1,), (2,)]
    assert all("more than the limit of 3 images" in item.error.message for item in left)


def test_a_path_that_is_none_is_a_typed_error(read_all: Any) -> None:
    assert "cannot be opened" in read_all([Path("a\0Zzcanary")])[0].error.message


def test_what_all_images_together_hold_in_memory_is_bounded(read_all: Any) -> None:
    photos = [make_photo_dicom(PIXELS, Writing(CANARY, seed=f"p{k}")) for k in range(4)]
    items = read_all(photos, limits=replace(TIGHT, max_total_pixels=2 * PIXELS.size))
    assert [item.error is None for item in items] == [True, True, False, False]
    assert "together hold more than the limit of 252 values" in items[2].error.message
    tight = read_all([photos[0], make_zip(SLICES)], limits=replace(TIGHT, max_total_pixels=200))
    assert isinstance(tight[1].error, ImageTooLargeError)
