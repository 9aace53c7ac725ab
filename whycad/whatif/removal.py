"""Take something out of an image and ask the model again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whycad.errors import GeometryError
from whycad.types import FloatArray, Progress
from whycad.whatif.artefacts import FoundArtefact, artefact_words
from whycad.whatif.inpaint import METHOD, inpaint
from whycad.whatif.request import WhatIfKind, check_mask
from whycad.whatif.result import WhatIf
from whycad.whatif.scene import Scene, Scored
from whycad.whatif.sham import seen_box, sham_mask
from whycad.wording import percent

BoolArray = NDArray[np.bool_]
NO_ROOM = "There is no room for a control: no other place of this size lies apart from the region."
ALIKE = (
    "Filling a place of the same shape elsewhere changes the answer about as much: that may be the filling's doing, "
    "not the region's."
)
ALIKE_SHARE, LEAST_CHANGE = 0.5, 0.02
UNSEEN = "The region lies outside what the network sees, so it cannot change the answer."


def remove_region(scene: Scene, mask: BoolArray, seed: int = 0, avoid: BoolArray | None = None) -> WhatIf:
    """Fill a region from its surroundings, ask again, and do the same elsewhere as a control.

    Parameters
    ----------
    scene : Scene
    mask : ndarray of bool
        On the grid that the network reads.
    seed : int
        Of the filling's noise.
    avoid : ndarray of bool or None
        Where the control may not lie, such as the outlines of what was found.

    Raises
    ------
    GeometryError
        When the mask is empty or too large.
    WhyCadError
        When a changed image cannot be scored.
    """
    check_mask(mask)
    seen = seen_box(scene.before.inputs.geometry, mask.shape)
    other = sham_mask(scene.study.pixels, mask, seen, avoid)
    if other is None and avoid is not None:
        other = sham_mask(scene.study.pixels, mask, seen, None)
    masks = [mask] if other is None else [mask, other]
    changed = [inpaint(scene.study.pixels, item, seed) for item in masks]
    scored = scene.score(changed)
    remarks = [*scene.remarks, *_control_remarks(scene, scored), *([] if mask[seen].any() else [UNSEEN])]
    return WhatIf(
        kind=WhatIfKind.REGION,
        title=sentence(scene, "Without the marked region", scored[0]),
        mask=scene.on_whole(mask),
        picture=scene.picture(changed[0]),
        before=scene.before.prediction,
        after=scored[0].prediction,
        accepted=scored[0].accepted,
        reasons=scored[0].reasons,
        sham=None if other is None else scored[1].prediction,
        sham_mask=None if other is None else scene.on_whole(other),
        remarks=tuple(remarks),
        parameters={"method": METHOD, "share": float(mask.mean())},
        seed=seed,
        shown=scene.shown,
    )


def _control_remarks(scene: Scene, scored: Sequence[Scored]) -> list[str]:
    """Say what the control tells, where it tells anything against the region."""
    if len(scored) == 1:
        return [NO_ROOM]
    before = scene.before.prediction
    label = before.predicted
    own, other = (abs(item.prediction.probability(label) - before.probability(label)) for item in scored)
    return [ALIKE] if other >= ALIKE_SHARE * max(own, LEAST_CHANGE) else []


def remove_artefacts(scene: Scene, found: Sequence[FoundArtefact], seed: int = 0) -> tuple[WhatIf, ...]:
    """Take each artefact away by itself and ask again; one that covers too much to be filled is left out.

    Raises
    ------
    WhyCadError
        When a changed image cannot be scored.
    """
    results = []
    for number, item in enumerate(found):
        words = artefact_words(item.name)
        hooks = scene.setting.hooks
        hooks.progress(Progress("explain", 0.3 + 0.7 * number / len(found), f"Without {words}"))
        try:
            check_mask(item.mask)
        except GeometryError:
            continue
        changed = inpaint(scene.study.pixels, item.mask, seed)
        results.append(_without(scene, item, changed, seed))
    return tuple(results)


def _without(scene: Scene, item: FoundArtefact, changed: FloatArray, seed: int) -> WhatIf:
    scored = scene.score([changed])[0]
    return WhatIf(
        kind=WhatIfKind.ARTEFACT,
        title=sentence(scene, f"Without {artefact_words(item.name)}", scored),
        mask=scene.on_whole(item.mask),
        picture=scene.picture(changed),
        before=scene.before.prediction,
        after=scored.prediction,
        accepted=scored.accepted,
        reasons=scored.reasons,
        remarks=scene.remarks,
        parameters={"method": METHOD, "share": float(item.mask.mean()), "confidence": item.confidence},
        seed=seed,
        shown=scene.shown,
        name=item.name,
    )


def sentence(scene: Scene, start: str, scored: Scored) -> str:
    """Say what a change does to the label that was predicted, and whether another one is."""
    before, after = scene.before.prediction, scored.prediction
    label = before.predicted
    was, now = percent(before.probability(label)), percent(after.probability(label))
    name = scene.name(label)
    text = f"{start}, {name} stays at {was}" if was == now else f"{start}, {name} goes from {was} to {now}"
    if after.predicted != label:
        text += f", and {scene.name(after.predicted)} is predicted instead"
    return f"{text}."
