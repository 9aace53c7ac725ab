"""A minimal counterfactual: the smallest smooth change that moves the set or the label.

The change is low in frequency (one value per cell of a coarse grid, interpolated) and small in
its root mean square. It follows the gradient of the ensemble's lead, is laid on the picture itself
and grows until the answer for the changed picture, through preprocessing, members and gate, moves;
then it is shortened as far as the answer still does. It says what the model would need to see;
whether such a change occurs in a patient is another question.

References
----------
Wachter, Mittelstadt, Russell, Counterfactual explanations without opening the black box,
Harvard JOLT 31, 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

from whycad.errors import GeometryError
from whycad.types import FloatArray, Prediction
from whycad.whatif.request import WhatIfKind
from whycad.whatif.result import WhatIf
from whycad.whatif.scaling import on_image
from whycad.whatif.scene import Scene, Scored
from whycad.whatif.search import Search, least_factor, open_search
from whycad.wording import percent

CELL = 8
LARGEST_RMS = 0.10
LARGEST_PEAK = 0.35
STEPS = 24
GROWTH = 1.12
MOMENTUM = 0.7
SHORTENINGS = 5
VISIBLE = 0.25
SEEN = 0.03
INVISIBLE = "The change is too faint to see, so it tells how close the answer is, not what the picture lacks."
NOT_CLINICAL = "It shows what the model would answer otherwise to, not what could happen in a patient."
IMPLAUSIBLE = "The changed picture is unlike the calibration images, so this is no plausible counterfactual."


@dataclass(frozen=True, eq=False)
class Path:
    """What the search found on the network's input.

    Attributes
    ----------
    share : Tensor (1, C, *shape)
        The last change, in shares of the image's range.
    found : bool
        Whether the answer moved.
    steps : int
    """

    share: Tensor
    found: bool
    steps: int


def has_moved(before: Prediction, after: Prediction, goal: str) -> bool:
    """Tell whether an answer is where it was to be moved: to the goal, or to another label or set."""
    if goal:
        return after.predicted == goal
    return after.predicted != before.predicted or set(after.conformal_set) != set(before.conformal_set)


def descend(search: Search, moved: Callable[[Tensor], bool]) -> Path:
    """Follow the smoothed gradient outwards until the answer has moved, or the bound is reached."""
    sides = [max(2, -(-n // CELL)) for n in search.start.shape[2:]]
    grid = torch.zeros(1, search.start.shape[1], *sides, device=search.start.device)
    speed, share = torch.zeros_like(grid), torch.zeros_like(search.start)
    first = LARGEST_RMS * (GROWTH - 1) / (GROWTH**STEPS - 1)
    for step in range(STEPS):
        search.report(0.8 * step / STEPS, f"Looking for a change, step {step + 1} of up to {STEPS}")
        _, gradient = search.gradient(share)
        coarse = gathered(gradient, grid)
        speed = MOMENTUM * speed + coarse / coarse.norm().clamp_min(1e-12)
        pace = first * GROWTH**step / rms(spread(speed, search), search).clamp_min(1e-12)
        grid = (grid - pace * speed).clamp(-LARGEST_PEAK, LARGEST_PEAK)
        share = spread(grid, search)
        if rms(share, search) > LARGEST_RMS:
            return Path(share, False, step)
        if moved(share):
            return Path(share, True, step + 1)
    return Path(share, False, STEPS)


def spread(grid: Tensor, search: Search) -> Tensor:
    """Interpolate a coarse grid ``(1, C, ...)`` to a change of the input, 0 where nothing may be changed."""
    mode = "bilinear" if grid.ndim == 4 else "trilinear"
    shape = tuple(search.start.shape[2:])
    return F.interpolate(grid, size=shape, mode=mode, align_corners=False) * search.scale.free


def gathered(gradient: Tensor, grid: Tensor) -> Tensor:
    """Return the gradient by the coarse grid, which is the interpolation's transpose."""
    with torch.enable_grad():
        point = torch.zeros_like(grid).requires_grad_()
        mode = "bilinear" if grid.ndim == 4 else "trilinear"
        wide = F.interpolate(point, size=tuple(gradient.shape[2:]), mode=mode, align_corners=False)
        (coarse,) = torch.autograd.grad((wide * gradient).sum(), point)
    return coarse


