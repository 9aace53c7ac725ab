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


@pytest.mark.gpu
@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("d", [2, 3])
def test_on_a_gpu_the_map_is_that_of_the_cpu(nets, make_inputs, volume, method, d):
    """The random draws are made in NumPy, so that they are the same on every device."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    inputs, channels = (make_inputs((12, 18)), 3) if d == 2 else (volume, 1)
    on_cpu = nets.ensemble(*(nets.smooth(channels, d, seed=seed) for seed in range(2)))
    on_gpu = nets.ensemble(*(nets.smooth(channels, d, seed=seed).cuda() for seed in range(2)))
    on_gpu.device = torch.device("cuda")
    one, other = (explain(method, ensemble, inputs, 1, "b", OPTIONS) for ensemble in (on_cpu, on_gpu))
    scale = float(np.abs(one.map).max())
    np.testing.assert_allclose(other.map / scale, one.map / scale, atol=1e-2)
    assert other.parameters == one.parameters
