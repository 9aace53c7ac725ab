"""Artefacts: reproducible, confined to their mask, in the type of the image they came with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from plugins.skin_lesion.artefacts import FIELD_OF_VIEW_MM, KINDS, insert
from whycad.errors import DatasetError


def skin(dtype: type = np.float32, shape: tuple[int, int] = (150, 200)) -> NDArray[np.generic]:
    rng = np.random.default_rng(0)
    image = np.clip(np.array([0.8, 0.6, 0.62]) + rng.normal(0, 0.02, (*shape, 3)), 0, 1)
    return np.rint(image * 255).astype(np.uint8) if dtype == np.uint8 else image.astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_the_type_is_kept_and_nothing_outside_the_mask_changes(kind: str, dtype: type) -> None:
    image = skin(dtype)
    before = image.copy()
    out, mask = insert(image, kind, seed=3)
    assert out.dtype == image.dtype
    assert out.shape == image.shape
    assert mask.dtype == bool
    assert mask.any()
    assert np.array_equal(out[~mask], image[~mask])
    assert np.any(out[mask] != image[mask])
    assert np.array_equal(image, before), "the input was changed"


@given(st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(40, 160), st.integers(40, 160))
@settings(max_examples=40, deadline=None)
def test_any_seed_strength_and_shape_gives_values_in_range(
    kind: str, seed: int, strength: float, height: int, width: int
) -> None:
    image = skin(np.float32, (height, width))
    out, mask = insert(image, kind, seed, strength)
    assert np.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= 1
    assert mask.any()
    assert np.array_equal(out[~mask], image[~mask])


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind: str) -> None:
    image = skin()
    first, again, other = (insert(image, kind, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", KINDS)
def test_more_strength_changes_more(kind: str) -> None:
    image = np.asarray(skin(), np.float64)

    def change(strength: float) -> float:
        marked = [np.asarray(insert(image, kind, seed, strength)[0], np.float64) for seed in range(6)]
        return float(np.mean([np.abs(out - image).mean() for out in marked]))

    assert change(1.0) > 1.15 * change(0.1)


@pytest.mark.parametrize("seed", range(6))
def test_ruler_ticks_are_a_millimetre_apart(seed: int) -> None:
    _, mask = insert(np.full((450, 600, 3), 0.8, np.float32), "ruler", seed)
    parts, n = ndimage.label(mask, structure=np.ones((3, 3)))
    centres = np.array(ndimage.center_of_mass(mask, parts, range(1, n + 1)))
    between = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1)) + 1e9 * np.eye(n)
    assert n > 10
    assert np.median(between.min(axis=1)) == pytest.approx(600 / FIELD_OF_VIEW_MM, abs=3)


@pytest.mark.parametrize(
    ("image", "kind", "strength"),
    [
        (np.zeros((100, 100, 3), np.float32), "sticker", 0.5),
        (np.zeros((100, 100, 3), np.float32), "hair", 1.5),
        (np.zeros((100, 100, 3), np.float32), "hair", float("nan")),
        (np.zeros((100, 100), np.float32), "hair", 0.5),
        (np.zeros((100, 100, 3), np.int16), "hair", 0.5),
        (np.zeros((8, 100, 3), np.float32), "hair", 0.5),
    ],
)
def test_what_cannot_be_done_is_refused(image: NDArray[np.generic], kind: str, strength: float) -> None:
    with pytest.raises(DatasetError, match="artefact"):
        insert(image, kind, 0, strength)
