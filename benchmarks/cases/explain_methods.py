"""Occlusion, Grad-CAM and integrated gradients in units of the passes that they need."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from benchmarks.case import Case, Work, interleaved
from benchmarks.nets import Probabilities, ResNet18, Small, made, model_input
from whycad.explain import METHODS, ExplainOptions
from whycad.explain.base import fitted_batch
from whycad.types import ModelInput

IG_STEPS = 50


def forwards(model: nn.Module, inputs: ModelInput, n: int) -> Work:
    """Return work that passes n images through a network in batches of the fitted size."""
    image = torch.from_numpy(inputs.array)
    size = fitted_batch(tuple(image.shape[1:]), torch.device("cpu"))
    batch = image.expand(size, *image.shape).contiguous(memory_format=torch.channels_last)

    def work() -> None:
        with torch.inference_mode():
            for start in range(0, n, size):
                model(batch[: min(size, n - start)])

    return work


def occlusion(net: type[nn.Module], side: int) -> float:
    """Return occlusion's time over one forward per window (and one for the whole image)."""
    model, inputs = Probabilities(made(net)).eval(), model_input(side)
    work = partial(METHODS["occlusion"].explain, model, inputs, 1, ExplainOptions())
    n = work().fidelity.n_samples
    assert n is not None
    return interleaved(work, forwards(model, inputs, n), rounds=3)


def gradcam(net: type[nn.Module], side: int) -> float:
    """Return Grad-CAM's time over one forward."""
    model, inputs = made(net), model_input(side)
    work = partial(METHODS["gradcam"].explain, model, inputs, 1, ExplainOptions(gradcam_layer="body"))
    return interleaved(work, forwards(model, inputs, 1), rounds=15)


def integrated_gradients(net: type[nn.Module], side: int) -> float:
    """Return the time of integrated gradients over one forward and backward per step."""
    model, inputs = made(net), model_input(side)
    image = torch.from_numpy(inputs.array)
    size = fitted_batch(tuple(image.shape[1:]), torch.device("cpu"))

    def passes() -> None:
        for start in range(0, IG_STEPS, size):
            n = min(size, IG_STEPS - start)
            batch = image.expand(n, *image.shape).contiguous(memory_format=torch.channels_last).requires_grad_()
            torch.autograd.grad(model(batch)[:, 1].sum(), batch)

    work = partial(METHODS["ig"].explain, model, inputs, 1, ExplainOptions(ig_steps=IG_STEPS))
    return interleaved(work, passes, rounds=3)


def cases() -> list[Case]:
    """Return the cases at 224 and 64 px."""
    return [
        Case("occlusion 224 px, ResNet-18: per window / forward", 1.1, partial(occlusion, ResNet18, 224)),
        Case("occlusion 64 px, small net: per window / forward", 1.5, partial(occlusion, Small, 64)),
        Case("Grad-CAM 224 px, ResNet-18: one map / forward", 1.5, partial(gradcam, ResNet18, 224)),
        Case("integrated gradients 224 px, ResNet-18: / passes", 1.25, partial(integrated_gradients, ResNet18, 224)),
        Case("integrated gradients 64 px, small net: / passes", 1.5, partial(integrated_gradients, Small, 64)),
    ]
