"""Slices at any places become a stack of even distances, and what was done to them is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.errors import CorruptImageError, UnsupportedFormatError
from whycad.imaging.remarks import Remark, gap_remark, known_remark
from whycad.imaging.stacking import Stack, check_straight, fill_volume, fit_stack, normal_of, sideways_mm

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
quick = settings(max_examples=60, deadline=None)


def filled(stack: Stack, values: np.ndarray) -> np.ndarray:
    """A one-pixel volume from one value per slice."""
    out = np.full((len(stack), 1, 1), np.nan, np.float32)
    fill_volume(out, stack, lambda k: np.full((1, 1), values[k], np.float32))
    return out[:, 0, 0]


@quick
@given(st.integers(2, 60), st.floats(0.2, 9.0), st.floats(-900, 900), st.integers(0, 99))
def test_even_slices_are_only_sorted_whatever_their_order(n: int, step: float, start: float, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(n)
    # A file states positions to a tenth of a millimetre at worst, if its slices are that far apart.
    places = np.round(start + step * order, 1 if step > 1.2 else 3)
    stack = fit_stack(places)
    assert stack.is_plain
    assert stack.remarks == frozenset()
    assert np.array_equal(places[stack.order], np.sort(places))
    # Rounded places must not make the stack longer or shorter than it is.
    assert stack.spacing_mm * (n - 1) == pytest.approx(np.ptp(places))
    assert np.array_equal(filled(stack, order.astype(float)), np.arange(n))


@quick
# From 8 slices on, most distances are whole ones even where two slices are missing.
@given(st.integers(8, 40), st.floats(0.3, 5.0), st.sets(st.integers(1, 38), min_size=1, max_size=2), st.integers(0, 99))
def test_missing_slices_are_interpolated_and_counted(n: int, step: float, missing: set[int], seed: int) -> None:
    gone = {k for k in missing if k < n - 1}
    kept = np.random.default_rng(seed).permutation([k for k in range(n) if k not in gone])
    stack = fit_stack(kept * step)
    assert len(stack) == n
    assert stack.spacing_mm == pytest.approx(step)
    np.testing.assert_allclose(filled(stack, kept.astype(float)), np.arange(n), rtol=1e-5)
    runs = len(gone) - sum(k + 1 in gone for k in gone)
    widest = max((len(gone) if runs == 1 else 1) + 1, 2) * step
    assert stack.remarks == ({gap_remark(len(gone), runs, widest)} if gone else frozenset())


@quick
@given(st.lists(st.floats(1.0, 1.7), min_size=3, max_size=30))
def test_a_linear_ramp_survives_uneven_slices(steps: list[float]) -> None:
    places = np.cumsum([0.0, *steps])
    stack = fit_stack(places)
    grid = np.arange(len(stack)) * stack.spacing_mm
    assert grid[-1] == pytest.approx(places[-1])
    # Within the tolerance a slice is taken as it is; beyond it the ramp must be met.
    slack = 0.11 * stack.spacing_mm
    np.testing.assert_allclose(filled(stack, 10 * places), 10 * grid, atol=10 * slack, rtol=1e-5)
    if np.abs(places - np.linspace(0, places[-1], len(places))).max() > 0.11 * places[-1] / len(steps):
        assert Remark.UNEVEN_SLICES in stack.remarks


def test_no_slice_is_made_up_in_silence() -> None:
    """A step too short for a gap makes the series uneven; it used to be filled without a word."""
    stack = fit_stack(np.cumsum([0.0, 1.0, 1.6875, 1.0]))
    assert stack.remarks == {Remark.UNEVEN_SLICES}


def test_a_gap_among_uneven_slices_is_named_as_well() -> None:
    stack = fit_stack(np.array([0.0, 1.0, 2.4, 3.4, 4.8, 9.8, 10.8]))
    assert stack.remarks == {Remark.UNEVEN_SLICES, gap_remark(3, 1, 5.0)}


def test_two_slices_are_a_stack_and_slices_far_apart_are_none() -> None:
    assert fit_stack(np.array([40.0, 2.0])).spacing_mm == 38.0
    with pytest.raises(CorruptImageError, match="too far apart"):
        fit_stack(np.array([0.0, 1.0, 2.0, 900.0]))
    with pytest.raises(CorruptImageError, match="too far apart"):
        fit_stack(np.array([-99_999.0, 0.0, 0.002, 0.004, 0.006, 99_999.0]))


def test_each_slice_is_read_once_at_most() -> None:
    asked: list[int] = []
    stack = fit_stack(np.array([9.0, 0.0, 1.0, 2.4, 3.6, 4.6, 6.4]))

    def read(k: int) -> np.ndarray:
        asked.append(k)
        return np.zeros((1, 1), np.float32)

    fill_volume(np.empty((len(stack), 1, 1), np.float32), stack, read)
    assert sorted(asked) == sorted(set(asked))


def test_leaning_slices_are_refused_with_the_angle_and_the_cause() -> None:
    angle = np.deg2rad(12.0)
    leaning = (1.0, 0.0, 0.0, 0.0, np.cos(angle), -np.sin(angle))
    along_z = np.array([[0.0, 0.0, 2.5 * k] for k in (3, 0, 7, 1)])
    with pytest.raises(UnsupportedFormatError, match=r"tilted gantry: its slices lean by 12\.0 degrees"):
        check_straight(along_z, leaning, 0.7, tilt_deg=12.0)
    with pytest.raises(UnsupportedFormatError, match=r"shifted against each other: its slices lean by 12\.0"):
        check_straight(along_z, leaning, 0.7)
    # The tag alone proves nothing: many consoles resample and keep it.
    check_straight(along_z, AXIAL, 0.7, tilt_deg=12.0)


def test_a_shift_of_less_than_a_pixel_is_no_lean() -> None:
    places = np.array([[0.0, 0.0, 0.0], [0.0, 0.6, 2.0], [-0.3, 0.0, 4.0]])
    assert sideways_mm(places, AXIAL) == pytest.approx(0.6)
    check_straight(places, AXIAL, 0.7)
    with pytest.raises(UnsupportedFormatError):
        check_straight(places, AXIAL, 0.5)


def test_the_normal_has_length_one() -> None:
    assert normal_of((1.004, 0, 0, 0, 0, -0.998)).tolist() == [0, 1, 0]


@pytest.mark.parametrize("text", ["", "Zzcanary", gap_remark(1, 1, 2.0) + " Zzcanary", 5, None, ["x"]], ids=str)
def test_only_warnings_of_the_list_are_known(text: object) -> None:
    with pytest.raises(ValueError, match="not on the list"):
        known_remark(text)


@quick
@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0.001, 200_000))
def test_every_gap_is_a_known_warning(missing: int, places: int, largest: float) -> None:
    assert known_remark(gap_remark(missing, places, largest)) == gap_remark(missing, places, largest)
    assert known_remark(str(Remark.CONSTANT)) == Remark.CONSTANT
