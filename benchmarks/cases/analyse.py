"""``analyse`` with Grad-CAM and integrated gradients against the bare passes that it needs."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.case import Case, Work, interleaved
from whycad.batching import fitted_batch
from whycad.inference import Ensemble, load_members
from whycad.pipeline import analyse
from whycad.registry import discover
from whycad.types import AnalysisRequest

TASK = "skin_lesion"
IG_STEPS = 50


def bare_passes(ensemble: Ensemble, image: Tensor) -> Work:
    """Return the passes alone: all views once, then, per member, Grad-CAM's one and those of the path.

    Members are eager and channels last; nothing is calibrated, mapped or checked.
    """
    members = [member.to(memory_format=torch.channels_last) for member in ensemble.explain_members()]
    size = fitted_batch(image.shape[2:], torch.device("cpu"), members[0])

    def gradients(member: nn.Module, n: int) -> None:
        batch = image.expand(n, *image.shape[1:]).contiguous(memory_format=torch.channels_last).requires_grad_()
        torch.autograd.grad(member(batch)[:, 0].sum(), batch)

    def work() -> None:
        views = image.expand(len(ensemble.views), *image.shape[1:]).contiguous(memory_format=torch.channels_last)
        for member in members:
            with torch.inference_mode():
                member(views)
                member(views[:1])
            for start in range(0, IG_STEPS, size):
                gradients(member, min(size, IG_STEPS - start))

    return work


def analyse_against_passes() -> float:
    """Return the time of one whole analysis of a simulated case over that of its passes."""
    plugin = discover().get(TASK)
    ensemble = load_members(plugin, torch.device("cpu"))
    study = plugin.phantom()[0].study
    image = torch.from_numpy(plugin.preprocess(study).array)[None]
    # Grades are passes of their own, by choice: they are left out on both sides.
    request = AnalysisRequest(explain=("gradcam", "ig"), grade=False)
    return interleaved(
        partial(analyse, study, plugin, request, ensemble=ensemble), bare_passes(ensemble, image), rounds=5
    )


def cases() -> list[Case]:
    """Return the one case; it needs the task's trained weights."""
    return [
        Case("analyse, five members with Grad-CAM and IG, without grades: / bare passes", 1.25, analyse_against_passes)
    ]
