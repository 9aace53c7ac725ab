from __future__ import annotations

import numpy as np
import pytest

from whycad.audit.changes.change import Canvas, Change
from whycad.audit.changes.families import apply
from whycad.audit.changes.keep import box_about
from whycad.audit.changes.remove import elsewhere


def with_corners(canvas: Canvas, *corners: tuple[slice, slice]) -> Canvas:
    for corner in corners:
        canvas.study.pixels[corner] = 1.0
    return canvas


TOP_LEFT, TOP_RIGHT = (slice(0, 5), slice(0, 5)), (slice(0, 5), slice(-5, None))
BOTTOM_LEFT, BOTTOM_RIGHT = (slice(-5, None), slice(0, 5)), (slice(-5, None), slice(-5, None))


def middle(shape=(64, 80)):
    mask = np.zeros(shape, bool)
    mask[24:40, 30:50] = True
    return mask


def test_an_artefact_is_filled_from_around_it(canvas):
    one = with_corners(canvas(), TOP_LEFT)
    gone = apply(one, Change("remove", "white_corner"))
    assert gone.study.pixels[TOP_LEFT].max() < 0.95
    assert np.array_equal(gone.study.pixels[~gone.mask], one.study.pixels[~gone.mask])


def test_nothing_is_removed_where_nothing_is_found(canvas):
    assert apply(canvas(), Change("remove", "white_corner")) is None
    assert apply(with_corners(canvas(), TOP_LEFT), Change("remove", "ruler")) is None


@pytest.mark.parametrize("corners", [[TOP_LEFT], [TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT]])
def test_the_control_of_a_removal_keeps_clear_of_the_artefact_and_of_the_finding(canvas, corners):
    one = with_corners(canvas(outline=middle()), *corners)
    change = Change("remove", "white_corner")
    real, sham = apply(one, change), apply(one, change.control)
    assert not (sham.mask & real.mask).any()
    assert not (sham.mask & middle()).any()
    assert sham.mask.sum() >= 0.6 * real.mask.sum()


def test_there_is_no_control_where_there_is_no_room(canvas):
    one = with_corners(canvas(outline=np.ones((64, 80), bool)), TOP_LEFT)
    assert elsewhere(one, one.found[0].mask) is None
    assert apply(one, Change("remove", "white_corner", sham=True)) is None


def test_the_background_alone_holds_nothing_of_the_finding(canvas):
    one = canvas(outline=middle())
    one.study.pixels[middle()] += 0.4
    kept = apply(one, Change("keep", "background"))
    assert kept.mask[middle()].all()
    assert kept.study.pixels[middle()].max() < one.study.pixels[middle()].mean()
    outside = ~box_about(middle())
    assert np.array_equal(kept.study.pixels[outside], one.study.pixels[outside])


@pytest.mark.parametrize("shape", [(64, 80), (64, 80, 3)])
def test_what_hides_the_rest_tells_nothing_of_the_image(canvas, shape):
    for part in ("border", "finding"):
        first, second = (apply(canvas(shape, seed=seed, outline=middle()), Change("keep", part)) for seed in (1, 2))
        assert np.array_equal(first.study.pixels[first.mask], second.study.pixels[second.mask])
        assert not np.array_equal(first.study.pixels, second.study.pixels)


def test_parts_need_an_outline_but_the_border(canvas):
    assert apply(canvas(), Change("keep", "background")) is None
    assert apply(canvas(), Change("keep", "finding")) is None
    assert apply(canvas(), Change("keep", "border")) is not None
    assert apply(canvas(outline=np.ones((64, 80), bool)), Change("keep", "background")) is None


def test_the_border_is_the_plane_of_a_volume(canvas):
    kept = apply(canvas((5, 64, 80)), Change("keep", "border"))
    assert kept.mask[:, 6:-6, 8:-8].all()
    assert not kept.mask[:, :6].any()
