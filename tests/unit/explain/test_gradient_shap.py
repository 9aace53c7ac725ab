"""GradientSHAP: exact on linear networks, captum's average over the same draws, complete in expectation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import GradientShap

from whycad.explain import METHODS, ExplainOptions
from whycad.explain.gradient_shap import Draws

SHAP = METHODS["gradient_shap"]
OPTIONS = ExplainOptions(seed=2, noise=0.1, noise_samples=9, batch_size=4)


def test_on_a_linear_net_with_one_baseline_the_map_is_weight_times_difference(nets, make_inputs):
    model, inputs = nets.linear((3, 12, 18)).eval(), make_inputs((12, 18), baseline=0.3)
    raw = SHAP.explain(model, inputs, 1, replace(OPTIONS, noise=0.0))
    weight = model.head.weight[1].detach().numpy().reshape(3, 12, 18)
    np.testing.assert_allclose(raw.map, (weight * (inputs.array - 0.3)).sum(axis=0), atol=1e-5)
    assert abs(raw.fidelity.convergence_delta) < 1e-4


def test_it_is_captums_average_over_the_same_baselines_and_points(nets, make_inputs, monkeypatch):
    model, inputs = nets.smooth().eval(), make_inputs((12, 18))
    image = torch.from_numpy(inputs.array)[None]
    points, differences = Draws(model, image, torch.zeros_like(image), 1, OPTIONS)(0, 9)
    baselines = image - differences
    places = ((points - baselines) / differences).flatten(1).median(dim=1).values
    # captum draws which baseline, then how far along the line; no noise on the image.
    monkeypatch.setattr(np.random, "choice", lambda _n, size: np.arange(size))
    monkeypatch.setattr(np.random, "uniform", lambda _low, _high, _n: places.numpy().astype(np.float64))
    theirs = GradientShap(model).attribute(image.requires_grad_(), baselines, n_samples=9, target=1)
    ours = SHAP.explain(model, inputs, 1, OPTIONS)
    np.testing.assert_allclose(ours.map, theirs[0].sum(dim=0).detach().numpy(), rtol=1e-3, atol=1e-6)


def test_baselines_are_scattered_about_the_inputs_own_and_points_lie_in_their_strata(nets, make_inputs):
    image = torch.from_numpy(make_inputs((24, 24)).array)[None]
    points, differences = Draws(nets.smooth().eval(), image, torch.full_like(image, 0.3), 1, OPTIONS)(0, 9)
    scatter = image - differences - 0.3
    assert float(scatter.mean()) == pytest.approx(0.0, abs=2e-3)
    assert float(scatter.std()) == pytest.approx(0.1 * float(image.max() - image.min()), rel=0.05)
    places = (1 - (image - points) / differences).flatten(1).median(dim=1).values
    assert (places * 9).floor().tolist() == list(range(9))


def test_the_map_adds_up_and_says_how_nearly(nets, make_inputs):
    model, inputs = nets.smooth().eval(), make_inputs((12, 18))
    many = SHAP.explain(model, inputs, 1, replace(OPTIONS, noise_samples=200))
    assert many.map.sum() == pytest.approx(many.output_change, rel=0.02)
    few = SHAP.explain(model, inputs, 1, replace(OPTIONS, noise_samples=1))
    delta = (few.map.sum() - few.output_change) / abs(few.output_change)
    assert few.fidelity.convergence_delta == pytest.approx(delta, rel=1e-3)
    assert abs(delta) > abs(many.fidelity.convergence_delta)


def test_the_draws_do_not_depend_on_the_chunks(nets, make_inputs):
    maps = [
        SHAP.explain(nets.smooth().eval(), make_inputs((12, 18)), 1, replace(OPTIONS, batch_size=n)).map for n in (1, 9)
    ]
    np.testing.assert_allclose(*maps, atol=1e-6)
