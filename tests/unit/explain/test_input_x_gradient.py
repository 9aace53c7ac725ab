"""Input x gradient: exact on linear networks, the same as by hand on others."""

from __future__ import annotations

import numpy as np
import torch

from whycad.explain import METHODS, ExplainOptions

METHOD = METHODS["input_x_gradient"]


def test_on_a_linear_net_the_map_is_weight_times_input(nets, make_inputs):
    model, inputs = nets.linear((3, 12, 18)).eval(), make_inputs((12, 18), baseline=0.4)
    raw = METHOD.explain(model, inputs, 1, ExplainOptions())
    weight = model.head.weight[1].detach().numpy().reshape(3, 12, 18)
    np.testing.assert_allclose(raw.map, (weight * inputs.array).sum(axis=0), atol=1e-5)


def test_on_a_curved_net_it_is_autograds_gradient_times_the_input(nets, make_inputs):
    model, inputs = nets.smooth().eval(), make_inputs((12, 18))
    image = torch.from_numpy(inputs.array)[None].requires_grad_()
    (slopes,) = torch.autograd.grad(model(image)[0, 2], image)
    raw = METHOD.explain(model, inputs, 2, ExplainOptions())
    np.testing.assert_allclose(raw.map, (image * slopes)[0].sum(dim=0).detach().numpy(), atol=1e-6)