def rms(share: Tensor, search: Search) -> Tensor:
    """Return the root mean square of a change over what may be changed."""
    free = search.scale.free
    return (share.square().sum() / free.sum().clamp_min(1)).sqrt()


def counterfactual(scene: Scene, goal: str = "", seed: int = 0) -> WhatIf:
    """Find the smallest smooth change that moves the answer; none within the bound is a result too.

    Parameters
    ----------
    scene : Scene
    goal : str
        Label to be reached; empty for whatever moves the set or the label first.
    seed : int
        Kept with the result; nothing is drawn.

    Raises
    ------
    GeometryError
        When the goal is no label of the task, or is predicted already.
    JobCancelledError, ExplanationError, PredictionError
    """
    before = scene.before.prediction
    if goal and (goal not in before.labels or goal == before.predicted):
        raise GeometryError("the goal must be another label of the task than the predicted one")
    search = open_search(scene, goal)

    def scored(share: Tensor) -> tuple[FloatArray, Scored]:
        pixels = on_image(scene.study, scene.before.inputs, share[0].cpu().numpy(), search.value_range)
        return pixels, scene.score([pixels])[0]

    def moved(share: Tensor) -> bool:
        return has_moved(before, scored(share)[1].prediction, goal)

    path = descend(search, moved)
    share = path.share
    if path.found:
        share = share * least_factor(lambda factor: moved(factor * path.share), 0.0, 1.0, SHORTENINGS)
    pixels, after = scored(share)
    return _result(scene, pixels, after, Figures(goal, float(rms(share, search)), path.steps, seed))


@dataclass(frozen=True)
class Figures:
    """Numbers of a search: the goal, the change's root mean square, steps, seed."""

    goal: str
    rms: float
    steps: int
    seed: int


def _result(scene: Scene, pixels: FloatArray, scored: Scored, figures: Figures) -> WhatIf:
    before, after = scene.before.prediction, scored.prediction
    found = has_moved(before, after, figures.goal)
    change = np.abs(pixels - scene.study.pixels)
    change = change.max(axis=-1) if scene.study.is_colour else change
    mask = change > VISIBLE * max(float(change.max()), 1e-12)
    low, high = scene.setting.ensemble.plugin.manifest.input.value_range
    peak = float(change.max()) / (high - low)
    remarks = [*scene.remarks, NOT_CLINICAL]
    remarks += [IMPLAUSIBLE] if found and not scored.accepted else []
    remarks += [INVISIBLE] if found and peak < SEEN else []
    return WhatIf(
        kind=WhatIfKind.COUNTERFACTUAL,
        title=_title(scene, after, figures, found),
        mask=scene.on_whole(np.asarray(mask)),
        picture=scene.picture(pixels),
        before=before,
        after=after,
        accepted=scored.accepted,
        reasons=scored.reasons,
        remarks=tuple(remarks),
        parameters={
            "found": found,
            "goal": figures.goal,
            "rms": figures.rms,
            "peak": peak,
            "steps": figures.steps,
            "cell": CELL,
            "largest_rms": LARGEST_RMS,
        },
        seed=figures.seed,
        shown=scene.shown,
    )


def _title(scene: Scene, after: Prediction, figures: Figures, found: bool) -> str:
    before = scene.before.prediction
    if not found:
        aim = f"leads to {scene.name(figures.goal)}" if figures.goal else "moves the set or the label"
        return f"No smooth change within the bound of {100 * LARGEST_RMS:.0f} % of the range {aim}."
    size = f"A smooth change of {100 * figures.rms:.2g} % of the range on average"
    label = before.predicted
    name = scene.name(label)
    numbers = f"{name} {percent(before.probability(label))} to {percent(after.probability(label))}"
    if after.predicted != label:
        return f"{size} turns {name} into {scene.name(after.predicted)} ({numbers})."
    return f"{size} moves the set from {_names(scene, before)} to {_names(scene, after)} ({numbers})."


def _names(scene: Scene, prediction: Prediction) -> str:
    return ", ".join(scene.name(code) for code in prediction.conformal_set) or "none"
