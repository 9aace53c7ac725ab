"""Occlusion: captum's map, window by window, in few passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.errors import ExplanationError
from whycad.explain import METHODS, ExplainOptions
from whycad.explain.occlusion import fitted_window, window_covers
from whycad.imaging.geometry import resize_geometry
from whycad.types import ModelInput

OCCLUSION = METHODS["occlusion"]


@settings(max_examples=15, deadline=None)
@given(rows=st.integers(9, 20), columns=st.integers(9, 20), window=st.integers(2, 6), data=st.data())
def test_the_map_is_captums(nets, rows, columns, window, data):
    """Where windows tile the image exactly; elsewhere captum shifts its last windows differently."""
    from captum.attr import Occlusion

    stride = data.draw(st.integers(1, window))
    rows, columns = (window + stride * ((n - window) // stride) for n in (rows, columns))
    array = np.random.default_rng(rows).normal(size=(3, rows, columns)).astype(np.float32)
    model = nets.linear((3, rows, columns)).eval()
    inputs = ModelInput(array, resize_geometry((rows, columns), (rows, columns)), 0.3)
    ours = OCCLUSION.explain(model, inputs, 1, ExplainOptions(occlusion_window=window, occlusion_stride=stride))
    with torch.no_grad():
        theirs = Occlusion(model).attribute(
            torch.from_numpy(array)[None], (3, window, window), (3, stride, stride), baselines=0.3, target=1
        )
    np.testing.assert_allclose(ours.map, theirs[0, 0].numpy(), atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=3), st.data())
def test_windows_cover_every_pixel_and_lie_inside(shape, data):
    asked = data.draw(st.integers(0, min(shape)))
    options = ExplainOptions(occlusion_window=asked, occlusion_stride=data.draw(st.integers(0, asked)))
    window, stride = fitted_window(shape, options)
    assert not asked or set(window) == {asked}
    around = [(data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in shape]
    box = [slice(before, before + n) for n, (before, _) in zip(shape, around, strict=True)]
    whole = [before + n + after for n, (before, after) in zip(shape, around, strict=True)]
    covers = window_covers(whole, box, window, stride)
    for cover, side, width, part in zip(covers, whole, window, box, strict=True):
        assert cover.shape[1] == side
        assert (cover.sum(axis=1) == width).all()
        assert cover[:, part].any(axis=0).all()
        assert not cover[:, : part.start].any()
        assert not cover[:, part.stop :].any()


@pytest.mark.parametrize(
    ("shape", "window", "stride"),
    [
        ((28, 28), (4, 4), (2, 2)),
        ((64, 64), (9, 9), (4, 4)),
        ((112, 144), (16, 16), (8, 8)),
        ((32, 32, 32), (5, 5, 5), (5, 5, 5)),
        ((17, 96, 96), (2, 14, 14), (2, 14, 14)),
        ((1, 96, 96), (1, 14, 14), (1, 14, 14)),
    ],
)
def test_the_window_fits_the_resolution(shape, window, stride):
    assert fitted_window(shape, ExplainOptions()) == (window, stride)


@pytest.mark.parametrize(
    "bad", [{"occlusion_window": 99}, {"occlusion_window": 4, "occlusion_stride": 5}, {"occlusion_window": -1}]
)
def test_windows_that_do_not_tile_are_refused(bad):
    with pytest.raises(ExplanationError, match="does not tile"):
        fitted_window((32, 48), ExplainOptions(**bad))


def test_passes_are_batched(nets, make_inputs):
    """One pass per batch, and one image per window beside the whole image."""
    sizes = []
    model = nets.quadrant().eval()
    model.register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
    raw = OCCLUSION.explain(model, make_inputs(), 1, ExplainOptions(batch_size=50))
    assert raw.fidelity.n_samples == sum(sizes)
    assert sizes[:-1] == [50] * (len(sizes) - 1)


def test_a_volume_is_occluded_in_blocks():
    class Corner(torch.nn.Module):
        def forward(self, x):
            seen = x[:, 0, :4, :4, 8:].mean(dim=(1, 2, 3))
            return torch.stack([-seen, seen], dim=1)

    array = np.ones((1, 8, 8, 12), np.float32)
    inputs = ModelInput(array, resize_geometry((8, 8, 12), (8, 8, 12)))
    raw = OCCLUSION.explain(Corner(), inputs, 1, ExplainOptions(occlusion_window=4))
    assert raw.map[:4, :4, 8:].min() == pytest.approx(1.0)
    assert np.abs(raw.map).sum() == pytest.approx(64.0)


def test_what_is_absent_is_not_hidden_and_costs_no_pass():
    """Only the middle slice is there: its windows are scored, and the map is 0 elsewhere."""
    array = np.full((1, 9, 14, 14), -2.0, np.float32)
    array[:, 4] = 1.0
    baseline = np.where(array == -2.0, array, np.float32(0.0))

    class Middle(torch.nn.Module):
        def forward(self, x):
            assert (x[:, :, [0, 3, 5, 8]] == -2).all(), "an absent slice was changed"
            seen = x[:, 0, 4, :7, :7].mean(dim=(1, 2))
            return torch.stack([-seen, seen], dim=1)

    inputs = ModelInput(array, resize_geometry((1, 14, 14), (9, 14, 14)), baseline)
    raw = OCCLUSION.explain(Middle(), inputs, 1, ExplainOptions())
    assert raw.fidelity.n_samples == 50
    assert raw.parameters["window"] == "1x2x2"
    assert not np.delete(raw.map, 4, axis=0).any()
    assert raw.map[4, :6, :6].min() > 0
    assert not raw.map[4, 8:, 8:].any()
