"""``what_if``: the one way from a study and a request to what the model says of the changed image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.errors import GeometryError
from whycad.hooks import Hooks
from whycad.reading import Reading, evidence_of, on_source_grid
from whycad.types import AnalysisRequest, Progress, Study
from whycad.whatif.artefacts import find_artefacts
from whycad.whatif.removal import remove_artefacts, remove_region
from whycad.whatif.request import WhatIfKind, WhatIfRequest, mask_of
from whycad.whatif.result import WhatIf
from whycad.whatif.scene import Scene, open_scene

if TYPE_CHECKING:
    from whycad.inference import Ensemble


def what_if(
    study: Study,
    ensemble: Ensemble,
    request: AnalysisRequest,
    what: WhatIfRequest,
    hooks: Hooks | None = None,
) -> tuple[WhatIf, ...]:
    """Change an image as asked, and say what the model answers then.

    Parameters
    ----------
    study : Study
    ensemble : Ensemble
    request : AnalysisRequest
        The one of the result that the change is compared with; its region and coverage count.
    what : WhatIfRequest
    hooks : Hooks or None
        Progress and cancellation.

    Returns
    -------
    tuple of WhatIf
        One; of artefacts one for each that was found, which may be none.

    Raises
    ------
    WhyCadError
        Of the kind that says what is wrong with the request or the image.
    """
    hooks = hooks or Hooks()
    mask = mask_of(what, study.spatial_shape) if what.kind is WhatIfKind.REGION else None
    hooks.progress(Progress("predict", 0.05, "Scoring the image as it is"))
    scene = open_scene(study, ensemble, request, what, hooks)
    hooks.progress(Progress("explain", 0.1, "Changing the image"))
    if mask is not None:
        found: tuple[WhatIf, ...] = (_region(scene, mask, what.seed),)
    elif what.kind is WhatIfKind.ARTEFACT:
        found = _artefacts(scene, what)
    else:
        found = (_searched(scene, what),)
    hooks.progress(Progress("done", 1.0, "Done"))
    return found


def _region(scene: Scene, mask: NDArray[np.bool_], seed: int) -> WhatIf:
    part = scene.of_study(mask)
    if not part.any():
        raise GeometryError("the region holds no pixel of the slice that is looked at")
    return remove_region(scene, part, seed, _outlines(scene))


def _outlines(scene: Scene) -> NDArray[np.bool_] | None:
    """Return what the plugin outlines, where a control would not be one; None where it outlines nothing."""
    reading = Reading(scene.study, scene.before.inputs, scene.before.prediction)
    evidence = evidence_of(reading, scene.setting.ensemble, scene.setting.hooks)
    shape = scene.study.spatial_shape
    masks = [on_source_grid(item.mask, reading, shape) for item in evidence.segmentations]
    return np.any(masks, axis=0) if masks else None


def _artefacts(scene: Scene, what: WhatIfRequest) -> tuple[WhatIf, ...]:
    """Find artefacts in the image or slice that is shown, and take them away one by one."""
    plugin = scene.setting.ensemble.plugin
    flat = scene.study
    if len(flat.spatial_shape) == 3:
        flat = replace(flat, pixels=flat.pixels[scene.shown], spacing_mm=None, position_mm=None)
    found = [item for item in find_artefacts(flat, plugin) if what.artefact in ("", item.name)]
    if flat is not scene.study:
        found = [replace(item, mask=_in_slice(item.mask, scene)) for item in found]
    return remove_artefacts(scene, found, what.seed)


def _in_slice(mask: NDArray[np.bool_], scene: Scene) -> NDArray[np.bool_]:
    whole = np.zeros(scene.study.spatial_shape, bool)
    whole[scene.shown] = mask
    return whole


def _searched(scene: Scene, what: WhatIfRequest) -> WhatIf:
    from whycad.whatif.counterfactual import counterfactual
    from whycad.whatif.fragility import fragility

    if what.kind is WhatIfKind.COUNTERFACTUAL:
        return counterfactual(scene, what.goal, what.seed)
    return fragility(scene, what.seed)
