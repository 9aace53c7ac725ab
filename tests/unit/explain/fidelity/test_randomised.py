"""Weights drawn anew from the output on: the original stays, seeds fix the draw, stages go down to the input."""

import copy

import pytest
import torch

from whycad.explain.fidelity.randomised import cascade, layers_with_weights
from whycad.testing.tiny_net import TinyNet


def changed(before, after):
    return [not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True)]


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = TinyNet().eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0.5)
    net.layer1[1].running_mean.fill_(3)
    return net


def test_stages_change_the_output_first_and_everything_in_the_end(net):
    before = copy.deepcopy(net)
    seen = [changed(net, after) for after in cascade(net, (0.2, 0.6, 1.0), seed=1)]
    assert seen[0] == [False] * 6 + [True] * 2
    assert seen[1] == [False] * 3 + [True] * 5
    assert all(seen[2])
    assert not any(changed(before, net))
    assert float(net.layer1[1].running_mean[0]) == 3


def test_seeds_fix_the_weights_and_the_global_stream_is_left_alone(net):
    state = torch.get_rng_state()
    one, same, other = (next(iter(cascade(net, (1.0,), seed))) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(changed(one, same))
    assert changed(one, other)[0]
    assert float(one.layer1[1].running_mean[0]) == 0
    assert not one.training


def test_layers_are_those_that_own_parameters(net):
    names = {module: name for name, module in net.named_modules()}
    assert [names[m] for m in layers_with_weights(net)] == ["stem.0", "stem.1", "layer1.0", "layer1.1", "head"]
