"""Training views: the click wanders, strips are cut whatever the nodule, grey stays grey."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plugins.lung_nodule.augment import (
    AugmentConfig,
    Slices,
    as_strip,
    augment,
    draw_heights,
    draw_shifts,
    draw_turns,
    normalise,
    sample_planes,
)
from plugins.lung_nodule.grid import MIDDLE, SENTINEL
from plugins.lung_nodule.preprocess import preprocess
from whycad.types import Region, Study


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def slices(n=4, seed=0, side=128):
    rng = np.random.default_rng(seed)
    hu = torch.from_numpy(rng.normal(-700, 200, (n, 128, 128)).astype(np.float32))
    hu = torch.nn.functional.avg_pool2d(hu[:, None], 5, 1, 2)[:, 0]
    mask = torch.zeros(n, 128, 128)
    mask[:, 58:70, 58:70] = 1
    return Slices(hu, mask, torch.full((n,), side), torch.full((n,), 0.7), torch.full((n, 2), (side - 1) / 2))


def test_an_untouched_view_is_what_serves():
    one = slices(1)
    hu, _, known = sample_planes(one, torch.eye(2)[None], torch.zeros(1, 2))
    study = Study(one.hu[0].numpy(), "CT", "0" * 64, "HU", (0.7, 0.7))
    served = preprocess(study, Region((63.5, 63.5))).array[0, MIDDLE]
    np.testing.assert_allclose(normalise(hu, known)[0].numpy(), served, atol=2e-3)


def test_turning_the_view_turns_the_picture():
    one = slices(1)
    quarter = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]])
    straight, turned = (sample_planes(one, turn, torch.zeros(1, 2))[0] for turn in (torch.eye(2)[None], quarter))
    torch.testing.assert_close(turned[0], torch.rot90(straight[0], -1), atol=1e-2, rtol=1e-3)


def test_a_shift_is_in_millimetres():
    one = slices(1)
    mask = sample_planes(one, torch.eye(2)[None], torch.tensor([[3.0, 0.0]]))[1][0]
    rows = torch.nonzero(mask.sum(dim=1) > 0)
    assert float(rows.float().mean()) == pytest.approx(47.5 - 3.0 / 0.6, abs=0.5)


def test_clicks_wander_by_no_more_than_they_may():
    far = draw_shifts(4000, 0.0, 3.0, generator()).norm(dim=1)
    assert 2.9 < far.max() <= 3.0
    assert float((far < 1.5).float().mean()) == pytest.approx(0.25, abs=0.03)
    ring = draw_shifts(1000, 12.0, 28.0, generator()).norm(dim=1)
    assert ring.min() >= 12
    assert ring.max() <= 28


def test_turns_keep_size_within_bounds_and_mirror_half():
    turns = draw_turns(2000, 0.06, generator())
    area = torch.linalg.det(turns)
    assert area.abs().min() >= np.exp(-0.12) - 1e-5
    assert area.abs().max() <= np.exp(0.12) + 1e-5
    assert 0.4 < float((area < 0).float().mean()) < 0.6


def test_strip_heights_are_odd_and_within_bounds():
    heights = draw_heights(4000, AugmentConfig(), generator())
    assert sorted(set(heights.tolist())) == [17, 19, 21, 23, 25]


def test_a_strip_is_known_as_high_as_it_was_cut():
    strips = as_strip(torch.zeros(2, 96, 96), torch.tensor([17, 25]), generator())
    known = (strips > SENTINEL + 0.5).any(dim=2)
    assert known.sum(dim=1).tolist() == [44, 66]
    assert known[0, 48 - 22 : 48 + 22].all()


def test_how_high_a_strip_is_has_nothing_to_do_with_the_nodule():
    """Known extent after augmentation, for small and for large nodules from the same stream."""
    config = AugmentConfig(strips=1.0, elsewhere=0.0)
    heights = []
    for size in (4, 40):
        batch = slices(64)
        batch.mask[:] = 0
        batch.mask[:, 64 - size // 2 : 64 + size // 2, 64 - size // 2 : 64 + size // 2] = 1
        views = augment(batch, config, generator(3))
        heights.append(views.known.any(dim=2).sum(dim=1))
    assert torch.equal(*heights)
    assert len(set(heights[0].tolist())) > 3


def test_slices_of_stacks_are_never_made_strips():
    config = AugmentConfig(strips=1.0, elsewhere=0.0)
    views = augment(slices(16, side=48), config, generator())
    assert views.known.any(dim=2).sum(dim=1).float().mean() > 60


def test_values_stay_in_range_and_unknown_ones_are_marked():
    views = augment(slices(32), AugmentConfig(strips=0.0), generator())
    known = views.planes[views.known]
    assert known.min() >= -1
    assert known.max() <= 1
    assert (views.planes[~views.known] == SENTINEL).float().mean() > 0.99
    assert 0 < float(views.centred.float().mean()) <= 1


def test_the_seed_decides():
    first, again, other = (augment(slices(), AugmentConfig(), generator(s)).planes for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
