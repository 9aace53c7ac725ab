"""Integrated gradients: exact on linear networks, complete on others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from whycad.explain import METHODS, ExplainOptions, explain
from whycad.explain.integrated_gradients import evenly
from whycad.imaging.geometry import resize_geometry
from whycad.types import ModelInput

IG = METHODS["ig"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), steps=st.integers(1, 60), batch=st.integers(1, 64), target=st.integers(0, 2))
def test_on_a_linear_net_the_map_is_weight_times_difference(nets, seed, steps, batch, target):
    rng = np.random.default_rng(seed)
    shape = (3, 12, 18)
    array, baseline = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    model = nets.linear(shape, seed=seed).eval()
    inputs = ModelInput(array, resize_geometry(shape[1:], shape[1:]), baseline)
    raw = IG.explain(model, inputs, target, ExplainOptions(ig_steps=steps, batch_size=batch))
    weight = model.head.weight[target].detach().numpy().reshape(shape)
    np.testing.assert_allclose(raw.map, (weight * (array - baseline)).sum(axis=0), atol=2e-5)


class Smooth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(3 * self.conv(x)).mean(dim=(2, 3)) * 5)


def test_the_map_adds_up_to_the_change_in_output_and_says_how_well(make_inputs):
    inputs = make_inputs(baseline=0.1)
    model = Smooth().eval()
    with torch.no_grad():
        pair = torch.from_numpy(np.stack([inputs.array, np.full_like(inputs.array, 0.1)]))
        change = float(np.subtract(*model(pair)[:, 1].numpy()))
    fine = IG.explain(model, inputs, 1, ExplainOptions(ig_steps=50))
    assert fine.map.sum() == pytest.approx(change, rel=1e-3)
    assert abs(fine.fidelity.convergence_delta) < 1e-3
    assert fine.output_change == pytest.approx(change, rel=1e-4)
    assert fine.fidelity.remarks == ()
    coarse = IG.explain(model, inputs, 1, ExplainOptions(ig_steps=1))
    relative = (coarse.map.sum() - change) / abs(change)
    assert coarse.fidelity.convergence_delta == pytest.approx(relative, rel=1e-3)
    assert abs(relative) > 0.05
    assert "only to within" in coarse.fidelity.remarks[0]


def test_the_joint_delta_is_that_of_the_members_weighed_by_their_change(nets, make_inputs):
    members = (Smooth().eval(), nets.quadrant())
    options = ExplainOptions(ig_steps=1)
    raws = [IG.explain(member, make_inputs(), 1, options) for member in members]
    joint = explain("ig", nets.ensemble(*members), make_inputs(), 1, "mel", options).fidelity.convergence_delta
    deltas = [abs(raw.fidelity.convergence_delta) for raw in raws]
    changes = [abs(raw.output_change) for raw in raws]
    assert joint == pytest.approx(np.average(deltas, weights=changes))


def test_an_input_at_its_baseline_has_an_empty_map_and_a_finite_delta(nets, make_inputs):
    inputs = make_inputs()
    raw = IG.explain(nets.quadrant().eval(), replace(inputs, baseline=inputs.array), 1, ExplainOptions())
    assert np.abs(raw.map).max() == 0
    assert raw.fidelity.convergence_delta == 0


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_on_a_curved_net_it_is_captums_default_call(nets, d, batch):
    from captum.attr import IntegratedGradients

    model, shape = nets.smooth(d=d).eval(), (6, 8, 10)[:d]
    array = np.random.default_rng(d).random((3, *shape)).astype(np.float32)
    inputs = ModelInput(array, resize_geometry(shape, shape), 0.25)
    raw = METHODS["ig"].explain(model, inputs, 2, ExplainOptions(ig_steps=20, batch_size=batch))
    theirs = IntegratedGradients(model).attribute(torch.from_numpy(array)[None], 0.25, target=2, n_steps=20)
    np.testing.assert_allclose(raw.map, theirs.detach().sum(dim=1)[0].float().numpy(), atol=1e-6)


@given(n=st.integers(1, 300), size=st.integers(1, 64))
def test_passes_are_of_one_size_near_the_one_asked_for(n, size):
    even = evenly(n, size)
    passes = -(-n // even)
    assert passes * even - n < passes
    assert even <= max(1.5 * size + 1, 1) or n <= 1.5 * size
