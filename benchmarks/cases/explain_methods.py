"""Occlusion, Grad-CAM and integrated gradients in units of the passes that they need."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from benchmarks.case import Case, Work, between_processes, interleaved
from benchmarks.nets import Pooled, Probabilities, ResNet18, Small, as_gradients_are_taken, made, model_input, picture
from whycad.batching import fitted_batch, keep_freed_memory
from whycad.explain import METHODS, ExplainOptions
from whycad.explain.gradcam import cells_of
from whycad.types import ModelInput

IG_STEPS = 50
IG_TOLERANCE = 1e-5
CPU = torch.device("cpu")
TARGET = 1


def forwards(model: nn.Module, image: Tensor, n: int) -> Work:
    """Return work that passes n images ``(C, H, W)`` through a network in batches of the fitted size."""
    size = min(n, fitted_batch(image.shape[1:], CPU, model))
    batch = image.expand(size, *image.shape).contiguous(memory_format=torch.channels_last)

    def work() -> None:
        with torch.inference_mode():
            for start in range(0, n, size):
                model(batch[: min(size, n - start)])

    return work


def occlusion(net: type[nn.Module], side: int) -> float:
    """Return occlusion's time over one forward per window (and one for the whole image)."""
    model, inputs = Probabilities(made(net)).eval(), model_input(side)
    work = partial(METHODS["occlusion"].explain, model, inputs, TARGET, ExplainOptions())
    n = work().fidelity.n_samples
    assert n is not None
    return interleaved(work, forwards(model, torch.from_numpy(inputs.array), n), rounds=3 if side > 100 else 9)


def gradcam(net: type[nn.Module], side: int, n: int) -> float:
    """Return the time of the Grad-CAM of n images over that of their forward passes."""
    model = made(net)
    images = torch.from_numpy(np.stack([picture(side, seed) for seed in range(n)]))
    images = images.contiguous(memory_format=torch.channels_last)
    options = ExplainOptions(gradcam_layer="body")
    size = fitted_batch(images.shape[2:], CPU, model)

    def passes() -> None:
        with torch.inference_mode():
            for part in images.split(size):
                model(part)

    return interleaved(partial(cells_of, model, images, (TARGET,) * n, options), passes, rounds=7)


def inputs_of(side: int, n: int) -> list[ModelInput]:
    """Return a small data set."""
    return [ModelInput(picture(side, seed), model_input(side).geometry) for seed in range(n)]


def integrated_gradients(net: type[nn.Module], side: int, n: int) -> float:
    """Return the time of integrated gradients of n images over one forward and backward per image and step."""
    model, image = as_gradients_are_taken(net, side), torch.from_numpy(picture(side))
    size = fitted_batch(image.shape[1:], CPU, model)

    def passes() -> None:
        for start in range(0, n * IG_STEPS, size):
            batch = image.expand(min(size, n * IG_STEPS - start), *image.shape)
            batch = batch.contiguous(memory_format=torch.channels_last).requires_grad_()
            torch.autograd.grad(model(batch)[:, TARGET].sum(), batch)

    return interleaved(our_integrated_gradients(net, side, n), passes, rounds=3)


def our_integrated_gradients(net: type[nn.Module], side: int, n: int) -> Work:
    """Return our maps of a data set, summed over channels: ``(n, H, W)``."""
    keep_freed_memory()
    model, inputs, options = as_gradients_are_taken(net, side), inputs_of(side, n), ExplainOptions(ig_steps=IG_STEPS)
    return lambda: np.stack([METHODS["ig"].explain(model, one, TARGET, options).map for one in inputs])


def captums_integrated_gradients(net: type[nn.Module], side: int, n: int) -> Work:
    """Return captum's maps with its default call: all steps of an image in one batch, contiguous."""
    model = made(net).to(memory_format=torch.contiguous_format)
    images = [torch.from_numpy(one.array)[None] for one in inputs_of(side, n)]

    def work() -> np.ndarray:
        method = IntegratedGradients(model)
        found = [method.attribute(one, target=TARGET, n_steps=IG_STEPS) for one in images]
        return torch.cat(found).sum(dim=1).detach().float().numpy()

    return work


def against_captum(net: type[nn.Module], side: int, n: int) -> float:
    """Return the time of captum's default call over ours; the maps agree."""
    return between_processes(
        partial(captums_integrated_gradients, net, side, n),
        partial(our_integrated_gradients, net, side, n),
        rounds=5 if side > 100 else 15,  # one turn of the small net differs from the next by a tenth
        tolerance=IG_TOLERANCE,
    )


def cases() -> list[Case]:
    """Return the cases at 224 and 64 px."""
    large, small = (ResNet18, 224), (Small, 64)
    ig, against = "integrated gradients of a data set", "captum's default call / ours"
    return [
        Case("occlusion 224 px, ResNet-18: per window / forward", 1.1, partial(occlusion, *large)),
        Case("occlusion 64 px, pooled net: per window / forward", 1.1, partial(occlusion, Pooled, 64)),
        Case("occlusion 64 px, small net: per window / forward", 1.2, partial(occlusion, *small)),
        Case(f"{ig}, 224 px, ResNet-18: / passes", 1.15, partial(integrated_gradients, *large, 2)),
        Case(f"{ig}, 64 px, small net: / passes", 1.5, partial(integrated_gradients, *small, 12)),
        Case(f"{ig}, 224 px, ResNet-18: {against}", 1.4, partial(against_captum, *large, 2), at_least=True),
        Case(f"{ig}, 64 px, small net: {against}", 1.4, partial(against_captum, *small, 12), at_least=True),
        Case("Grad-CAM of a batch, 224 px, ResNet-18: / forward passes", 1.1, partial(gradcam, *large, 6)),
    ]
