"""Every method on a volume: on its grid, the same again, and where the model looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from whycad.explain import METHODS, ExplainOptions, explain
from whycad.types import Geometry, ModelInput

SHAPE = (6, 10, 8)
OPTIONS = ExplainOptions(seed=1, gradcam_layer="conv", n_samples=200, noise_samples=6, batch_size=16)


class Half(nn.Module):
    """Label 1 grows with brightness in the first slices, through a convolution; nothing else matters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 1)
        with torch.no_grad():
            self.conv.weight.fill_(0.5)
            self.conv.bias.fill_(0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = torch.tanh(self.conv(x))[:, :, :3].flatten(1).mean(dim=1)
        return torch.stack([torch.zeros_like(seen), 6 * seen - 1], dim=1)


@pytest.fixture
def volume() -> ModelInput:
    rng = np.random.default_rng(0)
    array = (0.5 + 0.5 * rng.random((1, *SHAPE))).astype(np.float32)
    return ModelInput(array, Geometry(np.eye(4), SHAPE, SHAPE), 0.0)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_volume_is_explained_twice_the_same(nets, volume, method):
    ensemble = nets.ensemble(nets.smooth(1, 3, seed=0), nets.smooth(1, 3, seed=1))
    first, second = (explain(method, ensemble, volume, 1, "b", OPTIONS) for _ in range(2))
    assert first.map.shape == first.disagreement.shape == SHAPE
    assert np.abs(first.map).max() > 0
    np.testing.assert_array_equal(first.map, second.map)
    np.testing.assert_array_equal(first.disagreement, second.disagreement)


@pytest.mark.parametrize("method", sorted({*METHODS} - {"gradcam", "gradcam_pp"}))
def test_the_mass_lies_in_the_slices_that_matter(nets, volume, method):
    values = np.clip(explain(method, nets.ensemble(Half()), volume, 1, "b", OPTIONS).map, 0, None)
    assert values[:3].sum() > 0.7 * values.sum()
