"""Filling: only inside the mask, smooth, with noise like that around it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from whycad.errors import GeometryError
from whycad.whatif.inpaint import inpaint, membrane


def disc(shape: tuple[int, ...], radius: float) -> np.ndarray:
    grid = np.indices(shape)
    centre = np.array(shape).reshape(-1, *[1] * len(shape)) / 2
    return np.asarray(((grid - centre) ** 2).sum(axis=0) <= radius**2)


@given(st.integers(0, 500), st.sampled_from([(20, 30), (31, 17, 3), (9, 14, 16)]), st.floats(0.02, 0.5))
@settings(max_examples=25, deadline=None)
def test_nothing_outside_the_mask_changes_and_values_stay_in_range(seed: int, shape: tuple, share: float) -> None:
    rng = np.random.default_rng(seed)
    image = rng.uniform(-3, 5, shape).astype(np.float32)
    spatial = shape if shape[-1] != 3 else shape[:2]
    mask = rng.random(spatial) < share
    before = image.copy()
    filled = inpaint(image, mask, seed)
    assert np.array_equal(image, before)
    assert np.array_equal(filled[~mask], image[~mask])
    assert filled.dtype == np.float32
    assert filled.min() >= image.min() - 1e-5
    assert filled.max() <= image.max() + 1e-5


def test_a_slope_is_carried_on_through_the_hole() -> None:
    rows, columns = np.mgrid[:60, :80].astype(np.float32)
    image = (0.01 * rows + 0.02 * columns)[..., None]
    mask = disc((60, 80), 14)
    hidden = np.where(mask[..., None], 9.0, image).astype(np.float32)
    found = membrane(hidden, ~mask)
    assert np.abs(found - image)[mask].max() < 0.06  # the hole is 0.84 deep from side to side


def test_a_volume_is_filled_too() -> None:
    z = np.mgrid[:16, :24, :24][1].astype(np.float32)
    mask = disc((16, 24, 24), 5)
    filled = inpaint(np.where(mask, 100, z).astype(np.float32), mask)
    assert np.abs(filled - z)[mask].max() < 1.0


@pytest.mark.parametrize("grain", [0.0, 1.2])
def test_the_noise_is_like_that_around_it(grain: float) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(160, 160))
    noise = ndimage.gaussian_filter(noise, grain) if grain else noise
    image = (0.5 + 0.05 * noise / noise.std()).astype(np.float32)
    mask = disc((160, 160), 35)
    filled = inpaint(image, mask)
    inner = ndimage.binary_erosion(mask, iterations=4)
    assert 0.5 < filled[inner].std() / image[inner].std() < 1.3

    def neighbours(values: np.ndarray) -> float:
        both = inner[:, 1:] & inner[:, :-1]
        return float(np.corrcoef(values[:, 1:][both], values[:, :-1][both])[0, 1])

    assert neighbours(filled) == pytest.approx(neighbours(image), abs=0.25)


def test_the_same_seed_gives_the_same_filling() -> None:
    image = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    mask = disc((40, 40), 8)
    assert np.array_equal(inpaint(image, mask, 3), inpaint(image, mask, 3))
    assert not np.array_equal(inpaint(image, mask, 3), inpaint(image, mask, 4))


def test_masks_that_do_not_fit_or_leave_nothing_are_refused() -> None:
    image = np.zeros((10, 10), np.float32)
    with pytest.raises(GeometryError, match="does not fit"):
        inpaint(image, np.zeros((9, 10), bool))
    with pytest.raises(GeometryError, match="nothing is left"):
        inpaint(image, np.ones((10, 10), bool))
    assert np.array_equal(inpaint(image, np.zeros((10, 10), bool)), image)
