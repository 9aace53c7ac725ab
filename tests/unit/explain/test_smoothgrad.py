"""SmoothGrad: captum's average, over draws of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import NoiseTunnel, Saliency

from whycad.errors import ExplanationError
from whycad.explain import METHODS, ExplainOptions

SMOOTHGRAD = METHODS["smoothgrad"]
OPTIONS = ExplainOptions(seed=4, noise=0.2, noise_samples=7, batch_size=3)


def test_it_is_captums_noise_tunnel_over_the_same_noise(nets, make_inputs, monkeypatch):
    model, inputs = nets.smooth().eval(), make_inputs((12, 18))
    image = torch.from_numpy(inputs.array)[None]
    noise = np.random.default_rng(4).standard_normal((7, *inputs.array.shape), dtype=np.float32)
    monkeypatch.setattr(torch, "normal", lambda _mean, deviation: deviation * torch.from_numpy(noise))
    spread = 0.2 * float(inputs.array.max() - inputs.array.min())
    theirs = NoiseTunnel(Saliency(model)).attribute(
        image.requires_grad_(), nt_samples=7, stdevs=spread, target=1, abs=False
    )
    ours = SMOOTHGRAD.explain(model, inputs, 1, OPTIONS)
    np.testing.assert_allclose(ours.map, theirs[0].abs().sum(dim=0).detach().numpy(), rtol=1e-4, atol=1e-7)
    assert ours.parameters == {"noise": 0.2, "noise_samples": 7, "channels": "sum of magnitudes"}


def test_the_draws_do_not_depend_on_the_chunks_but_on_the_seed(nets, make_inputs):
    def made(**changes):
        return SMOOTHGRAD.explain(nets.smooth().eval(), make_inputs((12, 18)), 1, replace(OPTIONS, **changes)).map

    np.testing.assert_allclose(made(batch_size=7), made(batch_size=1), atol=1e-6)
    assert np.abs(made() - made(seed=5)).max() > 1e-4


def test_without_noise_it_is_the_gradient(nets, make_inputs):
    model = nets.linear((3, 12, 18)).eval()
    raw = SMOOTHGRAD.explain(model, make_inputs((12, 18)), 2, replace(OPTIONS, noise=0.0))
    expected = model.head.weight[2].detach().abs().reshape(3, 12, 18).sum(dim=0)
    np.testing.assert_allclose(raw.map, expected.numpy(), rtol=1e-5)


@pytest.mark.parametrize("method", ["smoothgrad", "gradient_shap"])
def test_no_draws_are_refused(nets, make_inputs, method):
    with pytest.raises(ExplanationError, match="0 draws are too few"):
        METHODS[method].explain(nets.smooth().eval(), make_inputs(), 1, replace(OPTIONS, noise_samples=0))
