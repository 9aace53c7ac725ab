from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from whycad.audit.changes.change import Change
from whycad.audit.changes.families import apply
from whycad.audit.changes.insert import insertable, inserted_words
from whycad.errors import PluginError
from whycad.manifest import load_manifest

SHAPES = [(64, 80), (64, 80, 3), (5, 64, 80)]
LOCAL = ("burned_in_text", "white_corner", "padding", "dark_corner", "patches", "table_edge", "hair", "ink", "ruler")
GLOBAL = ("scanner_noise", "scanner_blur", "kernel_sharpen")


def difference(canvas, changed):
    return changed.study.pixels - canvas.study.pixels


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", LOCAL)
def test_an_artefact_changes_its_mask_alone_and_its_control_the_same_pixels(canvas, shape, kind):
    one = canvas(shape)
    real, sham = (apply(one, change) for change in (Change("insert", kind), Change("insert", kind).control))
    assert np.array_equal(real.mask, sham.mask)
    assert 0 < real.share < 0.5
    for changed in (real, sham):
        assert not difference(one, changed)[~changed.mask].any()
        assert difference(one, changed)[changed.mask].any()
        assert changed.study.sha256 != one.study.sha256


@pytest.mark.parametrize("kind", ["white_corner", "table_edge", "scanner_noise", "scanner_blur"])
def test_the_control_has_the_contrast_of_the_artefact(canvas, kind):
    one = canvas((64, 80))
    wide = replace(one, study=replace(one.study, unit="stored"))
    sizes = [
        np.sqrt(np.mean(difference(wide, apply(wide, change)) ** 2))
        for change in (Change("insert", kind), Change("insert", kind).control)
    ]
    # Values that would leave the image's range are cut off.
    assert sizes[1] == pytest.approx(sizes[0], rel=0.35)


@pytest.mark.parametrize("kind", GLOBAL)
def test_what_lies_all_over_the_image_is_moved_for_the_control(canvas, kind):
    one = canvas((64, 80))
    real, sham = (difference(one, apply(one, Change("insert", kind, sham=sham))) for sham in (False, True))
    assert not np.allclose(real, sham)
    # The ends are cut off where they leave the image's range.
    shares = np.linspace(0.1, 0.9, 9)
    assert np.quantile(real, shares) == pytest.approx(np.quantile(sham, shares), abs=0.02)


def test_the_same_seed_draws_the_same_and_another_case_something_else(canvas):
    change = Change("insert", "burned_in_text")
    first, again, other = (apply(canvas((64, 80), seed=seed), change) for seed in (1, 1, 2))
    assert np.array_equal(first.study.pixels, again.study.pixels)
    assert not np.array_equal(first.mask, other.mask)


def test_an_even_image_gets_noise_for_a_control(canvas):
    one = canvas((64, 80))
    even = replace(one, study=replace(one.study, pixels=np.full((64, 80), 0.4, np.float32)))
    sham = apply(even, Change("insert", "white_corner", sham=True))
    assert difference(even, sham)[sham.mask].std() > 0.1


def test_every_slice_of_a_volume_gets_the_same_artefact(canvas):
    found = apply(canvas((5, 64, 80)), Change("insert", "white_corner"))
    assert all(np.array_equal(found.mask[0], mask) for mask in found.mask)


def test_a_task_gets_the_artefacts_of_its_kind(repo, grey_task, colour_task):
    assert set(insertable(grey_task.manifest)) == {"burned_in_text", "white_corner", "padding", *GLOBAL}
    assert "dark_corner" in insertable(colour_task.manifest)
    lung = insertable(load_manifest(repo / "plugins" / "lung_nodule"))
    assert "table_edge" in lung
    skin = insertable(load_manifest(repo / "plugins" / "skin_lesion"))
    assert skin[:7] == ("dark_corner", "hair", "gel_border", "gel_bubble", "ruler", "ink", "patches")
    assert all(inserted_words(kind) != kind or kind in ("hair", "ink") for kind in (*lung, *skin))


def test_what_a_manifest_names_is_drawn_by_the_core_where_the_plugin_draws_nothing(colour_task):
    named = colour_task.manifest.model_copy(
        update={"audit": colour_task.manifest.audit.model_copy(update={"artefacts": ("ruler", "hair", "moustache")})}
    )
    assert not {"ruler", "hair", "ink"} & set(insertable(colour_task.manifest))
    assert insertable(named)[:2] == ("ruler", "hair")
    assert "moustache" not in insertable(named)


@pytest.mark.parametrize("sham", [False, True])
def test_an_artefact_that_is_there_already_is_not_inserted(canvas, sham):
    one, change = canvas((64, 80)), Change("insert", "white_corner", sham=sham)
    white = replace(one, study=replace(one.study, pixels=np.ones((64, 80), np.float32)))
    assert apply(one, change) is not None
    assert apply(white, change) is None


def test_an_unknown_artefact_is_named(canvas):
    with pytest.raises(PluginError, match="nothing draws the artefact 'moustache'"):
        apply(canvas(), Change("insert", "moustache"))
