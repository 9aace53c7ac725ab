"""Grad-CAM++: the paper's equations, on networks whose gradients are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from whycad.errors import ExplanationError
from whycad.explain import METHODS, ExplainOptions
from whycad.explain.gradcam_pp import features_and_gradients, weigh
from whycad.explain.state import prepared
from whycad.imaging.geometry import resize_geometry
from whycad.types import ModelInput

OPTIONS = ExplainOptions(gradcam_layer="features")


class Pooled(nn.Module):
    """Identity features; the logit is a fixed sum of their means, so every slope is weight / places."""

    def __init__(self, weights: tuple[float, ...]) -> None:
        super().__init__()
        self.features = nn.Identity()
        self.head = nn.Parameter(torch.tensor([[0.0] * len(weights), weights]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.features(x).flatten(2).mean(dim=2) @ self.head.T


def literally(features: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Equations 10, 11 and 19 as they stand, place by place, with Y = exp(S) and its factor left out."""
    cells = np.zeros(features.shape[1:])
    for feature, slope in zip(features, slopes, strict=True):
        weight = 0.0
        for place in np.ndindex(slope.shape):
            bottom = 2 * slope[place] ** 2 + feature.sum() * slope[place] ** 3
            alpha = slope[place] ** 2 / bottom if bottom != 0 else 0.0
            weight += alpha * max(slope[place], 0.0)
        cells += weight * feature
    return np.maximum(cells, 0.0)


def test_weights_follow_the_paper_place_by_place():
    rng = np.random.default_rng(0)
    features, slopes = rng.random((5, 4, 6)), rng.normal(size=(5, 4, 6))
    ours = weigh(torch.from_numpy(features)[None], torch.from_numpy(slopes)[None])
    np.testing.assert_allclose(ours[0, 0].numpy(), literally(features, slopes), rtol=1e-12)


def test_features_below_zero_never_turn_a_weight_round():
    slopes = torch.full((1, 1, 2, 2), 0.5)
    deep = torch.tensor([[[[-9.0, 1.0], [-9.0, -9.0]]]])
    assert (weigh(deep, slopes)[0, 0] > 0).tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("shape", [(8, 12), (4, 6, 5)])
def test_the_map_has_a_closed_form_for_pooled_features(shape):
    weights = (6.0, -3.0, 2.0)
    array = np.random.default_rng(1).random((3, *shape)).astype(np.float32)
    inputs = ModelInput(array, resize_geometry(shape, shape) if len(shape) == 2 else None, 0.0)
    raw = METHODS["gradcam_pp"].explain(Pooled(weights).eval(), inputs, 1, OPTIONS)
    n = np.prod(shape)
    expected = sum(
        n * (w / n) / (2 + w / n * channel.sum()) * channel for w, channel in zip(weights, array, strict=True) if w > 0
    )
    np.testing.assert_allclose(raw.map, expected, rtol=1e-4)
    assert raw.parameters == {"layer": "features", "cells": "x".join(str(side) for side in shape)}


def test_what_follows_in_place_does_not_change_the_kept_features(nets, make_inputs):
    model, image = nets.quadrant().eval(), torch.from_numpy(make_inputs().array - 0.7)[None]
    expected = model.features(image).detach()
    with prepared(model):
        features, slopes = features_and_gradients(model, model.features, image, 1)
    torch.testing.assert_close(features, expected)
    assert features.min() < 0
    assert slopes.shape == features.shape


def test_a_layer_that_is_not_used_or_used_twice_is_refused(nets, make_inputs):
    class Odd(nets.quadrant):
        def __init__(self) -> None:
            super().__init__()
            self.spare = nn.Identity()
            self.twice = nn.Identity()

        def forward(self, x):
            return super().forward(self.twice(self.twice(x)))

    for layer, message in (("spare", "does not use"), ("twice", "several")):
        with pytest.raises(ExplanationError, match=message):
            METHODS["gradcam_pp"].explain(Odd().eval(), make_inputs(), 1, replace(OPTIONS, gradcam_layer=layer))
