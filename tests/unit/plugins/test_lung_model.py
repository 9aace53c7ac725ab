"""The nodule network: views count where they are known, and maps add up to the output."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.lung_nodule.concepts import SCALES
from plugins.lung_nodule.grid import MIDDLE, SENTINEL, SHAPE
from plugins.lung_nodule.model import NoduleNet, pooling_weights
from plugins.lung_nodule.placing import CELLS, MAP_SIDE, place, spread_matrix
from plugins.lung_nodule.views import MARGIN, join_scales, planes_of, scales_of, strip_to_plane, volume_known
from whycad.folding import folded


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    model = NoduleNet().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return model


def patch(n=2, seed=0):
    return torch.rand((n, 1, *SHAPE), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def one_slice(patches):
    alone = torch.full_like(patches, SENTINEL)
    alone[:, :, MIDDLE] = patches[:, :, MIDDLE]
    return alone


def test_it_is_small(net):
    assert sum(p.numel() for p in net.parameters()) <= 1_000_000


def test_a_single_slice_gives_one_view_and_a_volume_three():
    x = patch()[:, 0]
    planes, weights = planes_of(one_slice(x[:, None])[:, 0])
    assert planes.shape == (2, 1, 96, 96)
    assert torch.equal(weights, torch.ones(2, 1))
    both = torch.cat([x[:1], one_slice(x[1:, None])[:, 0]])
    planes, weights = planes_of(both)
    assert planes.shape == (2, 3, 96, 96)
    torch.testing.assert_close(weights, torch.tensor([[1 / 3] * 3, [1.0, 0.0, 0.0]]))
    assert volume_known(both).tolist() == [True, False]


def test_views_are_planes_through_the_seed():
    z, y, x = (torch.linspace(-0.9, 0.9, n) for n in SHAPE)
    for axis, values in enumerate((z, y, x)):
        shape = [1, 1, 1, 1]
        shape[axis + 1] = -1
        axial, coronal, sagittal = planes_of(values.view(shape).expand(1, *SHAPE).clone())[0][0]
        rows = slice(MARGIN, 96 - MARGIN)
        along = {0: (None, 0, 0), 1: (0, None, 1), 2: (1, 1, None)}[axis]
        for plane, varies in zip((axial, coronal[rows], sagittal[rows]), along, strict=True):
            if varies is None:
                assert plane.std() < 1e-6
                assert abs(float(plane.mean())) < 1e-6
            else:
                assert plane.std(dim=varies).min() > 0.3
                assert plane.std(dim=1 - varies).max() < 1e-6


def test_a_strip_is_not_known_beyond_its_slices():
    plane = strip_to_plane(torch.zeros(1, SHAPE[0], SHAPE[2]))[0]
    assert (plane[MARGIN:-MARGIN] == 0).all()
    assert (plane[:MARGIN] == SENTINEL).all()
    assert (plane[-MARGIN:] == SENTINEL).all()


def test_the_fine_scale_is_the_centre_and_the_coarse_one_the_whole():
    plane = torch.rand(1, 96, 96)
    fine, coarse = scales_of(plane)
    assert torch.equal(fine[0, 0], plane[0, 24:72, 24:72])
    torch.testing.assert_close(coarse[0, 0, 0, 0], plane[0, :2, :2].mean())
    joined = join_scales(torch.stack([torch.ones(1, 48, 48), torch.zeros(1, 48, 48)]))[0]
    assert joined[24:72, 24:72].min() == 1
    assert joined.sum() == 48 * 48


def test_a_batch_of_both_kinds_gives_what_each_gives_alone(net):
    mixed = torch.cat([one_slice(patch(2)), patch(2, seed=1)])
    with torch.inference_mode():
        together = net(mixed)
        apart = torch.cat([net(mixed[:2]), net(mixed[2:])])
        planes = net.forward_planes(mixed[:2, 0, MIDDLE])[0]["malignancy"]
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[:2], planes, atol=1e-5, rtol=1e-5)


def test_a_volume_is_the_mean_of_its_views(net):
    x = patch(2)
    with torch.inference_mode():
        planes, _ = planes_of(x[:, 0])
        views = torch.stack([net.forward_planes(planes[:, v])[0]["malignancy"] for v in range(3)])
        torch.testing.assert_close(net(x), views.mean(dim=0), atol=1e-5, rtol=1e-5)


def test_flips_of_the_patch_are_flips_of_the_views(net):
    x = patch(1)
    for axis in (-2, -1):
        planes, flipped = (planes_of(p[:, 0])[0] for p in (x, x.flip(axis)))
        assert torch.equal(planes[:, 0].flip(axis), flipped[:, 0])
        turned, kept = (2, 1) if axis == -2 else (1, 2)
        torch.testing.assert_close(planes[:, turned].flip(-1), flipped[:, turned])
        torch.testing.assert_close(planes[:, kept], flipped[:, kept])


def test_the_evidence_maps_hold_what_is_pooled(net):
    kept = {}
    handle = net.evidence.register_forward_hook(lambda _m, _i, out: kept.update(maps=out))
    try:
        with torch.inference_mode():
            x = patch(2)
            net(x)
            planes = planes_of(x[:, 0])[0]
            pooled = [net.encode(planes[:, v])[0].sum(dim=(3, 4)).transpose(0, 1).flatten(1) for v in range(3)]
    finally:
        handle.remove()
    assert kept["maps"].shape[2:] == CELLS
    torch.testing.assert_close(kept["maps"].sum(dim=(2, 3, 4)), torch.cat(pooled, dim=1), atol=1e-5, rtol=1e-4)


def test_the_output_follows_every_known_voxel_of_its_planes(net):
    x = patch(1).requires_grad_()
    net(x)[:, 1].sum().backward()
    slope = x.grad[0, 0].abs()
    assert torch.isfinite(x.grad).all()
    assert (slope[MIDDLE] > 0).float().mean() > 0.9
    assert (slope[:, 47:49] > 0).float().mean() > 0.9
    assert slope[0, 0, 0] == 0


def test_maps_of_a_single_slice_stay_on_its_plane(net):
    kept = {}
    handle = net.evidence.register_forward_hook(lambda _m, _i, out: kept.update(maps=out))
    try:
        with torch.inference_mode():
            net(one_slice(patch(1)))
    finally:
        handle.remove()
    off_plane = kept["maps"].clone()
    off_plane[:, :, CELLS[0] // 2] = 0
    assert float(off_plane.abs().max()) == 0


@given(st.integers(1, 12), st.floats(5, 80), st.integers(1, 12), st.floats(5, 80))
@settings(max_examples=40, deadline=None)
def test_spreading_keeps_every_cell_whole(n_from, from_mm, n_to, to_mm):
    matrix = spread_matrix(n_from, from_mm, n_to, to_mm)
    assert np.allclose(matrix.sum(axis=1), 1)
    assert matrix.min() >= 0
    assert np.allclose(matrix, matrix[::-1, ::-1])


def test_a_fine_cell_lands_where_it_lies():
    maps = torch.zeros(2, 1, 1, 1, MAP_SIDE, MAP_SIDE)
    maps[0, 0, 0, 0, 0, -1] = 1  # top right of the central half
    placed = place(maps)[0, 0]
    assert placed[4, 3, 8] == 1
    assert placed.sum() == 1


def test_pooling_weights_add_up_and_look_where_they_should():
    outline = torch.full((1, 48, 48), -20.0)
    outline[:, 16:32, 16:32] = 20.0
    whole, inside, around = pooling_weights(outline)
    for weight in (whole, inside, around):
        assert float(weight.sum()) == pytest.approx(1.0)
    assert float(inside[0, 0, 4:8, 4:8].sum()) > 0.85
    assert float(around[0, 0, 4:8, 4:8].sum()) < 0.1
    assert float(around[0, 0, 3:9, 3:9].sum()) > 0.8


def test_evidence_holds_distributions_and_a_mask_on_known_planes(net):
    mixed = torch.cat([one_slice(patch(1)), patch(1, seed=1)])
    with torch.inference_mode():
        found = net.forward_evidence(mixed)
    for scale in SCALES:
        shares = found.pop(scale.name)
        assert shares.shape == (2, len(scale.levels))
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))
    mask = found.pop("mask")
    assert not found
    assert mask.shape == (2, *SHAPE)
    assert mask[0, MIDDLE].min() > 0
    assert mask[0].sum() == mask[0, MIDDLE].sum()
    assert mask[1, MIDDLE].min() > 0


def test_norms_fold_into_convolutions(net):
    quick = folded(net, torch.rand((2, 1, *SHAPE), generator=torch.Generator().manual_seed(0)))
    assert quick is not net
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in quick.modules())


class _Painter(NoduleNet):
    """Outlines what is brighter than nothing, so that the walk along the slices can be followed."""

    def _mask(self, planes):
        return (planes > 0).float()


def test_outlining_goes_on_until_the_nodule_ends_and_no_farther():
    x = torch.full((2, *SHAPE), -1.0)
    x[0, MIDDLE - 2 : MIDDLE + 4, 40:50, 40:50] = 1
    x[0, MIDDLE + 6, 40:50, 40:50] = 1
    x[1, :, 40:50, 40:50] = 1
    x[1, :5] = SENTINEL
    found = _Painter().eval().masks(x).amax(dim=(2, 3))
    assert torch.nonzero(found[0])[:, 0].tolist() == list(range(MIDDLE - 2, MIDDLE + 4))
    assert torch.nonzero(found[1])[:, 0].tolist() == list(range(5, SHAPE[0]))
