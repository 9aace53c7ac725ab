"""Mass of a map inside an outline: shares of planted maps, and where it lies in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycad.map_mass import covered, mass_inside


def square(side=40, start=10, stop=30):
    mask = np.zeros((side, side), bool)
    mask[start:stop, start:stop] = True
    return mask


def test_an_even_map_has_the_share_of_the_area():
    found = mass_inside(np.ones((40, 40), np.float32), square())
    assert found.share == pytest.approx(0.25)
    assert found.area_share == pytest.approx(0.25)
    assert found.place == ""


def test_what_speaks_against_does_not_count():
    values = np.where(square(), 1, -5).astype(np.float32)
    assert mass_inside(values, square()).share == 1


def test_the_peak_is_told_from_the_rest():
    values = np.full((40, 40), 0.2, np.float32)
    values[0:4, 0:4] = 1
    found = mass_inside(values, square())
    assert found.peak_share == 0
    assert found.share > 0.2


def test_the_area_is_that_of_the_patch_which_the_network_saw():
    values = np.zeros((40, 40), np.float32)
    values[10:30, 10:20] = 1
    found = mass_inside(values, square())
    assert found.area_share == 1


def test_what_other_maps_cover_was_seen_too():
    values, other = np.zeros((40, 40), np.float32), np.ones((40, 40), np.float32)
    values[10:30, 10:20] = 1
    assert covered(values) == (slice(10, 30), slice(10, 20))
    assert mass_inside(values, square(), covered(values, other)).area_share == pytest.approx(0.25)
    assert covered(np.zeros((4, 4), np.float32)) is None


def test_an_outline_that_the_network_did_not_see_holds_nothing():
    values = np.zeros((40, 40), np.float32)
    values[:5] = 1
    found = mass_inside(values, square())
    assert (found.share, found.area_share, found.place) == (0, 0, "")


@pytest.mark.parametrize(
    ("rows", "columns", "place"),
    [
        (slice(10, 13), slice(14, 26), "at its upper edge"),
        (slice(27, 30), slice(14, 26), "at its lower edge"),
        (slice(14, 26), slice(10, 13), "at its left edge"),
        (slice(14, 26), slice(27, 30), "at its right edge"),
        (slice(18, 22), slice(18, 22), "in its middle"),
    ],
)
def test_most_of_the_mass_has_a_place(rows, columns, place):
    values = np.zeros((40, 40), np.float32)
    values[rows, columns] = 1
    assert mass_inside(values, square()).place == place


def test_in_a_volume_the_slice_with_most_mass_is_looked_at():
    mask = np.stack([square()] * 3)
    values = np.zeros(mask.shape, np.float32)
    values[2, 10:13, 14:26] = 1
    assert mass_inside(values, mask).place == "at its upper edge"


@pytest.mark.parametrize(("values", "mask"), [(np.zeros((9, 9)), np.ones((9, 9))), (np.ones((9, 9)), np.zeros((9, 9)))])
def test_an_empty_map_or_outline_says_nothing(values, mask):
    assert mass_inside(values.astype(np.float32), mask.astype(bool)) is None


@given(st.integers(0, 1000))
def test_shares_are_shares_and_complements(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(12, 12)).astype(np.float32)
    mask = rng.random((12, 12)) < 0.5
    inside, outside = mass_inside(values, mask), mass_inside(values, ~mask)
    assert inside.share + outside.share == pytest.approx(1)
    assert inside.peak_share + outside.peak_share == pytest.approx(1)
    assert 0 <= inside.share <= 1
