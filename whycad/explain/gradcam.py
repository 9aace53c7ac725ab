"""Grad-CAM (Selvaraju 2017) through captum."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from whycad.batching import fitted_batch
from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions, RawMap, Scope, device_of, input_tensors
from whycad.explain.gradients import checked_logits, differentiating
from whycad.explain.state import prepared
from whycad.types import ModelInput

INTERPOLATION = {2: "bilinear", 3: "trilinear"}


class GradCam:
    """Channels of one layer, weighed by the mean gradient of the target's logit; positive part.

    References
    ----------
    Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based
    localization, ICCV 2017.
    """

    id = "gradcam"
    name = "Grad-CAM"
    signed = False
    needs_layer = True
    scope: Scope = "member"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one logit; see ``Explainer.explain``."""
        image, _ = input_tensors(inputs, device_of(model))
        cells = cells_of(model, image, (target,), options)
        raw = map_of_cells(cells, image, options.gradcam_layer)
        options.progress(1.0)
        return raw


def cells_of(model: nn.Module, images: Tensor, targets: Sequence[int], options: ExplainOptions) -> Tensor:
    """Return the Grad-CAM of many images, one logit each, for little more than their forward passes.

    Parameters
    ----------
    model : torch.nn.Module
        ``(n, C, *shape)`` to ``(n, k)``.
    images : Tensor (n, C, *shape)
    targets : sequence of int
        One per image.
    options : ExplainOptions
        ``gradcam_layer``, ``batch_size``, ``cancelled``.

    Returns
    -------
    Tensor (n, 1, *cells)
        On the layer's own grid, not negative.

    Raises
    ------
    ExplanationError
        When the model has no such layer, or its output is not one tensor per image.
    """
    layer = layer_named(model, options.gradcam_layer)
    size = options.batch_size or fitted_batch(images.shape[2:], images.device, model)
    cells = []
    with prepared(model):
        layer.register_forward_hook(_start_of_the_graph)
        for start in range(0, len(images), size):
            options.check_cancelled()
            part = slice(start, start + size)
            cells.append(_attribute(model, layer, images[part], list(targets[part])))
    return torch.cat(cells)


def _start_of_the_graph(_module: nn.Module, _inputs: object, output: object) -> object:
    """Let autograd follow the network from the layer on only; what lies before it is a plain forward pass."""
    # The copy is not a leaf, so that what follows may work in place.
    return output.detach().requires_grad_().clone() if isinstance(output, Tensor) else output


def map_of_cells(cells: Tensor, image: Tensor, layer: str) -> RawMap:
    """Enlarge a map of a layer's cells to the image.

    Parameters
    ----------
    cells : Tensor (1, 1, *cells)
    image : Tensor (1, C, *shape)
    layer : str
        The layer's name, for the parameters and the error.

    Raises
    ------
    ExplanationError
        When the layer's output has no places.
    """
    d = image.ndim - 2
    if cells.ndim != d + 2 or cells.shape[:2] != (1, 1):
        raise ExplanationError(
            f"Grad-CAM: the output of layer {layer!r} is not an image of features",
            remedy="name a convolutional layer as gradcam_layer in plugin.toml",
        )
    grown = F.interpolate(cells, tuple(image.shape[2:]), mode=INTERPOLATION[d], align_corners=False)
    return RawMap(
        grown[0, 0].float().cpu().numpy(), {"layer": layer, "cells": "x".join(str(n) for n in cells.shape[2:])}
    )


def layer_named(model: nn.Module, name: str) -> nn.Module:
    """Return the submodule with a dotted name.

    Raises
    ------
    ExplanationError
        When the name is empty or the model has no such module.
    """
    try:
        if name:
            return model.get_submodule(name)
    except AttributeError:
        pass
    raise ExplanationError(
        f"Grad-CAM: the model has no layer {name[:64]!r}", remedy="set explain.gradcam_layer in plugin.toml"
    )


def _attribute(model: nn.Module, layer: nn.Module, images: Tensor, targets: list[int]) -> Tensor:
    from captum.attr import LayerGradCam

    logits = checked_logits(model, max(targets))

    def apart_from_the_input(batch: Tensor) -> Tensor:
        return logits(batch.detach())

    with differentiating("Grad-CAM"):
        cells = LayerGradCam(apart_from_the_input, layer).attribute(images, targets, relu_attributions=True)
    if not isinstance(cells, Tensor):
        raise ExplanationError("Grad-CAM: the layer returns several tensors")
    return cells.detach()


EXPLAINER = GradCam()
