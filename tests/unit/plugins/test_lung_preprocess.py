"""The lung patch: millimetres, seeds, what is known, and nothing of how deep a stack is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.lung_nodule.grid import KNOWN_ABOVE, MIDDLE, SENTINEL, SHAPE, SPACING_MM, scale_hu, unscale_hu
from plugins.lung_nodule.preprocess import picture_hu, preprocess, seed_of
from whycad.errors import GeometryError, PredictionError
from whycad.types import Region, Study

LUNG = -850.0


def study(shape, spacing=None, hu=LUNG, unit="HU"):
    pixels = np.full(shape, hu, np.float32)
    return Study(pixels, "CT", "0" * 64, unit, None if spacing is None else tuple(spacing))


def ball(shape, spacing, centre, radius_mm, hu=40.0):
    """A ball of tissue in lung, of a size in millimetres."""
    axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    squared = sum(((a - c) * s) ** 2 for a, c, s in zip(axes, centre, spacing, strict=True))
    pixels = np.where(squared <= radius_mm**2, hu, LUNG).astype(np.float32)
    return Study(pixels, "CT", "0" * 64, "HU", tuple(spacing))


@given(
    st.floats(0.4, 1.2), st.floats(0.4, 1.2), st.floats(0.5, 3.0), st.floats(4, 9), st.tuples(*[st.floats(-4, 4)] * 2)
)
@settings(max_examples=15, deadline=None)
def test_size_is_physical_whatever_the_spacing(dy, dx, dz, radius, shift):
    shape = (int(46 / dz) | 1, int(90 / dy), int(90 / dx))
    centre = (shape[0] // 2, shape[1] / 2 + shift[0], shape[2] / 2 + shift[1])
    patch = preprocess(ball(shape, (dz, dy, dx), centre, radius), Region(centre)).array[0]
    dense = unscale_hu(patch) > (40 + LUNG) / 2
    area = dense[MIDDLE].sum() * SPACING_MM[1] * SPACING_MM[2]
    assert area == pytest.approx(np.pi * radius**2, rel=0.15)
    rows, columns = (dense[MIDDLE].any(axis=axis).nonzero()[0].mean() for axis in (1, 0))
    assert (rows, columns) == pytest.approx((47.5, 47.5), abs=1.0)


def test_a_volume_keeps_its_third_dimension():
    spacing = (1.0, 0.6, 0.6)
    patch = preprocess(ball((51, 120, 120), spacing, (25, 60, 60), 6.0), Region((25.0, 60.0, 60.0))).array[0]
    dense = unscale_hu(patch) > -400
    assert dense[:, 47:49, 47:49].all(axis=(1, 2)).sum() * SPACING_MM[0] == pytest.approx(12, abs=1.7)


def test_a_single_slice_is_a_patch_with_one_known_plane():
    inputs = preprocess(study((128, 128), (0.7, 0.7)), Region((64.0, 64.0)))
    known = inputs.array[0] > KNOWN_ABOVE
    assert inputs.array.shape == (1, *SHAPE)
    assert inputs.geometry.source_shape == (1, 128, 128)
    assert known[MIDDLE].all()
    assert known.sum() == SHAPE[1] * SHAPE[2]
    assert (inputs.array[0][~known] == SENTINEL).all()


def test_voxels_beyond_the_image_are_not_known():
    known = preprocess(study((128, 128), (0.7, 0.7)), Region((10.0, 64.0))).array[0, MIDDLE] > KNOWN_ABOVE
    first = int(np.ceil(47.5 - 10.5 * 0.7 / 0.6))
    assert not known[:first].any()
    assert known[first:].all()


@given(st.integers(1, 90), st.integers(0, 89), st.sampled_from([0.6, 1.0, 2.5]))
@settings(max_examples=25, deadline=None)
def test_how_deep_a_stack_is_shows_only_as_all_or_one_slice(depth, seed, dz):
    """Either the whole 40 mm are known, or the middle slice alone: nothing between tells the depth."""
    seed = min(seed, depth - 1)
    patch = preprocess(study((depth, 100, 100), (dz, 0.7, 0.7)), Region((float(seed), 50.0, 50.0))).array[0]
    known = (patch > KNOWN_ABOVE).any(axis=(1, 2))
    assert known[MIDDLE]
    assert known.sum() in (1, SHAPE[0])


def test_a_series_and_a_stack_cut_from_it_give_the_same_input():
    rng = np.random.default_rng(0)
    spacing = (1.25, 0.7, 0.7)
    whole = Study(rng.normal(-800, 100, (60, 110, 110)).astype(np.float32), "CT", "0" * 64, "HU", spacing)
    seed, first, last = 30, 14, 46
    part = replace(whole, pixels=whole.pixels[first : last + 1])
    shorter = replace(whole, pixels=whole.pixels[first + 2 : last + 1])
    inputs = [
        preprocess(s, Region((float(seed - skipped), 55.0, 55.0))).array
        for s, skipped in ((whole, 0), (part, first), (shorter, first + 2))
    ]
    np.testing.assert_allclose(inputs[0], inputs[1], atol=1e-6)
    assert not np.array_equal(inputs[0], inputs[2]), "a stack that is too short must fall back to one slice"
    assert np.array_equal(inputs[0][0, MIDDLE], inputs[2][0, MIDDLE])


def test_without_a_seed_a_slice_is_read_in_its_middle_and_a_volume_not_at_all():
    assert seed_of(study((11, 21)), None) == (0.0, 5.0, 10.0)
    with pytest.raises(GeometryError, match="seed"):
        seed_of(study((5, 11, 21), (1, 1, 1)), None)


def test_a_box_is_read_about_its_centre_on_the_nearest_slice():
    region = Region((2.0, 10.0, 12.0), (5.0, 20.0, 16.0))
    assert seed_of(study((9, 30, 30), (1, 1, 1)), region) == (4.0, 15.0, 14.0)


@pytest.mark.parametrize("start", [(200.0, 5.0), (-3.0, 5.0), (float("nan"), 5.0), (5.0,), (1.0, 5.0, 5.0)])
def test_a_seed_off_the_image_is_refused(start):
    with pytest.raises(GeometryError):
        preprocess(study((64, 64), (0.7, 0.7)), Region(start))


def test_a_volume_without_slice_spacing_is_refused():
    with pytest.raises(GeometryError, match="slices"):
        preprocess(study((20, 64, 64)), Region((10.0, 32.0, 32.0)))


def test_a_colour_image_is_refused():
    with pytest.raises(PredictionError, match="grey"):
        preprocess(Study(np.zeros((64, 64, 3), np.float32), "OT", "0" * 64, "rgb"), None)


@pytest.mark.parametrize("limits", [(-1350.0, 150.0), (-1000.0, 1250.0)])
def test_a_picture_is_read_in_the_window_that_makes_it_lung(limits):
    rng = np.random.default_rng(1)
    hu = np.where(rng.random((80, 80)) < 0.6, -850, 40) + rng.normal(0, 15, (80, 80))
    low, high = limits
    picture = np.clip((hu - low) / (high - low), 0, 1).astype(np.float32)
    assert np.abs(picture_hu(picture) - hu).max() < 60
    assert np.median(np.abs(picture_hu(picture) - hu)) < 1


@given(st.floats(-1000, 400))
def test_the_grey_scale_goes_there_and_back(hu):
    assert float(unscale_hu(scale_hu(np.array(hu, np.float32)))) == pytest.approx(hu, abs=0.01)
    assert -1 <= float(scale_hu(np.array(hu, np.float32))) <= 1


def test_the_baseline_is_lung_where_something_is_known():
    inputs = preprocess(study((64, 64), (0.7, 0.7)), Region((10.0, 20.0)))
    known = inputs.array > KNOWN_ABOVE
    baseline = np.broadcast_to(inputs.baseline, inputs.array.shape)
    assert (baseline[~known] == SENTINEL).all()
    assert np.allclose(unscale_hu(baseline[known]), LUNG, atol=0.01)
