"""Model-randomisation test (Adebayo 2018): weights are drawn anew from the output towards the input."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


def cascade(model: nn.Module, shares: tuple[float, ...], seed: int) -> Iterator[nn.Module]:
    """Yield a copy of a network whose last layers, by share of all, have new weights.

    Draws do not touch torch's global stream, so that threads do not disturb each other.

    Parameters
    ----------
    model : torch.nn.Module
        Stays as it is.
    shares : tuple of float
        0..1, rising: how many of the layers with weights are randomised, from the output on. 1 is all.
    seed : int

    Yields
    ------
    torch.nn.Module
        In eval mode. The same copy each time, with more of it randomised.

    References
    ----------
    Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018.
    """
    changed = copy.deepcopy(model).eval()
    layers = layers_with_weights(changed)[::-1]
    stream = torch.Generator().manual_seed(seed)
    done = 0
    for share in shares:
        wanted = ceil(share * len(layers))
        for layer in layers[done:wanted]:
            draw_anew(layer, stream)
        done = max(done, wanted)
        yield changed


def layers_with_weights(model: nn.Module) -> list[nn.Module]:
    """Return the modules that own parameters, in the order in which they were registered: input first."""
    return [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]


def draw_anew(layer: nn.Module, stream: torch.Generator) -> None:
    """Give one layer the weights that torch starts training with.

    Weights and biases are uniform within one over the root of the inputs; normalisation is undone.
    """
    tables = dict(layer.named_parameters(recurse=False))
    fans = [parameter[0].numel() for parameter in tables.values() if parameter.ndim >= 2]
    with torch.no_grad():
        for name, parameter in tables.items():
            if fans:
                bound = max(fans) ** -0.5
                drawn = torch.rand(parameter.shape, generator=stream) * (2 * bound) - bound
            else:
                drawn = _neutral(name, parameter)
            parameter.copy_(drawn)
    if isinstance(layer, _NormBase):
        layer.reset_running_stats()


def _neutral(name: str, parameter: Tensor) -> Tensor:
    """Return scales of one and shifts of zero."""
    return torch.zeros(parameter.shape) if name.endswith("bias") else torch.ones(parameter.shape)
