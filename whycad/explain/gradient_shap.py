"""GradientSHAP (Erion 2021; Lundberg 2017): captum's gradients at random points between baselines and image.

captum's ``GradientShap`` draws from process-wide generators; here the draws come from one of the
method's own, as in ``smoothgrad``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from whycad.explain.base import ExplainOptions, RawMap, Scope, check_target, device_of, input_tensors
from whycad.explain.gradients import delta_remarks, differentiating, mean_over_draws, relative_delta
from whycad.explain.smoothgrad import noise_deviation, standard_normal
from whycad.explain.state import prepared
from whycad.types import Fidelity, ModelInput


class GradientShap:
    """Expected gradients of the target's logit, times image less baseline, summed over channels.

    The distribution of baselines is the input's own baseline plus Gaussian noise, independent in
    every pixel and channel, whose standard deviation is ``options.noise`` times the image's range;
    noise of 0 leaves the one baseline. Each draw is one baseline and one point on the straight
    line from it to the image. The points' places are stratified: draw i of n lies within the i-th
    n-th of the line. In expectation the map adds up to the output at the image less the mean
    output over the baselines; how nearly it does is its convergence delta.

    References
    ----------
    Lundberg and Lee, A unified approach to interpreting model predictions, NeurIPS 2017.
    Erion et al., Improving performance of deep learning models with axiomatic attribution priors
    and expected gradients, Nature Machine Intelligence 2021.
    """

    id = "gradient_shap"
    name = "GradientSHAP"
    signed = True
    needs_layer = False
    scope: Scope = "member"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one logit; see ``Explainer.explain``."""
        image, baseline = input_tensors(inputs, device_of(model))
        with prepared(model), differentiating(self.name):
            draws = Draws(model, image, baseline, target, options)
            mean = mean_over_draws(model, image, draws, target, options)
            with torch.no_grad():
                change = float(model(image)[0, target]) - draws.total / options.noise_samples
        delta = relative_delta(float(mean.sum()), change)
        return RawMap(
            mean.sum(dim=0).float().cpu().numpy(),
            {
                "noise": options.noise,
                "noise_samples": options.noise_samples,
                "baselines": "the input's baseline plus Gaussian noise",
                "points": "stratified",
            },
            Fidelity(convergence_delta=delta, n_samples=options.noise_samples, remarks=delta_remarks(delta)),
            output_change=change,
        )


class Draws:
    """Points between random baselines and the image, and the differences; sums the baselines' outputs up."""

    def __init__(self, model: nn.Module, image: Tensor, baseline: Tensor, target: int, options: ExplainOptions) -> None:
        self._model, self._image, self._baseline, self._target = model, image, baseline, target
        self._deviation, self._n = noise_deviation(image, options.noise), options.noise_samples
        # Two streams, so that the draws do not depend on the size of the chunks.
        self._places, self._noise = (np.random.default_rng(s) for s in np.random.SeedSequence(options.seed).spawn(2))
        self.total = 0.0

    def __call__(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return points and differences, both ``(stop - start, C, *shape)``."""
        baselines = self._baseline + self._deviation * standard_normal(self._noise, stop - start, self._image)
        with torch.no_grad():
            output = self._model(baselines)
            check_target(output, self._target)
            self.total += float(output[:, self._target].sum(dtype=torch.float64))
        places = (np.arange(start, stop) + self._places.random(stop - start)) / self._n
        share = torch.from_numpy(places.astype(np.float32)).to(self._image.device)
        difference = self._image - baselines
        return baselines + share.view(-1, *[1] * (self._image.ndim - 1)) * difference, difference


EXPLAINER = GradientShap()
