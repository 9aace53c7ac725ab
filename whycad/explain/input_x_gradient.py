"""Input times gradient (Shrikumar 2016) through captum."""

from __future__ import annotations

from torch import Tensor, nn

from whycad.explain.base import ExplainOptions, RawMap, Scope, device_of, input_tensors
from whycad.explain.gradients import checked_logits, differentiating
from whycad.explain.state import prepared
from whycad.types import Fidelity, ModelInput


class InputXGradient:
    """The network's input times the gradient of the target's logit, summed over channels.

    The input is the normalised one that the network gets: a pixel at its zero has no weight,
    whatever the baseline is.

    References
    ----------
    Shrikumar et al., Not just a black box: learning important features through propagating
    activation differences, arXiv:1605.01713, 2016.
    """

    id = "input_x_gradient"
    name = "Input x gradient"
    signed = True
    needs_layer = False
    scope: Scope = "member"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one logit; see ``Explainer.explain``."""
        from captum.attr import InputXGradient as CaptumInputXGradient

        options.check_cancelled()
        image, _ = input_tensors(inputs, device_of(model))
        with prepared(model), differentiating(self.name):
            values: Tensor = CaptumInputXGradient(checked_logits(model, target)).attribute(
                image.requires_grad_(), target
            )
        options.progress(1.0)
        return RawMap(
            values.detach()[0].sum(dim=0).float().cpu().numpy(), {"times": "network input"}, Fidelity(n_samples=1)
        )


EXPLAINER = InputXGradient()
