"""Adversarial fragility: the smallest change of every pixel, invisible or not, that brings another answer.

Projected gradient descent in the L-infinity ball about the network's input, over all members and
served views together; the radius is doubled until the answer is another one, then narrowed down
by bisection. What is found is an upper bound: a stronger attack may need less.

References
----------
Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from whycad.errors import ManifestError
from whycad.types import Prediction
from whycad.whatif.request import WhatIfKind
from whycad.whatif.result import WhatIf
from whycad.whatif.scaling import on_image
from whycad.whatif.scene import Scene, strange_reasons
from whycad.whatif.search import Search, open_search

if TYPE_CHECKING:
    from whycad.plugin import Plugin

LARGEST = 0.125
SMALLEST = 1e-5
STEPS = 6
BISECTIONS = 3
START = 0.8
RESOLUTION = "Computed on the network's input, which is coarser than the picture."
BOUND = "An upper bound: a stronger search may find a smaller change."
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, eq=False)
class Flip:
    """What an attack found.

    Attributes
    ----------
    epsilon : float or None
        Largest change of any pixel, as a share of the image's range; None where none was found.
    share : Tensor (1, C, *shape)
        The change.
    after : Prediction
    gradients : int
        Gradient evaluations spent.
    """

    epsilon: float | None
    share: Tensor
    after: Prediction
    gradients: int


def smallest_flip(search: Search, largest: float = LARGEST) -> Flip:
    """Find about the smallest change of all pixels at which another label is predicted.

    Raises
    ------
    JobCancelledError, ExplanationError, PredictionError
    """
    attack = _Attack(search)
    value, gradient = attack.gradient(torch.zeros_like(search.start))
    slope = float(gradient.abs().sum())
    epsilon = min(largest, max(SMALLEST, START * abs(value) / slope if slope > 0 else largest))
    share = -torch.sign(gradient) * search.scale.free
    below, found = 0.0, None
    while found is None:
        search.report(0.6 * epsilon / largest, f"Trying changes of {100 * epsilon:.2g} % of the range")
        share, found = attack.within(share, epsilon)
        if found is not None or epsilon >= largest:
            break
        below, epsilon = epsilon, min(largest, 2 * epsilon)
    if found is None:
        return Flip(None, share, search.served(share), attack.n)
    best = Flip(epsilon, share, found, attack.n)
    for step in range(BISECTIONS):
        middle = (below + epsilon) / 2 if below == 0 else math.sqrt(below * epsilon)
        search.report(0.6 + 0.4 * step / BISECTIONS, f"Narrowing down, {100 * middle:.2g} % of the range")
        share, found = attack.within(best.share, middle)
        if found is None:
            below = middle
        else:
            epsilon, best = middle, Flip(middle, share, found, attack.n)
    return replace(best, gradients=attack.n)


class _Attack:
    """Projected gradient descent, counting its gradients."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self.n = 0

    def gradient(self, share: Tensor) -> tuple[float, Tensor]:
        """Return lead and gradient."""
        self.n += 1
        return self._search.gradient(share)

    def within(self, start: Tensor, epsilon: float) -> tuple[Tensor, Prediction | None]:
        """Search the ball of one radius from a direction; the prediction is None where the label stays."""
        search = self._search
        label = search.scene.before.prediction.predicted
        share = epsilon * start / start.abs().max().clamp_min(1e-12)
        for step in range(STEPS):
            value, gradient = self.gradient(share)
            if value < 0:
                after = search.served(share)
                if after.predicted != label:
                    return share, after
            pace = epsilon * (2.0 if step == 0 else 1.0 / math.sqrt(step + 1))
            share = (share - pace * torch.sign(gradient)).clamp(-epsilon, epsilon) * search.scale.free
        after = search.served(share)
        return share, after if after.predicted != label else None


