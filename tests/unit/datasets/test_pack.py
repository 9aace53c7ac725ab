"""Packs in every layout, whole, bare and broken."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from whycad.datasets.pack import Pack, read_pack
from whycad.errors import DatasetError


def test_a_bare_jpeg_pack_has_images_and_nothing_else(write_pack, jpeg_arrays):
    pack = read_pack(write_pack(**jpeg_arrays(3)))
    assert (len(pack), pack.image(0).shape, pack.image(2).dtype) == (3, (24, 32, 3), np.uint8)
    assert pack.label_name(1) == ""
    assert pack.image_id(1) == ""
    assert pack.group(1) == "row-1"
    np.testing.assert_array_equal(pack.rows(), [0, 1, 2])


def test_columns_are_read_by_name(write_pack, jpeg_arrays):
    columns = {
        "y": np.array([1, 0, 1], np.uint8),
        "class_names": np.array(["nv", "mel"]),
        "image_id": np.array(["i0", "i1", "i2"]),
        "patient": np.array([7.0, 7.0, np.nan]),
        "split": np.array(["train", "val", "val"]),
    }
    pack = read_pack(write_pack(**jpeg_arrays(3, **columns)))
    assert [pack.label_name(row) for row in range(3)] == ["mel", "nv", "mel"]
    assert [pack.group(row) for row in range(3)] == ["7", "7", "row-2"]
    assert pack.image_id(2) == "i2"
    np.testing.assert_array_equal(pack.rows("val"), [1, 2])
    assert len(pack.rows("test")) == 0


def test_a_split_without_the_column_is_an_error_with_a_remedy(write_pack, jpeg_arrays):
    with pytest.raises(DatasetError, match=r"no 'split' column.*leave --split out"):
        read_pack(write_pack(**jpeg_arrays(1))).rows("val")


@pytest.mark.parametrize(
    ("y", "names", "expected"),
    [
        (np.array([0, 5]), ["a", "b"], ["a", ""]),
        (np.array([-1, 1]), ["a", "b"], ["", "b"]),
        (np.array([np.nan, 1.0]), ["a", "b"], ["", "b"]),
        (np.array([0.5, 1.0]), ["a", "b"], ["", "b"]),
        (np.array([0, 1]), None, ["0", "1"]),
        (np.array(["b", "a"]), None, ["b", "a"]),
        (np.array([b"b", b"a"]), ["a", "b"], ["b", "a"]),
        (np.array([[0, 1], [1, 0]]), ["a", "b"], ["", ""]),
    ],
)
def test_labels_are_names_or_unknown_and_never_a_guess(write_pack, jpeg_arrays, y, names, expected):
    extra = {} if names is None else {"class_names": np.array(names)}
    pack = read_pack(write_pack(**jpeg_arrays(2, y=y, **extra)))
    assert [pack.label_name(row) for row in range(2)] == expected


def test_a_scalar_class_names_is_no_list_of_names(write_pack, jpeg_arrays):
    assert read_pack(write_pack(**jpeg_arrays(2, class_names=np.array("nv")))).class_names() == ()


@pytest.mark.parametrize("name", ["image", "images"])
@pytest.mark.parametrize("shape", [(2, 8, 9), (2, 8, 9, 3)])
def test_plain_images(write_pack, name, shape):
    images = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    pack = read_pack(write_pack(**{name: images}))
    assert len(pack) == 2
    np.testing.assert_array_equal(pack.image(1), images[1])


def test_stacks_and_volumes(write_pack):
    slices = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    stacks = read_pack(write_pack("stacks.npz", vol=slices, offset=np.array([0, 2, 5])))
    assert [stacks.image(row).shape for row in range(2)] == [(2, 4, 3), (3, 4, 3)]
    volume = read_pack(write_pack("volume.npz", volume=slices.astype(np.int16), patient=np.array("P1")))
    assert (len(volume), volume.image(0).shape, volume.group(0)) == (1, (5, 4, 3), "P1")


def test_an_exif_rotated_jpeg_comes_upright(write_pack, jpeg_arrays):
    picture = Image.fromarray(np.zeros((8, 16, 3), np.uint8))
    picture.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif)
    image = read_pack(write_pack(**jpeg_arrays([buffer.getvalue()]))).image(0)
    assert image.shape == (16, 8, 3)
    assert image[0, -1].mean() > image[-1, 0].mean()


def test_grey_jpegs_stay_grey_and_cmyk_becomes_colour(write_pack, jpeg_arrays):
    files = []
    for mode in ("L", "CMYK"):
        buffer = io.BytesIO()
        Image.new(mode, (8, 6)).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    pack = read_pack(write_pack(**jpeg_arrays(files)))
    assert [pack.image(row).shape for row in range(2)] == [(6, 8), (6, 8, 3)]


@pytest.mark.parametrize("offsets", [[0, 10**9], [-5, 10], [10, 5], [7, 7], [0, 2**62]])
def test_offsets_outside_the_data_fail_their_row_only(write_pack, jpeg_arrays, offsets):
    arrays = jpeg_arrays(1)
    good = arrays["jpeg_offsets"][1]
    arrays["jpeg_offsets"] = np.array([*offsets, 0, good], np.int64)
    pack = read_pack(write_pack(**arrays))
    with pytest.raises(DatasetError, match="row 0: JPEG offsets point outside"):
        pack.image(0)
    assert pack.image(2).shape == (24, 32, 3)


def test_a_broken_jpeg_fails_its_row_only(write_pack, jpeg_arrays):
    whole = jpeg_arrays(1)["jpeg"].tobytes()
    pack = read_pack(write_pack(**jpeg_arrays([whole[:100], b"GIF89a not a jpeg", whole])))
    for row in (0, 1):
        with pytest.raises(DatasetError, match="cannot be decoded"):
            pack.image(row)
    assert pack.image(2).shape == (24, 32, 3)


def test_a_jpeg_that_declares_a_huge_size_is_refused_before_decoding(write_pack, jpeg_arrays):
    data = bytearray(jpeg_arrays(1)["jpeg"].tobytes())
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(DatasetError, match=r"larger than|cannot be decoded"):
        read_pack(write_pack(**jpeg_arrays([bytes(data)]))).image(0)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"y": np.arange(3)},
        {"jpeg": np.zeros(4, np.uint8)},
        {"jpeg": np.zeros(4, np.float32), "jpeg_offsets": np.array([0, 4])},
        {"jpeg": np.zeros(4, np.uint8), "jpeg_offsets": np.array([0.0, 4.0])},
        {"jpeg": np.zeros(4, np.uint8), "jpeg_offsets": np.array(4)},
        {"jpeg": np.zeros(4, np.uint8), "jpeg_offsets": np.array([], np.int64)},
        {"images": np.array(["a", "b"])},
        {"images": np.zeros((2, 3))},
        {"images": np.zeros((2, 3, 4, 5))},
        {"images": np.zeros((2, 3, 4), complex)},
        {"images": np.zeros((2, 0, 4))},
        {"vol": np.zeros((2, 3, 4))},
        {"vol": np.zeros((2, 3)), "offset": np.array([0, 2])},
        {"volume": np.zeros((2, 3))},
    ],
)
def test_arrays_that_are_no_images_are_refused(write_pack, arrays):
    with pytest.raises(DatasetError, match=r"holds none|stores|lacks"):
        read_pack(write_pack(**arrays))


def test_an_absurd_number_of_rows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("whycad.datasets.pack.MAX_ROWS", 5)
    np.savez(tmp_path / "p.npz", images=np.zeros((6, 2, 2), np.uint8))
    with pytest.raises(DatasetError, match="declares 6 images"):
        read_pack(tmp_path / "p.npz")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6), st.binary(max_size=64))
def test_any_offsets_over_any_bytes_give_an_image_or_a_dataset_error(offsets, data):
    arrays = {"jpeg": np.frombuffer(data, np.uint8), "jpeg_offsets": np.array(offsets, np.int64)}
    pack = Pack(Path("p.npz"), arrays)
    for row in range(len(pack)):
        with pytest.raises(DatasetError):
            pack.image(row)
