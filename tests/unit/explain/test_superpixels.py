"""Superpixels: enough of them at every resolution, numbered from 0, the same for float32 and float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.explain.superpixels import fitted_segments, grid_segments, superpixels, superpixels_within


def picture(shape: tuple[int, ...], channels: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij"))
    smooth = np.sin(grid.sum(axis=0) + rng.random())
    return (smooth + 0.2 * rng.normal(size=(channels, *shape))).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((28, 28), 25), ((64, 64), 32), ((112, 144), 64), ((224, 224), 100), ((512, 512), 100), ((4, 4), 16)],
)
def test_the_number_wanted_follows_the_resolution(shape, wanted):
    assert abs(fitted_segments(shape) - wanted) <= 1


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 100), st.integers(20, 100), st.sampled_from([1, 2, 3]), st.integers(0, 99))
def test_labels_run_from_zero_without_gaps_and_are_enough(rows, columns, channels, seed):
    segments, _ = superpixels(picture((rows, columns), channels, seed))
    labels = np.unique(segments)
    np.testing.assert_array_equal(labels, np.arange(len(labels)))
    assert segments.dtype == np.int64
    assert 0.6 * fitted_segments((rows, columns)) <= len(labels) <= 2 * fitted_segments((rows, columns))


def test_float32_and_float64_give_the_same_segments():
    """SLIC run in each type cuts this image differently in more than a thousand pixels."""
    y, x = np.mgrid[:224, :224] / 224
    phase = np.random.default_rng(8).uniform(0, 3, 1)[0]
    image = (np.sin(5 * x + phase) * np.cos(7 * y + phase)).astype(np.float32)[None]
    segments, kind = superpixels(image)
    assert kind == "SLIC"
    np.testing.assert_array_equal(segments, superpixels(image.astype(np.float64))[0])


@pytest.mark.parametrize(
    "image", [np.zeros((3, 28, 28)), np.eye(28)[None].repeat(3, axis=0) * 0 + 5], ids=["zero", "flat"]
)
def test_a_flat_image_is_cut_by_a_grid(image):
    segments, kind = superpixels(image.astype(np.float32))
    assert kind == "grid"
    assert segments.max() + 1 >= 25


def test_segments_follow_an_edge():
    image = np.zeros((3, 64, 64), np.float32)
    image[:, :, 37:] = 1
    segments, kind = superpixels(image)
    assert kind == "SLIC"
    assert not set(np.unique(segments[:, :36])) & set(np.unique(segments[:, 38:]))


def test_volumes_are_cut_into_supervoxels():
    segments, _ = superpixels(picture((16, 24, 24), 1))
    assert segments.shape == (16, 24, 24)
    assert len(np.unique(segments)) >= 25


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=3), st.integers(1, 200))
def test_a_grid_has_at_least_as_many_boxes_as_wanted_where_pixels_allow(shape, wanted):
    segments = grid_segments(shape, wanted)
    labels = np.unique(segments)
    np.testing.assert_array_equal(labels, np.arange(len(labels)))
    assert len(labels) >= min(wanted, np.prod(shape)) or min(shape) * 2 < max(shape)


def test_a_box_of_one_slice_is_cut_like_an_image():
    volume = picture((9, 40, 48), 1)
    box = (slice(4, 5), slice(0, 40), slice(3, 45))
    segments, kind = superpixels_within(volume, box)
    alone, same_kind = superpixels(volume[:, 4, :, 3:45])
    np.testing.assert_array_equal(segments[4, :, 3:45], alone)
    assert kind == same_kind
    assert (np.delete(segments, 4, axis=0) == -1).all()
    assert (segments[4, :, :3] == -1).all()


def test_three_channels_of_a_volume_are_no_colour():
    """Lab would treat the third channel unlike the first."""
    volume = picture((8, 24, 24), 3)
    segments, _ = superpixels(volume)
    turned, _ = superpixels(volume[::-1])
    np.testing.assert_array_equal(segments, turned)
