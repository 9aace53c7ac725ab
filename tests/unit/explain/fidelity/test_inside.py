"""Mass inside an outline, against the same map shifted; outlines on the model's grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycad.explain.fidelity.inside import inside, mask_on_model_grid
from whycad.imaging.geometry import resize_geometry

WHOLE = (slice(0, 16), slice(0, 24))


def square(row, column):
    mask = np.zeros((16, 24), bool)
    mask[row : row + 4, column : column + 6] = True
    return mask


def test_a_map_on_its_outline_has_all_its_mass_there_and_shifted_none():
    found = inside(square(4, 6).astype(np.float32), square(4, 6), WHOLE)
    assert (found.mass, found.peak) == (1, 1)
    assert (found.mass_shifted, found.peak_shifted) == (0, 0)
    assert found.area == pytest.approx(24 / 384)


@given(st.integers(0, 2**32 - 1))
def test_a_flat_map_has_the_outlines_share_of_mass_wherever_it_is_shifted(seed):
    mask = np.random.default_rng(seed).random((16, 24)) < 0.3
    if not mask.any():
        return
    found = inside(np.ones((16, 24), np.float32), mask, WHOLE)
    assert found.mass == pytest.approx(found.area)
    assert found.mass_shifted == pytest.approx(found.area)


def test_only_positive_mass_counts_and_an_empty_map_or_outline_has_no_answer():
    values = np.where(square(4, 6), 1, -5).astype(np.float32)
    assert inside(values, square(4, 6), WHOLE).mass == 1
    assert inside(-np.ones((16, 24), np.float32), square(4, 6), WHOLE) is None
    assert inside(values, np.zeros((16, 24), bool), WHOLE) is None


def test_an_outline_is_looked_up_at_the_models_pixel_centres():
    mask = np.zeros((32, 48), bool)
    mask[8:16, 12:24] = True
    found = mask_on_model_grid(mask, resize_geometry((32, 48), (16, 24)))
    assert np.array_equal(np.argwhere(found).min(axis=0), [4, 6])
    assert found.sum() == mask.sum() / 4
    beyond = mask_on_model_grid(mask, resize_geometry((32, 48), (16, 24), (-32.0, -48.0, 32.0, 48.0)))
    assert not beyond[:8].any()
    assert beyond.sum() == pytest.approx(mask.sum() / 16, abs=4)
