"""Boundaries and pairs: why at least F2, why this label rather than that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from whycad.errors import ExplanationError
from whycad.explain import METHODS, ExplainOptions, explain
from whycad.explain.ensemble import asked, log_odds, share
from whycad.targets import Contrast

OPTIONS = ExplainOptions(seed=3, gradcam_layer="features", n_samples=200, noise_samples=6)
AT_LEAST_2 = Contrast((2, 3), (0, 1))


class Stages(nn.Module):
    """An ordinal network of four stages: each boundary looks at its own third of the columns.

    ``P(at least k) = sigmoid(4 * brightness of third k - 2)``, cut so that they fall with k.
    """

    def __init__(self, scale: float = 4.0) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 2, 1, bias=False)
        self.scale = scale
        with torch.no_grad():
            self.features.weight.fill_(1 / 3)

    def boundaries(self, x: Tensor) -> Tensor:
        thirds = self.features(x).mean(dim=(1, 2)).unflatten(1, (3, -1)).mean(dim=2)
        steps = nn.functional.softplus(self.scale * (1 - thirds))
        return 3.0 - steps.cumsum(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        above = torch.cat([torch.ones_like(x[:, :1, 0, 0]), self.boundaries(x).sigmoid()], dim=1)
        below = torch.cat([above[:, 1:], torch.zeros_like(above[:, :1])], dim=1)
        return (above - below).log()


def test_the_log_odds_of_a_boundary_are_the_networks_own():
    model, batch = Stages().eval(), torch.rand((5, 3, 6, 12), generator=torch.Generator().manual_seed(0))
    for k in (1, 2, 3):
        boundary = Contrast(tuple(range(k, 4)), tuple(range(k)))
        torch.testing.assert_close(log_odds(model(batch), boundary)[:, 0], model.boundaries(batch)[:, k - 1])
        probability = model(batch).softmax(dim=1)
        torch.testing.assert_close(share(probability, boundary)[:, 0], probability[:, k:].sum(dim=1))


def test_a_pair_is_asked_about_apart_from_all_other_labels():
    logits = torch.tensor([[1.0, 4.0, 2.5]])
    assert float(log_odds(logits, Contrast((0,), (2,)))) == pytest.approx(-1.5)
    assert float(share(logits.softmax(1), Contrast((0,), (2,)))) == pytest.approx(1 / (1 + np.exp(1.5)))
    assert float(share(torch.tensor([[0.0, 1.0, 0.0]]), Contrast((0,), (2,)))) == 0


@pytest.mark.parametrize("method", sorted({*METHODS} - {"gradcam", "gradcam_pp"}))
def test_the_map_of_a_boundary_lies_where_that_boundary_looks(nets, make_inputs, method):
    """P(at least 1) hangs on the first third alone; the label 1 also on the second, against it."""
    ensemble, inputs = nets.ensemble(Stages(), Stages(3.0)), make_inputs((12, 36))
    boundary = explain(method, ensemble, inputs, Contrast((1, 2, 3), (0,)), ">=F1", OPTIONS)
    first, second = (np.abs(boundary.map[:, part]).sum() for part in (slice(0, 24), slice(24, 48)))
    assert boundary.target == ">=F1"
    assert first > 2 * second
    label = explain(method, ensemble, inputs, 1, "F1", OPTIONS)
    assert np.abs(label.map[:, 24:48]).sum() > 1.5 * second


@pytest.mark.parametrize("method", ["ig", "gradient_shap"])
def test_a_boundarys_map_adds_up_to_the_change_in_its_log_odds(make_inputs, nets, method):
    model, inputs = Stages().eval(), make_inputs((12, 36))
    options = ExplainOptions(noise=0.0)
    with asked(model, AT_LEAST_2) as column:
        raw = METHODS[method].explain(model, inputs, column, options)
    with torch.no_grad():
        ends = model.boundaries(torch.from_numpy(np.stack([inputs.array, np.zeros_like(inputs.array)])))
    assert raw.map.sum() == pytest.approx(float(ends[0, 1] - ends[1, 1]), rel=0.01)
    assert model(torch.zeros((1, 3, 6, 12))).shape == (1, 4)


@pytest.mark.parametrize("method", sorted({*METHODS} - {"gradcam", "gradcam_pp", "smoothgrad"}))
def test_of_signed_methods_a_pair_each_way_is_one_map_and_its_opposite(nets, make_inputs, method):
    ensemble, inputs = nets.ensemble(nets.smooth(), nets.smooth(seed=1)), make_inputs((12, 18))
    one, other = (
        explain(method, ensemble, inputs, Contrast((a,), (b,)), f"{a}/{b}", OPTIONS) for a, b in ((0, 2), (2, 0))
    )
    np.testing.assert_allclose(one.map, -other.map, atol=1e-5)
    assert np.abs(one.map).max() > 1e-3
    np.testing.assert_allclose(one.disagreement, other.disagreement, atol=1e-4)


def test_parameters_say_what_was_explained(nets, make_inputs):
    ensemble = nets.ensemble(Stages(), Stages(3.0))
    said = {m: explain(m, ensemble, make_inputs(), AT_LEAST_2, ">=F2", OPTIONS).parameters for m in ("ig", "occlusion")}
    assert said["ig"]["explains"] == "mean over the members' log-odds"
    assert said["occlusion"]["explains"] == "uncalibrated mean share of the probability of the members"


@pytest.mark.parametrize("method", sorted(METHODS))
def test_columns_that_are_not_there_are_refused(nets, make_inputs, method):
    with pytest.raises(ExplanationError, match="no target 4"):
        explain(method, nets.ensemble(Stages()), make_inputs((12, 36)), Contrast((2, 3, 4), (0,)), "x", OPTIONS)


@pytest.mark.parametrize("method", sorted(id_ for id_, one in METHODS.items() if one.scope == "member"))
def test_a_boundary_is_explained_as_a_network_would_be_that_answers_it(make_inputs, method):
    class Direct(Stages):
        def forward(self, x):
            return self.boundaries(x)

    with asked(model := Stages().eval(), AT_LEAST_2) as column:
        ours = METHODS[method].explain(model, make_inputs((12, 36)), column, OPTIONS)
    direct = METHODS[method].explain(Direct().eval(), make_inputs((12, 36)), 1, OPTIONS)
    np.testing.assert_allclose(ours.map, direct.map, rtol=1e-3, atol=1e-6)
    assert np.abs(ours.map).max() > 0


def test_the_hook_goes_after_failures_too():
    model = Stages()
    with pytest.raises(KeyError), asked(model, AT_LEAST_2):
        raise KeyError
    assert not model._forward_hooks