class FragilityTable(BaseModel):
    """The smallest flips of a task's calibration cases.

    Attributes
    ----------
    weights_sha256 : str
    dataset : str
        What the cases are, for the reader.
    epsilons : tuple of float
        Ascending, as shares of the image's range; cases of which none was found are left out.
    n : int
        All cases.
    largest : float
        Radius up to which was searched.
    seed : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights_sha256: str
    dataset: str
    epsilons: tuple[Positive, ...]
    n: int = Field(ge=1)
    largest: Positive
    seed: int = 0

    @property
    def median(self) -> float:
        """Half of the cases take a smaller change; infinite where fewer than half were found at all."""
        every = [*self.epsilons, *[math.inf] * (self.n - len(self.epsilons))]
        return float(np.median(every))

    def percentile(self, epsilon: float | None) -> float:
        """Return the share (0..100) of the cases that take a smaller change."""
        if epsilon is None:
            return 100.0 * len(self.epsilons) / self.n
        return float(100.0 * np.searchsorted(self.epsilons, epsilon, side="left") / self.n)


def table_of(plugin: Plugin) -> FragilityTable | None:
    """Return the task's stored distribution; None where the manifest names none.

    Raises
    ------
    ManifestError
        When it is missing or broken, or of other weights.
    """
    declared = plugin.manifest.fragility
    if declared is None:
        return None
    path = plugin.folder / declared.file
    try:
        table = _read_once(path, path.stat().st_mtime_ns)
    except (OSError, ValidationError, json.JSONDecodeError) as error:
        raise ManifestError(f"{plugin.label}: {path.name!r} is missing or broken ({type(error).__name__})") from error
    if table.weights_sha256 != plugin.weights_sha256:
        raise ManifestError(
            f"{plugin.label}: {path.name!r} was made with other weights", remedy="make it again with `whycad fragility`"
        )
    return table


@lru_cache(maxsize=8)
def _read_once(path: Path, _stamp: int) -> FragilityTable:
    return FragilityTable.model_validate_json(path.read_bytes())


def fragility(scene: Scene, seed: int = 0) -> WhatIf:
    """Find the smallest change of all pixels that brings another label, and place it in the task's distribution.

    Raises
    ------
    JobCancelledError, ExplanationError, PredictionError, ManifestError
    """
    search = open_search(scene)
    flip = smallest_flip(search)
    table = table_of(scene.setting.ensemble.plugin)
    percentile = None if table is None else table.percentile(flip.epsilon)
    pixels = on_image(scene.study, scene.before.inputs, flip.share[0].cpu().numpy(), search.value_range)
    changed = np.abs(pixels - scene.study.pixels) > 0
    reasons = strange_reasons(flip.after)
    figures: dict[str, float | bool | int] = {
        "found": flip.epsilon is not None,
        "epsilon": flip.epsilon if flip.epsilon is not None else LARGEST,
        "gradients": flip.gradients,
        "steps": STEPS,
    }
    return WhatIf(
        kind=WhatIfKind.FRAGILITY,
        title=_title(scene, flip, percentile),
        mask=scene.on_whole(changed.any(axis=-1) if scene.study.is_colour else changed),
        picture=scene.picture(pixels),
        before=scene.before.prediction,
        after=flip.after,
        accepted=not reasons,
        reasons=reasons,
        remarks=(*scene.remarks, RESOLUTION, BOUND, *_compared(table)),
        parameters=figures | ({} if percentile is None else {"percentile": percentile}),
        seed=seed,
        shown=scene.shown,
    )


def _title(scene: Scene, flip: Flip, percentile: float | None) -> str:
    if flip.epsilon is None:
        return f"No change of up to {100 * LARGEST:.3g} % of the range at every pixel brought another answer."
    text = (
        f"A change of {100 * flip.epsilon:.2g} % of the range at every pixel turns "
        f"{scene.name(scene.before.prediction.predicted)} into {scene.name(flip.after.predicted)}"
    )
    if percentile is None:
        return f"{text}."
    return f"{text}; {percentile:.0f} % of calibration cases take less."


def _compared(table: FragilityTable | None) -> tuple[str, ...]:
    return () if table is None else (f"Compared with {table.n} cases: {table.dataset}.",)
