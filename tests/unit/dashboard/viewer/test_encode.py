from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from dashboard.components.viewer import encode


def decode_png(asset: encode.Asset) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(asset.content)) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_eight_bit_images_travel_without_loss(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(decode_png(encode.encode_image(pixels)), pixels)


def test_float_images_keep_sixteen_bits_and_survive_values_that_are_not_finite() -> None:
    pixels = np.linspace(-1000, 3000, 80, dtype=np.float32).reshape(8, 10)
    pixels[0, 1] = np.nan
    levels = np.frombuffer(zlib.decompress(encode.encode_image(pixels).content), "<u2").reshape(8, 10)
    back = -1000 + levels / 65535 * 4000
    assert back[0, 1] == -1000
    pixels[0, 1] = -1000
    np.testing.assert_allclose(back, pixels, atol=4000 / 65535)


@given(hnp.arrays(np.float32, (6, 5), elements=st.floats(-10, 10, width=32)), st.booleans())
@settings(max_examples=40, deadline=None)
def test_maps_keep_their_sign_and_size_within_a_step(values: NDArray[np.float32], signed: bool) -> None:
    stored = decode_png(encode.encode_map(values, signed=signed, limit=10.0)).astype(float)
    back = (stored - 127) / 127 * 10 if signed else stored / 255 * 10
    expected = values if signed else np.clip(values, 0, None)
    np.testing.assert_allclose(back, expected, atol=10 / 127 / 2 + 1e-6)


def test_zero_is_exactly_the_middle_of_a_signed_map() -> None:
    values = np.array([[0.0, -0.3], [np.nan, 2.0]], dtype=np.float32)
    assert decode_png(encode.encode_map(values, signed=True, limit=None)).tolist() == [[127, 108], [127, 254]]


def test_a_flat_map_is_all_zero() -> None:
    flat = np.zeros((3, 4), dtype=np.float32)
    assert not decode_png(encode.encode_map(flat, signed=False, limit=None)).any()
    assert (decode_png(encode.encode_map(flat, signed=True, limit=None)) == 127).all()


def test_large_maps_are_averaged_down_without_moving() -> None:
    values = np.zeros((1500, 3000), dtype=np.float32)
    values[:, 1500:] = 1
    small = decode_png(encode.encode_map(values, signed=False, limit=None))
    assert small.shape == (512, 1024)
    assert small[:, :512].max() == 0
    assert small[:, 512:].min() == 255


def test_whole_numbered_volumes_travel_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(-1000, 2000, (4, 5, 6)).astype(np.float32)
    asset = encode.encode_volume(pixels)
    assert asset.encoding == "i16"
    np.testing.assert_array_equal(np.frombuffer(asset.content, "<i2").reshape(4, 5, 6), pixels)
    scans = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert encode.encode_volume(scans) == encode.Asset(scans.tobytes(), encode.VOLUME_TYPE, "u8")


def test_fractional_volumes_keep_sixteen_bits_and_survive_values_that_are_not_finite() -> None:
    pixels = np.linspace(0, 0.5, 24, dtype=np.float32).reshape(2, 3, 4)
    pixels[0, 0, 1] = np.nan
    asset = encode.encode_volume(pixels)
    assert asset.encoding == "u16"
    back = np.frombuffer(asset.content, "<u2").reshape(pixels.shape) / 65535 * 0.5
    np.testing.assert_allclose(back, np.nan_to_num(pixels), atol=0.5 / 65535)


def test_signed_volume_maps_travel_as_the_box_that_is_not_zero() -> None:
    values = np.zeros((4, 5, 6), dtype=np.float32)
    values[1, 2, 3], values[2, 4, 3] = 5.0, -2.5
    boxed = encode.encode_volume_map(values, signed=True, limit=None)
    assert (boxed.start, boxed.shape) == ((1, 2, 3), (2, 3, 1))
    stored = np.frombuffer(zlib.decompress(boxed.asset.content), np.uint8).reshape(boxed.shape)
    assert stored[..., 0].tolist() == [[254, 127, 127], [127, 127, 64]]


def test_a_volume_map_of_nothing_and_an_empty_mask_are_one_voxel() -> None:
    nothing = np.zeros((3, 4, 5), dtype=np.float32)
    assert encode.encode_volume_map(nothing, signed=False, limit=None).shape == (1, 1, 1)
    assert zlib.decompress(encode.encode_volume_mask(nothing > 0).asset.content) == b"\0"


def test_masks_travel_as_the_box_that_is_set() -> None:
    mask = np.zeros((4, 5, 6), dtype=bool)
    mask[2, 1:3, 4:6] = [[True, False], [True, True]]
    boxed = encode.encode_volume_mask(mask)
    assert (boxed.start, boxed.shape) == ((2, 1, 4), (1, 2, 2))
    assert zlib.decompress(boxed.asset.content) == bytes([1, 0, 1, 1])


def test_outlines_run_around_the_mask_half_a_pixel_outside() -> None:
    mask = np.zeros((8, 9), dtype=bool)
    mask[2:5, 3:8] = True
    (path,) = encode.mask_outlines(mask)
    corners = np.array(path)
    np.testing.assert_allclose([corners.min(axis=0), corners.max(axis=0)], [[1.5, 2.5], [4.5, 7.5]])
    assert path[0] == path[-1]
    assert encode.mask_outlines(np.ones((3, 3), dtype=bool)), "a mask that touches the edge has an outline too"


def test_encoding_is_the_same_every_time() -> None:
    pixels = np.zeros((3, 4, 5), dtype=np.float32)
    assert encode.encode_volume(pixels) == encode.encode_volume(pixels)
