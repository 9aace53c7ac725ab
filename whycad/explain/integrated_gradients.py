"""Integrated gradients (Sundararajan 2017) through captum."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import torch
from torch import Tensor, nn

from whycad.batching import fitted_batch
from whycad.explain.base import (
    ExplainOptions,
    RawMap,
    Scope,
    channels_last,
    check_target,
    device_of,
    input_tensors,
)
from whycad.explain.gradients import delta_remarks, differentiating, relative_delta
from whycad.explain.state import prepared
from whycad.types import Fidelity, ModelInput


class IntegratedGradients:
    """Gradients of the target's logit along the straight path from the baseline, summed over channels.

    References
    ----------
    Sundararajan, Taly and Yan, Axiomatic attribution for deep networks, ICML 2017.
    """

    id = "ig"
    name = "Integrated gradients"
    signed = True
    needs_layer = False
    scope: Scope = "member"

    def explain(self, model: nn.Module, inputs: ModelInput, target: int, options: ExplainOptions) -> RawMap:
        """Explain one logit; see ``Explainer.explain``."""
        device = device_of(model)
        image, baseline = input_tensors(inputs, device)
        size = options.batch_size or evenly(options.ig_steps, fitted_batch(image.shape[2:], device, model))
        with prepared(model):
            with torch.no_grad():
                ends = model(channels_last(torch.cat([image, baseline])))
            check_target(ends, target)
            change = float(ends[0, target] - ends[1, target])
            values = _attribute(_watched(model, size, options), image, baseline, target, (options.ig_steps, size))
        options.progress(1.0)
        delta = relative_delta(float(values.sum(dtype=torch.float64)), change)
        return RawMap(
            values[0].sum(dim=0).float().cpu().numpy(),
            {"steps": options.ig_steps, "rule": "Gauss-Legendre"},
            Fidelity(convergence_delta=delta, n_samples=options.ig_steps, remarks=delta_remarks(delta)),
            output_change=change,
        )


def evenly(n: int, size: int) -> int:
    """Return the batch nearest to a size that cuts n into equal passes: a last pass of two costs like one of eight."""
    return ceil(n / max(1, round(n / size)))


def _watched(model: nn.Module, size: int, options: ExplainOptions) -> Callable[[Tensor], Tensor]:
    """Wrap a model so that each pass asks for cancellation and reports progress."""
    n_passes = ceil(options.ig_steps / size)
    done = 0

    def logits(batch: Tensor) -> Tensor:
        nonlocal done
        options.check_cancelled()
        options.progress(min(1.0, done / n_passes))
        done += 1
        output: Tensor = model(channels_last(batch))
        return output

    return logits


def _attribute(
    logits: Callable[[Tensor], Tensor], image: Tensor, baseline: Tensor, target: int, steps_and_batch: tuple[int, int]
) -> Tensor:
    from captum.attr import IntegratedGradients as CaptumIntegratedGradients

    steps, batch = steps_and_batch
    with differentiating("integrated gradients"):
        values: Tensor = CaptumIntegratedGradients(logits).attribute(
            image, baseline, target, n_steps=steps, internal_batch_size=batch
        )
    return values.detach()


EXPLAINER = IntegratedGradients()
