"""Each measurement says what its table promises, and stays within its range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whycad.uncertainty.input_gate import (
    Bound,
    border_fraction,
    bright_centre,
    dynamic_range,
    exceeded,
    flat_fraction,
    neighbour_match,
    outside_range,
    saturation,
    spectral_flatness,
    tail_balance,
)

SHARES = (flat_fraction, border_fraction, saturation, spectral_flatness)
SIGNED = (bright_centre, neighbour_match, tail_balance)


def blob(size=64):
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    return np.exp(-(rows**2 + columns**2) / 0.05)


def noise(seed=0, size=64):
    return np.random.default_rng(seed).random((size, size))


@given(
    arrays(np.float32, st.sampled_from([(8, 9), (8, 9, 3), (5, 8, 9)]), elements=st.floats(-1000, 1000, width=16)),
)
def test_every_measurement_stays_in_its_range(pixels):
    for measure in SHARES:
        assert -1e-9 <= measure(np.abs(pixels)) <= 1 + 1e-9
    for measure in SIGNED:
        assert -1 - 1e-9 <= measure(pixels) <= 1 + 1e-9
    assert dynamic_range(pixels) >= 0


@given(st.floats(0.1, 50), st.floats(-100, 100))
def test_scale_and_offset_do_not_matter(scale, offset):
    image = blob() + 0.1 * noise()
    for measure in (border_fraction, bright_centre, spectral_flatness, neighbour_match, tail_balance):
        assert measure(image * scale + offset) == pytest.approx(measure(image), abs=1e-6)


def test_noise_is_flat_in_its_spectrum_and_matches_no_neighbour():
    assert spectral_flatness(noise()) > 0.9
    assert abs(neighbour_match(noise())) < 0.1
    assert spectral_flatness(blob()) < 0.05
    assert neighbour_match(blob()) > 0.95


def test_a_checkerboard_is_the_opposite_of_smooth():
    board = (np.indices((32, 32)).sum(axis=0) % 2).astype(float)
    assert neighbour_match(board) == pytest.approx(-1)
    assert flat_fraction(board) == pytest.approx(0.5)


def test_one_flat_value_is_seen_by_all():
    flat = np.full((16, 16), 0.7)
    assert dynamic_range(flat) == 0
    assert flat_fraction(flat) == 1
    assert border_fraction(flat) == 1
    assert bright_centre(flat) == 0
    assert spectral_flatness(flat) == 0
    assert neighbour_match(flat) == 1
    assert tail_balance(flat) == 0


def test_a_letterbox_is_measured_on_its_own_axis():
    image = noise()
    image[:8] = 0
    image[-8:] = 0
    assert border_fraction(image) == pytest.approx(0.25)
    assert border_fraction(image.T) == pytest.approx(0.25)
    assert border_fraction(noise()) == 0


def test_inverted_contrast_turns_the_sign():
    assert bright_centre(blob()) > 0.3
    assert bright_centre(1 - blob()) == pytest.approx(-bright_centre(blob()))
    assert tail_balance(blob()) > 0.2
    assert tail_balance(1 - blob()) == pytest.approx(-tail_balance(blob()))


def test_grey_has_no_saturation_and_red_all_of_it():
    grey = np.repeat(noise()[..., None], 3, axis=2)
    assert saturation(grey) == pytest.approx(0)
    assert saturation(np.dstack([noise() + 0.1, np.zeros((64, 64)), np.zeros((64, 64))])) == pytest.approx(1)
    assert saturation(noise()) == 0


def test_values_outside_of_a_range_are_counted():
    assert outside_range(np.array([[-2000.0, 0.0], [100.0, 5000.0]]), -1100, 3100) == 0.5


def test_only_broken_bounds_give_their_reason():
    bounds = [Bound(0.5, 0, 1, "fine"), Bound(2, 0, 1, "too much"), Bound(float("nan"), 0, 1, "no number")]
    assert exceeded(bounds) == ("too much", "no number")
