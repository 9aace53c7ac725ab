"""RISE: the paper's weighted mean, exact for pixels that are masked alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from whycad.errors import ExplanationError
from whycad.explain import METHODS, ExplainOptions
from whycad.explain.rise import SHOWN, SoftMasks, mean_when_seen
from whycad.types import ModelInput

RISE = METHODS["rise"]
CPU = torch.device("cpu")
OPTIONS = ExplainOptions(seed=1, n_samples=200, rise_cells=4, batch_size=16)


def whole(shape):
    return [slice(0, side) for side in shape]


def soft_masks(shape, box=None, options=OPTIONS):
    return SoftMasks(shape, box or whole(shape), options.n_samples, options, CPU)


@pytest.mark.parametrize("shape", [(12, 18), (6, 8, 10)])
def test_masks_are_soft_seen_half_the_time_and_can_be_had_again_in_any_order(shape):
    masks = soft_masks(shape)
    all_ = masks(0, 200)
    assert all_.shape == (200, *shape, 1)
    assert 0 <= float(all_.min()) < float(all_.max()) <= 1
    assert float(all_.mean()) == pytest.approx(SHOWN, abs=0.03)
    assert ((all_ > 0.05) & (all_ < 0.95)).any()
    torch.testing.assert_close(masks(150, 170), all_[150:170])
    assert not torch.equal(soft_masks(shape, options=replace(OPTIONS, seed=2))(0, 9), all_[:9])


def test_outside_the_box_everything_is_seen():
    masks = soft_masks((12, 18), [slice(3, 9), slice(0, 10)])(0, 200)[..., 0]
    assert float(masks[:, :3].min()) == float(masks[:, 9:].min()) == float(masks[..., 10:].min()) == 1.0
    assert float(masks[:, 3:9, :10].mean()) == pytest.approx(SHOWN, abs=0.05)


def test_the_map_is_the_papers_up_to_its_constant_and_the_drawn_coverage():
    """Equation 6 sums score times mask over n times the expected mask."""
    rng = np.random.default_rng(0)
    masks, scores = soft_masks((10, 14)), rng.random((200, 2))
    ours = mean_when_seen(masks, scores, 32)
    every = masks(0, 200)[..., 0].double().numpy()
    paper = np.einsum("nk,nxy->kxy", scores, every) / (200 * SHOWN)
    coverage = every.mean(axis=0) / SHOWN
    np.testing.assert_allclose(ours, paper / coverage - scores.mean(axis=0)[:, None, None], atol=1e-6)


def test_a_pixel_masked_alone_gets_its_share_of_a_linear_score(nets):
    """With cells of one pixel, masks are independent: the map tends to weight x value x (1 - p)."""
    shape = (3, 3)
    array = np.linspace(0.5, 1.0, 9, dtype=np.float32).reshape(1, *shape)
    model = nets.linear((1, *shape)).eval()
    options = ExplainOptions(n_samples=40_000, rise_cells=3, batch_size=5000)
    raw = RISE.explain(model, ModelInput(array, None, 0.0), 1, options)
    weight = model.head.weight[1].detach().numpy().reshape(shape)
    np.testing.assert_allclose(raw.map, weight * array[0] * (1 - SHOWN), atol=3e-3)
    assert raw.parameters == {"samples": 40_000, "cells": "3x3", "shown": 0.5, "fill": "baseline"}


def test_a_score_that_never_changes_gives_an_empty_map(nets, make_inputs):
    inputs = make_inputs((12, 18))
    raw = RISE.explain(nets.smooth().eval(), replace(inputs, baseline=inputs.array), 1, OPTIONS)
    assert np.abs(raw.map).max() < 1e-6


@pytest.mark.parametrize("changes", [{"rise_cells": 0}, {"n_samples": -1}])
def test_nonsense_is_refused(nets, make_inputs, changes):
    with pytest.raises(ExplanationError, match="at least one"):
        RISE.explain(nets.smooth().eval(), make_inputs(), 1, replace(OPTIONS, **changes))
