"""SmoothGrad (Smilkov 2017): captum's gradients, averaged over noisy copies of the image.

captum's ``NoiseTunnel`` draws from the process-wide generator, so that two threads would change
each other's maps. The same average is taken here over draws of a generator of its own, in NumPy,
which also makes the draws the same on every device and for every batch size.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from whycad.explain.base import ExplainOptions, RawMap, Scope, device_of, input_tensors
from whycad.explain.gradients import differentiating, mean_over_draws
from whycad.explain.state import prepared
from whycad.types import Fidelity, ModelInput


class SmoothGrad:
    """Magnitude, summed over channels, of the mean gradient of the target's logit around the image.

    It says where a small change would move the output most, not in which direction.

    References
    ----------
    Smilkov et al., SmoothGrad: removing noise by adding noise, arXiv:1706.03825, 2017.
    """

    id = "smoothgrad"
    name = "SmoothGrad"
    signed = False
    needs_layer = False
    scope: Scope = "member"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one logit; see ``Explainer.explain``."""
        image, _ = input_tensors(inputs, device_of(model))
        deviation = noise_deviation(image, options.noise)
        stream = np.random.default_rng(options.seed)

        def draw(start: int, stop: int) -> tuple[Tensor, Tensor]:
            return image + deviation * standard_normal(stream, stop - start, image), torch.ones_like(image)

        with prepared(model), differentiating(self.name):
            mean = mean_over_draws(model, image, draw, target, options)
        return RawMap(
            mean.abs().sum(dim=0).float().cpu().numpy(),
            {"noise": options.noise, "noise_samples": options.noise_samples, "channels": "sum of magnitudes"},
            Fidelity(n_samples=options.noise_samples),
        )


def noise_deviation(image: Tensor, noise: float) -> float:
    """Return the noise's standard deviation, a share of the image's range."""
    return noise * float(image.max() - image.min())


def standard_normal(stream: np.random.Generator, n: int, image: Tensor) -> Tensor:
    """Draw n images ``(n, C, *shape)`` of standard normal noise, the same on every device."""
    values = stream.standard_normal((n, *image.shape[1:]), dtype=np.float32)
    return torch.from_numpy(values).to(image.device)


EXPLAINER = SmoothGrad()
