"""Shape and colours of planted lesions: what is symmetric is, and turning or enlarging changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.skin_lesion.colours import CENTRES, SKIN_LIGHTNESS, lesion_colours, measure_colours
from plugins.skin_lesion.shape import border_of, folded, outline_length

SIDE = 160


def blob(radius=50.0, lobes=0, depth=0.0, stretch=1.0, turn=0.0):
    """A lesion whose radius swings ``lobes`` times by ``depth``, stretched along one axis and turned."""
    y, x = (np.indices((SIDE, SIDE)) - (SIDE - 1) / 2).astype(float)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    angle = np.arctan2(across * stretch, along)
    return np.hypot(along, across * stretch) <= radius * (1 + depth * np.cos(lobes * angle))


def plain(mask):
    return np.zeros((*mask.shape, 3), np.float32)


@pytest.mark.parametrize("mask", [blob(), blob(stretch=1.6), blob(stretch=1.6, turn=0.5), blob(lobes=4, depth=0.2)])
def test_what_mirrors_itself_over_both_axes_has_no_asymmetry(mask):
    assert folded(mask, plain(mask)).shape < 0.025


@given(turn=st.floats(0, np.pi))
@settings(max_examples=8, deadline=None)
def test_an_ellipse_has_none_whichever_way_it_lies(turn):
    mask = blob(stretch=1.5, turn=turn)
    assert folded(mask, plain(mask)).shape < 0.04
    assert border_of(mask).irregularity < 0.03


def test_half_a_lesion_is_asymmetric_over_one_axis_only():
    mask = blob()
    mask[:, : SIDE // 2] = False
    half = folded(mask, plain(mask)).shape
    assert 0.03 < half < 0.25
    lump = blob(30.0)
    lump[40:60, 70:75] = True
    lump[60:75, 100:130] = True
    assert folded(lump, plain(lump)).shape > folded(blob(30.0), plain(lump)).shape + 0.03


@given(turn=st.floats(0, np.pi), radius=st.floats(30, 52))
@settings(max_examples=8, deadline=None)
def test_turning_and_enlarging_change_little(turn, radius):
    first, second = blob(50, 3, 0.2), blob(radius, 3, 0.2, turn=turn)
    assert folded(second, plain(second)).shape == pytest.approx(folded(first, plain(first)).shape, abs=0.04)
    assert border_of(second).irregularity == pytest.approx(border_of(first).irregularity, abs=0.05)
    assert border_of(second).indentation == pytest.approx(border_of(first).indentation, abs=0.03)


def test_a_star_is_more_irregular_than_a_disc_and_the_more_the_deeper():
    measures = [border_of(blob(45, 7, depth)) for depth in (0.0, 0.1, 0.2, 0.3)]
    irregular = [m.irregularity for m in measures]
    assert irregular == sorted(irregular)
    assert irregular[0] < 0.02 < 0.3 < irregular[-1]
    assert measures[0].indentation < 0.03 < 0.2 < measures[-1].indentation


def test_the_length_of_a_disc_is_its_circumference():
    assert outline_length(blob(50)) == pytest.approx(2 * np.pi * 50, rel=0.02)


def test_colour_that_lies_on_one_side_is_asymmetric_in_colour_alone():
    mask = blob()
    lab = plain(mask)
    lab[: SIDE // 2, :, 0] = 30
    found = folded(mask, lab)
    assert found.shape < 0.025
    assert found.colour == pytest.approx(15, abs=2)
    assert folded(mask, plain(mask)).colour == 0


def painted(colours, mask):
    """A skin-coloured image whose lesion has stripes of some of the six colours."""
    from skimage.color import lab2rgb

    lab = np.empty((*mask.shape, 3))
    lab[...] = (SKIN_LIGHTNESS, 14, 14)
    names = np.array([CENTRES[name] for name in colours])
    lab[mask] = names[(np.arange(mask.sum()) * len(names)) // mask.sum()]
    return lab2rgb(lab).astype(np.float32)


@pytest.mark.parametrize(
    "colours", [("red",), ("light brown", "dark brown"), ("dark brown", "blue-grey", "black"), tuple(CENTRES)]
)
def test_the_colours_that_are_there_are_counted(colours):
    mask = blob()
    found = measure_colours(lesion_colours(painted(colours, mask), mask), mask)
    assert set(found.present) == set(colours)
    assert (found.variegation < 1) == (len(colours) == 1)


def test_the_light_of_the_picture_is_taken_out():
    mask = blob()
    pixels = painted(("dark brown", "black"), mask)
    darker = measure_colours(lesion_colours(pixels * 0.85, mask), mask)
    assert darker.present == ("dark brown", "black")


def test_without_skin_in_sight_colours_stay_as_they_are():
    mask = np.ones((SIDE, SIDE), bool)
    assert lesion_colours(painted(("red",), mask), mask).skin is None
