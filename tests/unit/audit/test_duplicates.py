"""Copies are found after the changes that copies suffer; look-alikes are not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from whycad.audit.data.facts import DETAIL
from whycad.audit.duplicates import (
    LEAST_FINE,
    SURE_FINE,
    DuplicatePair,
    clusters_of,
    exact_pairs,
    fine_threshold,
    near_pairs,
)

SIDE = 240


def picture(seed: int, shape_seed: int = 0) -> np.ndarray:
    """Draw a dark blob (its shape from ``shape_seed``) on textured skin."""
    generator, shape = np.random.default_rng(seed), np.random.default_rng(shape_seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    radius = shape.uniform(0.15, 0.25)
    blob = 1 / (1 + np.exp((np.hypot(rows * shape.uniform(0.7, 1.3), columns) - radius) * 40))
    texture = gaussian_filter(generator.normal(size=(SIDE, SIDE)), 5)
    grey = 190 - 110 * blob + 90 * texture / texture.std() * 0.12
    return np.clip(grey, 0, 255).astype(np.uint8)


def detail(grey: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(grey).resize((DETAIL, DETAIL), Image.Resampling.BOX))


CHANGES = {
    "scaled down and up": lambda p: np.asarray(Image.fromarray(p).resize((130, 130)).resize((SIDE, SIDE))),
    "brighter": lambda p: np.clip(p * 0.8 + 40, 0, 255).astype(np.uint8),
    "turned a quarter": lambda p: np.rot90(p).copy(),
    "upside down": lambda p: np.rot90(p, 2).copy(),
    "mirrored": lambda p: p[:, ::-1].copy(),
    "mirrored and turned": lambda p: np.rot90(p[:, ::-1]).copy(),
    "cropped a little": lambda p: p[18:-18, 18:-18].copy(),
    "cropped more": lambda p: p[36:-36, 36:-36].copy(),
    "shifted": lambda p: np.roll(p, (6, -8), (0, 1)),
    "noisy": lambda p: np.clip(p + np.random.default_rng(0).normal(0, 6, p.shape), 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def others() -> list[np.ndarray]:
    return [detail(picture(seed, seed % 5)) for seed in range(20, 32)]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_changed_copy_is_found_and_nothing_else(change: str, others: list[np.ndarray]) -> None:
    original = picture(1)
    details = np.stack([detail(original), *others, detail(CHANGES[change](original))])
    found = near_pairs(details)
    assert [(pair.first, pair.second) for pair in found] == [(0, len(details) - 1)]
    assert not found[0].exact


def test_blobs_of_one_shape_on_different_skin_are_not_the_same_picture() -> None:
    details = np.stack([detail(picture(seed, 0)) for seed in range(16)])
    assert near_pairs(details) == []


def test_constant_pictures_are_not_compared() -> None:
    assert near_pairs(np.full((5, DETAIL, DETAIL), 128, np.uint8)) == []


def test_same_content_is_a_pair_with_the_first_and_unknown_content_is_none() -> None:
    found = exact_pairs(np.array(["a", "", "b", "a", "", "a"]))
    assert [(pair.first, pair.second) for pair in found] == [(0, 3), (0, 5)]
    assert all(pair.exact for pair in found)


def test_linked_rows_share_a_cluster() -> None:
    found = clusters_of([DuplicatePair(0, 2, 1, True), DuplicatePair(2, 4, 1, True)], 5)
    assert found[0] == found[2] == found[4]
    assert len(set(found.tolist())) == 3


def test_the_threshold_rises_where_all_candidates_resemble_and_never_hides_copies() -> None:
    generator = np.random.default_rng(0)
    skin, scans = generator.normal(0.2, 0.05, 500), generator.normal(0.35, 0.11, 500)
    assert fine_threshold(skin) == LEAST_FINE
    assert LEAST_FINE < fine_threshold(scans) <= SURE_FINE
    assert fine_threshold(np.r_[scans, np.ones(200)]) <= SURE_FINE
    assert fine_threshold(np.r_[skin, np.ones(200)]) == pytest.approx(LEAST_FINE, abs=0.05)
    assert fine_threshold(np.array([0.1, 0.99])) == LEAST_FINE
