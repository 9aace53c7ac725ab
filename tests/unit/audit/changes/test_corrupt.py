from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from whycad.audit.changes.change import Change
from whycad.audit.changes.corrupt import CORRUPTIONS, STRENGTHS, middle_of
from whycad.audit.changes.families import apply
from whycad.types import Region

SHAPES = [(64, 80), (64, 80, 3), (3, 64, 80)]


def spot(canvas, *places):
    canvas.study.pixels[:] = 0.2
    for place in places:
        canvas.study.pixels[place] = 0.9
    return canvas


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [kind for kind in CORRUPTIONS if kind != "crop"])
def test_every_corruption_grows_with_its_strength_and_keeps_the_shape(canvas, shape, kind):
    one = canvas(shape)
    # Slow waves, which every corruption changes more and more.
    rows, columns = np.mgrid[:64, :80] / 20
    waves = 0.5 + 0.2 * np.sin(3 * rows + 1) * np.cos(3 * columns) + 0.1 * np.sin(rows)
    one.study.pixels[:] = waves[..., None] if one.study.is_colour else waves
    sizes = []
    for strength in STRENGTHS:
        changed = apply(one, Change("corrupt", kind, strength))
        assert changed.study.pixels.shape == one.study.pixels.shape
        assert changed.study.pixels.dtype == np.float32
        assert np.isfinite(changed.study.pixels).all()
        sizes.append(float(np.abs(changed.study.pixels - one.study.pixels).mean()))
    assert sizes[0] > 0
    assert sizes == sorted(sizes)


def test_slices_of_a_volume_are_not_mixed(canvas):
    one = canvas((3, 64, 80))
    one.study.pixels[:] = 0.3
    one.study.pixels[1, 20:40, 20:60] = 0.8
    for kind in ("blur", "motion", "resolution", "rotation"):
        changed = apply(one, Change("corrupt", kind, 5))
        assert np.ptp(changed.study.pixels[0]) < 1e-5, kind
        assert np.ptp(changed.study.pixels[1]) > 0.1, kind


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_crop_moves_the_region_with_the_picture(canvas, strength):
    one = spot(canvas(region=Region((50.0, 70.0))), (50, 70))
    changed = apply(one, Change("corrupt", "crop", strength))
    row, column = (int(part) for part in changed.region.start)
    assert changed.study.pixels[row, column] == pytest.approx(0.9)
    assert changed.study.pixels.shape < one.study.pixels.shape


def test_a_crop_of_a_volume_keeps_its_slices_and_the_box(canvas):
    one = canvas((3, 64, 80), region=Region((1.0, 20.0, 30.0), (2.0, 30.0, 40.0)))
    changed = apply(one, Change("corrupt", "crop", 5))
    assert changed.study.pixels.shape == (3, 38, 48)
    size = np.subtract(changed.region.stop, changed.region.start)
    assert size.tolist() == [1.0, 10.0, 10.0]


def test_a_rotation_turns_about_the_region(canvas):
    region = Region((20.0, 30.0))
    one = spot(canvas(region=region), (slice(19, 22), slice(29, 32)))
    changed = apply(one, Change("corrupt", "rotation", 5))
    assert changed.study.pixels[20, 30] == pytest.approx(0.9, abs=0.02)
    assert middle_of(one).tolist() == [20.0, 30.0]


def test_noise_of_a_ct_is_in_hounsfield_units(canvas):
    one = canvas()
    pixels = np.full((64, 80), -400.0, np.float32)
    spec = one.plugin.manifest.input.model_copy(update={"value_range": (-1000.0, 400.0)})
    manifest = one.plugin.manifest.model_copy(update={"input": spec})
    ct = replace(one, study=replace(one.study, pixels=pixels, unit="HU"), plugin=replace(one.plugin, manifest=manifest))
    noisy = apply(ct, Change("corrupt", "noise", 2)).study.pixels
    assert noisy.std() == pytest.approx(30, rel=0.05)
