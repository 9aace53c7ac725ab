"""Grad-CAM++ (Chattopadhay 2018), which captum lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions, RawMap, Scope, device_of, input_tensors
from whycad.explain.gradcam import layer_named, map_of_cells
from whycad.explain.gradients import checked_logits, differentiating
from whycad.explain.state import prepared
from whycad.types import ModelInput


class GradCamPlusPlus:
    """Channels of one layer, weighed by positive gradients, each place by its own alpha; positive part.

    References
    ----------
    Chattopadhay et al., Grad-CAM++: generalized gradient-based visual explanations for deep
    convolutional networks, WACV 2018, equations 10, 11 and 19.
    """

    id = "gradcam_pp"
    name = "Grad-CAM++"
    signed = False
    needs_layer = True
    scope: Scope = "member"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one logit; see ``Explainer.explain``."""
        options.check_cancelled()
        image, _ = input_tensors(inputs, device_of(model))
        layer = layer_named(model, options.gradcam_layer)
        with prepared(model), differentiating(self.name):
            features, slopes = features_and_gradients(model, layer, image, target)
        cells = weigh(features, slopes) if features.ndim == image.ndim else features
        raw = map_of_cells(cells, image, options.gradcam_layer)
        options.progress(1.0)
        return raw


def features_and_gradients(model: nn.Module, layer: nn.Module, image: Tensor, target: int) -> tuple[Tensor, Tensor]:
    """Return a layer's output ``(1, K, *cells)`` and the gradient of one logit there.

    Parameters
    ----------
    model : torch.nn.Module
        Prepared, so that the hook goes with it.
    layer : torch.nn.Module
    image : Tensor (1, C, *shape)
    target : int

    Raises
    ------
    ExplanationError
        When the layer does not return one tensor, once.
    """
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or kept:
            raise ExplanationError("Grad-CAM++: the layer returns several tensors")
        kept.append(output)
        if not output.requires_grad:
            output.requires_grad_()
        # A copy goes on, so that what follows cannot overwrite what is kept.
        return output.clone()

    layer.register_forward_hook(keep)
    output = checked_logits(model, target)(image)
    if not kept:
        raise ExplanationError("Grad-CAM++: the model does not use the layer")
    (slopes,) = torch.autograd.grad(output[0, target], kept[0])
    return kept[0].detach(), slopes


def weigh(features: Tensor, slopes: Tensor) -> Tensor:
    """Return the positive part of the channels' weighted sum, ``(1, 1, *cells)``.

    A channel's weight is the sum over places of ``alpha * relu(slope)``, where ``alpha = slope**2 /
    (2 * slope**2 + slope**3 * sum(features))``. The paper derives alpha for features after a ReLU:
    of others only the positive ones are summed, which keeps the denominator positive.

    Parameters
    ----------
    features, slopes : Tensor (1, K, *cells)
    """
    places = tuple(range(2, features.ndim))
    total = features.relu().sum(dim=places, keepdim=True)
    rising = slopes.relu()
    # alpha * slope with slope**2 cancelled; places where the slope is not positive have no weight.
    weights = (rising / (2 + rising * total)).sum(dim=places, keepdim=True)
    return (weights * features).sum(dim=1, keepdim=True).relu()


EXPLAINER = GradCamPlusPlus()
