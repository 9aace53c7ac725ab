"""Batch norms folded into the convolutions before them, ReLUs in place: the same function in fewer passes.

Which convolution feeds which norm is seen in a traced run, not guessed from names, so that any
plain module works. The copy is compared with the original after each step, and the step dropped
if they differ.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-2
FUNCTIONS = ("forward", "forward_features", "forward_with_features", "forward_evidence")
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def folded(model: nn.Module, example: Tensor) -> nn.Module:
    """Return a folded copy of a model in eval mode, or the model itself where folding does not pay.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode, float32.
    example : Tensor
        An input batch on which the copy must agree with the model within ``TOLERANCE`` of the
        largest output (or of 1).

    Returns
    -------
    torch.nn.Module
        Shares no parameters with the model, unless it is the model.
    """
    pairs, activations = _traced(model, example)
    if not pairs:
        return model
    copied = copy.deepcopy(model)
    for conv_name, norm_name in pairs:
        conv, norm = copied.get_submodule(conv_name), copied.get_submodule(norm_name)
        _replace(copied, conv_name, fuse_conv_bn_eval(conv, norm))  # type: ignore[type-var, arg-type]
        _replace(copied, norm_name, nn.Identity())
    if not agree(model, copied, example):
        return model
    in_place = copy.deepcopy(copied)
    for name in activations:
        _replace(in_place, name, nn.ReLU(inplace=True))
    return in_place if agree(model, in_place, example) else copied


def agree(model: nn.Module, other: nn.Module, example: Tensor) -> bool:
    """Tell whether two models give the same outputs (features and evidence too, if any) within the tolerance."""
    functions = [name for name in FUNCTIONS if hasattr(model, name)]
    with torch.no_grad():
        pairs = [(getattr(model, name)(example), getattr(other, name)(example)) for name in functions]
    return all(_close(expected, actual) for expected, actual in pairs)


def same_gradients(model: nn.Module, other: nn.Module, example: Tensor) -> bool:
    """Tell whether the summed logits of two models have the same gradient at an input batch.

    A unit that rounding turns on or off changes a few gradients a little, so their whole is compared, within
    ``GRADIENT_TOLERANCE``. A model that cannot be differentiated has none.
    """
    try:
        expected, actual = (_gradient(one, example) for one in (model, other))
    except RuntimeError:
        return False
    return float((expected - actual).norm()) <= GRADIENT_TOLERANCE * float(expected.norm())


def _gradient(model: nn.Module, example: Tensor) -> Tensor:
    leaf = example.detach().clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(model(leaf).sum(), leaf)[0]


def _close(expected: object, actual: object) -> bool:
    if isinstance(expected, tuple) and isinstance(actual, tuple):
        return len(expected) == len(actual) and all(map(_close, expected, actual))
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return expected.keys() == actual.keys() and all(_close(expected[name], actual[name]) for name in expected)
    if not isinstance(expected, Tensor) or not isinstance(actual, Tensor) or expected.shape != actual.shape:
        return False
    bound = TOLERANCE * max(1.0, float(expected.abs().max()))
    return float((expected - actual).abs().max()) <= bound


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _traced(model: nn.Module, example: Tensor) -> tuple[list[tuple[str, str]], list[str]]:
    """Run the model once; list the norms whose input is the very output of a convolution, and the ReLUs after either.

    Only modules that are called once count.
    """
    made_by: dict[int, str] = {}
    outputs: list[Tensor] = []  # kept alive, so that an id names one tensor
    calls: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []
    activations: list[str] = []

    def after(name: str, output: Tensor) -> None:
        calls[name] += 1
        outputs.append(output)
        made_by[id(output)] = name

    def before_norm(name: str, source: Tensor) -> None:
        if isinstance(model.get_submodule(made_by.get(id(source), "")), _CONVOLUTIONS):
            pairs.append((made_by[id(source)], name))

    def before_relu(name: str, source: Tensor) -> None:
        calls[name] += 1
        if id(source) in made_by:
            activations.append(name)

    handles = []
    for name, module in model.named_modules():
        is_norm = isinstance(module, _NORMS) and module.running_mean is not None
        if is_norm:
            handles.append(module.register_forward_pre_hook(lambda _m, args, name=name: before_norm(name, args[0])))
        if is_norm or isinstance(module, _CONVOLUTIONS):
            handles.append(module.register_forward_hook(lambda _m, _i, out, name=name: after(name, out)))
        elif type(module) is nn.ReLU:
            handles.append(module.register_forward_pre_hook(lambda _m, args, name=name: before_relu(name, args[0])))
    try:
        with torch.no_grad():
            model(example)
    finally:
        for handle in handles:
            handle.remove()
    used = Counter(name for pair in pairs for name in pair)
    once = [pair for pair in pairs if all(calls[name] == 1 and used[name] == 1 for name in pair)]
    return once, [name for name in activations if calls[name] == 1]
