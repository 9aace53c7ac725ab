"""Inputs in units of the image: exact for an affine preprocessing, and the way back to the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from whycad.testing.planted import SHAPE, grey_study, write_linear
from whycad.testing.plugins import make_study, write_plugin
from whycad.testing.volume_plugins import PATCHES, make_volume
from whycad.types import Geometry, ModelInput, Region
from whycad.whatif.scaling import input_scale, on_image

CPU = torch.device("cpu")


def test_an_affine_preprocessing_is_measured_exactly(tmp_path: Path) -> None:
    study = grey_study(np.random.default_rng(0).random(SHAPE))
    inputs = write_linear(tmp_path, np.ones(SHAPE, np.float32), 0.0).preprocess(study)
    scale = input_scale(study, inputs, (0.0, 1.0), CPU)
    np.testing.assert_allclose(scale.unit.ravel().numpy(), 2.0, rtol=1e-4)
    np.testing.assert_allclose(scale.low.ravel().numpy(), -1.0, atol=1e-3)
    np.testing.assert_allclose(scale.high.ravel().numpy(), 1.0, atol=1e-3)
    assert scale.free.all()


def test_a_change_comes_back_to_the_picture_and_keeps_to_the_range(tmp_path: Path) -> None:
    study = make_study()
    inputs = write_plugin(tmp_path).preprocess(study)
    share = np.full(inputs.array.shape, 0.1, np.float32)
    np.testing.assert_allclose(on_image(study, inputs, share, (0.0, 1.0)), study.pixels + 0.1, atol=1e-5)
    assert on_image(study, inputs, 20 * share, (0.0, 1.0)).max() == 1.0
    outside = replace(study, pixels=study.pixels + 3)
    assert np.array_equal(on_image(outside, inputs, share, (0.0, 1.0)), outside.pixels)


def test_what_lies_outside_of_a_volume_stays_as_it_is(tmp_path: Path) -> None:
    volume, region = make_volume(), Region((1.0, 3.0, 22.0))
    inputs = write_plugin(tmp_path, PATCHES).preprocess(volume, region)
    scale = input_scale(volume, inputs, (0.0, 1.0), CPU)
    assert np.array_equal(scale.free[0].numpy(), inputs.array != -2.0)
    assert 0 < scale.free.float().mean() < 1
    changed = on_image(volume, inputs, np.full(inputs.array.shape, 0.1, np.float32), (0.0, 1.0))
    assert changed.shape == volume.pixels.shape
    assert (changed[6:] == volume.pixels[6:]).all()


def test_a_turned_geometry_is_followed() -> None:
    study = grey_study(np.random.default_rng(0).uniform(0.2, 0.8, SHAPE))
    turned = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 31.0], [0.0, 0.0, 1.0]])
    array = np.rot90(study.pixels, 1).copy()
    inputs = ModelInput((4 * array - 2)[None], Geometry(turned, SHAPE, SHAPE))
    scale = input_scale(study, inputs, (0.0, 1.0), CPU)
    np.testing.assert_allclose(scale.unit.ravel().numpy(), 4.0, rtol=0.02)
    share = np.zeros((1, *SHAPE), np.float32)
    share[0, :4] = 0.1
    change = on_image(study, inputs, share, (0.0, 1.0)) - study.pixels
    assert change[:, -3:].mean() > 0.08
    assert abs(change[:, :20]).max() < 1e-6
