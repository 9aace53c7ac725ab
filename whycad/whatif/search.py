"""Where a search for a change starts: the input, its scale, the score to bring down, and the served answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from whycad.types import Prediction, Progress
from whycad.whatif.differentiable import Lead, column
from whycad.whatif.scaling import InputScale, input_scale
from whycad.whatif.scene import Scene


@dataclass(frozen=True, eq=False)
class Search:
    """What a search for a change works with.

    Attributes
    ----------
    scene : Scene
    lead : Lead
    start : Tensor (1, C, *shape)
        The network's input as it is.
    scale : InputScale
    label : int
        Column of the label that is predicted now.
    goal : int or None
        Column that is to be reached; None for any other.
    """

    scene: Scene
    lead: Lead
    start: Tensor
    scale: InputScale
    label: int
    goal: int | None = None

    @property
    def value_range(self) -> tuple[float, float]:
        """Darkest and brightest value of the task's images."""
        return self.scene.setting.ensemble.plugin.manifest.input.value_range

    def at(self, share: Tensor) -> Tensor:
        """Return the input changed by shares of the image's range ``(1, C, *shape)``, within what an image may be."""
        changed = self.start + share * self.scale.unit * self.scale.free
        return torch.maximum(torch.minimum(changed, self.scale.high), self.scale.low)

    def gradient(self, share: Tensor) -> tuple[float, Tensor]:
        """Return how far the label is ahead, and the gradient by shares of the image's range.

        Raises
        ------
        JobCancelledError, ExplanationError
        """
        self.scene.setting.hooks.check()
        value, gradient = self.lead.gradient(self.at(share), self.label, self.goal)
        return value, gradient * self.scale.unit * self.scale.free

    def served(self, share: Tensor) -> Prediction:
        """Return what the served ensemble says of the changed input."""
        array = self.at(share)[0].detach().cpu().numpy()
        return self.scene.setting.predict([replace(self.scene.before.inputs, array=array)])[0]

    def report(self, fraction: float, message: str) -> None:
        """Say how far the search is."""
        self.scene.setting.hooks.progress(Progress("explain", min(1.0, 0.1 + 0.9 * fraction), message))


def open_search(scene: Scene, goal: str = "") -> Search:
    """Prepare a search; the members are copies of its own."""
    before, inputs = scene.before.prediction, scene.before.inputs
    lead = Lead(scene.setting)
    start = torch.from_numpy(inputs.array.copy())[None].to(lead.device)
    value_range = scene.setting.ensemble.plugin.manifest.input.value_range
    return Search(
        scene=scene,
        lead=lead,
        start=start,
        scale=input_scale(scene.study, inputs, value_range, lead.device),
        label=column(before.labels, before.predicted),
        goal=column(before.labels, goal) if goal else None,
    )


def least_factor(moved: Callable[[float], bool], low: float, high: float, steps: int) -> float:
    """Return, by bisection, about the least factor for which ``moved``; it holds for ``high`` and not for ``low``."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if moved(middle) else (middle, high)
    return high
