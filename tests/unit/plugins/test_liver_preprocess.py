"""The liver plugin finds the body, whatever the field of view, the scale and the coil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.liver_fibrosis.data import slice_study
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.preprocess import INPUT_SHAPE, find_body, normalise, preprocess
from plugins.liver_fibrosis.simulator import simulate
from whycad.errors import PredictionError
from whycad.imaging.geometry import map_to_source
from whycad.phantom import colour_study


def test_the_box_is_the_body_of_the_simulator():
    order = PackOrder(12, 21, ("A", "B", "C"))
    for index in range(order.n):
        item = order.slice(index)
        found = find_body(slice_study(item).pixels)
        rows, columns = (np.flatnonzero(item.masks["body"].any(axis=axis)) for axis in (1, 0))
        expected = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
        assert found.found
        assert np.abs(np.array(found.box) - expected).max() <= 3
        assert found.touching == 0
        assert 0.7 < found.filling < 0.98


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 5000), st.integers(0, 40), st.integers(0, 40))
def test_scale_and_field_of_view_do_not_matter(scale, above, left):
    study = slice_study(simulate((9, 1), 2, "B"))
    plain = preprocess(study, None).array
    padded = np.pad(study.pixels, ((above, 40 - above), (left, 40 - left)), constant_values=float(study.pixels[0, 0]))
    other = preprocess(replace(study, pixels=(padded * scale).astype(np.float32)), None).array
    assert np.abs(np.median(other - plain)) < 0.05
    assert np.corrcoef(other.ravel(), plain.ravel())[0, 1] > 0.97


def test_a_bright_spot_maps_back_to_where_it_was():
    study = slice_study(simulate((9, 2), 1, "A"))
    marked = study.pixels.copy()
    marked[70:75, 60:65] = 1
    inputs, plain = preprocess(replace(study, pixels=marked), None), preprocess(study, None)
    difference = map_to_source((inputs.array - plain.array)[0], inputs.geometry)
    row, column = np.unravel_index(np.argmax(difference), difference.shape)
    assert abs(row - 72) <= 2
    assert abs(column - 62) <= 2


def test_an_image_without_background_is_taken_whole():
    texture = np.random.default_rng(0).uniform(0.4, 0.6, (90, 120)).astype(np.float32)
    found = find_body(texture)
    assert not found.found
    assert found.box == (0, 0, 90, 120)


def test_the_coil_becomes_a_smooth_offset():
    image = np.full(INPUT_SHAPE, 1.0, np.float32)
    tilt = np.exp(np.linspace(-0.2, 0.2, INPUT_SHAPE[1], dtype=np.float32))
    change = normalise(image * tilt) - normalise(image)
    assert np.ptp(change) == pytest.approx(0.4 / 0.9, rel=0.1)


def test_the_baseline_is_the_mean_signal():
    inputs = preprocess(slice_study(simulate((9, 3), 1, "A")), None)
    assert inputs.baseline == pytest.approx(float(normalise(np.ones((1, 4, 4), np.float32))[0, 0, 0]))


def test_colour_and_volumes_are_refused():
    with pytest.raises(PredictionError, match="one grey slice"):
        preprocess(colour_study(np.zeros((80, 80, 3), np.uint8)), None)
    study = slice_study(simulate((9, 3), 1, "A"))
    with pytest.raises(PredictionError, match="one grey slice"):
        preprocess(replace(study, pixels=study.pixels[None]), None)
