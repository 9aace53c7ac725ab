"""Rows of the packs become CT slices with a seed, whatever columns are there."""

from __future__ import annotations

import numpy as np
import pytest

from plugins.lung_nodule.rows import centroid, consensus, read_row, reader_masks
from whycad.datasets.pack import Pack
from whycad.errors import DatasetError


def packed_masks(masks):
    """Pack masks ``(n, 4, 128, 128)`` as the pack does."""
    return np.packbits(masks.reshape(*masks.shape[:2], -1), axis=-1)


def pack(tmp_path, n=2, **columns):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (n, 128, 128)).astype(np.uint8)
    return Pack(tmp_path / "lidc.npz", {"image": image, **columns})


def test_a_full_row_is_in_hounsfield_units_with_its_seed_on_the_outline(tmp_path):
    masks = np.zeros((2, 4, 128, 128), np.uint8)
    masks[0, :3, 30:41, 50:61] = 1
    masks[0, 3, 30:41, 50:90] = 1
    source = pack(
        tmp_path,
        reader_masks_packed=packed_masks(masks),
        hu_a=np.array([8.0, 9.0], np.float32),
        hu_b=np.array([-1000.0, -950.0], np.float32),
        pixel_spacing_mm=np.array([0.65, np.nan], np.float32),
        manufacturer=np.array(["GE", ""]),
    )
    study, region = read_row(source, 0)
    assert (study.modality, study.unit, study.spacing_mm) == ("CT", "HU", pytest.approx((0.65, 0.65)))
    assert region.start == (35.0, 55.0)
    np.testing.assert_allclose(study.pixels, source.arrays["image"][0] * 8.0 - 1000)
    assert dict(study.metadata) == {"manufacturer": "GE"}
    study, region = read_row(source, 1)
    assert study.spacing_mm is None
    assert region.start == (64.5, 64.5)
    assert dict(study.metadata) == {}


def test_only_the_image_is_needed(tmp_path):
    study, region = read_row(pack(tmp_path), 1)
    assert study.unit == "normalised"
    assert study.pixels.max() <= 1
    assert study.spacing_mm is None
    assert region.start == (64.5, 64.5)


def test_outlines_of_another_shape_are_left_alone(tmp_path):
    _, region = read_row(pack(tmp_path, reader_masks_packed=np.full((2, 4, 12), 255, np.uint8)), 0)
    assert region.start == (64.5, 64.5)


def test_a_slope_that_is_no_slope_is_not_used(tmp_path):
    bad = pack(tmp_path, hu_a=np.array([0.0, np.nan]), hu_b=np.array([-1000.0, -1000.0]))
    assert [read_row(bad, row)[0].unit for row in (0, 1)] == ["normalised", "normalised"]


def test_a_stack_gives_its_middle_slice_and_nothing_of_its_depth(tmp_path):
    rng = np.random.default_rng(1)
    volume = rng.integers(0, 255, (20, 48, 48)).astype(np.uint8)
    stacks = Pack(tmp_path / "stacks.npz", {"vol": volume, "offset": np.array([0, 3, 20])})
    for row, middle in ((0, 1), (1, 11)):
        study, region = read_row(stacks, row)
        assert study.pixels.shape == (48, 48)
        np.testing.assert_allclose(study.pixels, volume[middle] / 255 * 1400 - 1000, atol=1e-3)
        assert study.spacing_mm == (1.0, 1.0)
        assert region.start == (23.5, 23.5)


def test_a_series_is_a_volume_with_a_seed_on_its_slice(tmp_path):
    series = {
        "volume": np.zeros((6, 64, 64), np.int16),
        "spacing": np.array([2.5, 0.7, 0.7]),
        "z_mm": np.arange(6) * 2.5 - 20,
        "nodule_z_mm": np.array([-12.5]),
        "nodule_crop_origin_xy": np.array([[10, 20]], np.int16),
    }
    study, region = read_row(Pack(tmp_path / "ct.npz", series), 0)
    assert study.pixels.shape == (6, 64, 64)
    assert study.spacing_mm == (2.5, 0.7, 0.7)
    assert region.start == (3.0, 84.5, 74.5)
    del series["nodule_z_mm"]
    with pytest.raises(DatasetError, match="nodule_z_mm"):
        read_row(Pack(tmp_path / "ct.npz", series), 0)


def test_colour_rows_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="grey"):
        read_row(Pack(tmp_path / "x.npz", {"image": np.zeros((1, 32, 32, 3), np.uint8)}), 0)


def test_half_of_the_readers_who_drew_decide():
    masks = np.zeros((4, 8, 8), np.uint8)
    masks[0, 2:6, 2:6] = 1
    masks[1, 2:6, 2:4] = 1
    assert np.array_equal(consensus(masks), masks[0].astype(bool))
    masks[2, 2:6, 2:4] = 1
    assert np.array_equal(consensus(masks), masks[1].astype(bool))
    assert not consensus(np.zeros((4, 8, 8), np.uint8)).any()


def test_outlines_unpack_in_reading_order():
    masks = np.random.default_rng(0).integers(0, 2, (3, 4, 128, 128)).astype(np.uint8)
    assert np.array_equal(reader_masks(packed_masks(masks), 128), masks)


def test_an_empty_outline_has_no_centre():
    assert centroid(np.zeros((4, 4), bool)) is None
