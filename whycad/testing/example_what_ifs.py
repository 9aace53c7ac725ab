"""Hand-made what-ifs for tests of pages; no model is run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whycad.types import AnalysisResult, FloatArray, Prediction, Study
from whycad.whatif.artefacts import artefact_words
from whycad.whatif.request import WhatIfKind, WhatIfRequest, mask_of
from whycad.whatif.result import WhatIf

ARTEFACTS = ("ruler", "hair")


def example_what_ifs(result: AnalysisResult, study: Study, what: WhatIfRequest) -> tuple[WhatIf, ...]:
    """Return what a change of this kind might give: the leading label loses half of its probability.

    Parameters
    ----------
    result : AnalysisResult
        Of the image as it is.
    study : Study
    what : WhatIfRequest
        Of artefacts, a ruler and hair are found.

    Raises
    ------
    GeometryError
        When the region is not on the image.
    """
    shape = study.spatial_shape
    if what.kind is WhatIfKind.REGION:
        mask = mask_of(what, shape)
        return (_example(result, study, what, mask),)
    mask = np.zeros(shape, bool)
    mask[..., : shape[-2] // 8, :] = True
    if what.kind is not WhatIfKind.ARTEFACT:
        return (_example(result, study, what, mask),)
    names = [name for name in ARTEFACTS if what.artefact in ("", name)]
    return tuple(replace(_example(result, study, what, mask), name=name, title=_title(name)) for name in names)


def _title(name: str) -> str:
    return f"Without {artefact_words(name)}, the leading label loses half of its probability."


def _example(result: AnalysisResult, study: Study, what: WhatIfRequest, mask: NDArray[np.bool_]) -> WhatIf:
    shown = None if len(study.spatial_shape) == 2 else what.slices[0] if what.slices else study.spatial_shape[0] // 2
    pixels = study.pixels if shown is None else study.pixels[shown]
    region = what.kind is WhatIfKind.REGION
    return WhatIf(
        kind=what.kind,
        title="With the change, the leading label loses half of its probability.",
        mask=mask,
        picture=_without(pixels, mask if shown is None else mask[shown]),
        before=result.prediction,
        after=_halved(result.prediction),
        accepted=True,
        sham=result.prediction if region else None,
        sham_mask=mask[..., ::-1] if region else None,
        remarks=("Made by hand, not by a model.",),
        parameters={"found": True, "epsilon": 0.01, "percentile": 20.0},
        seed=what.seed,
        shown=shown,
    )


def _without(pixels: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
    changed = np.array(pixels, np.float32)
    changed[mask] = np.float32(pixels.mean())
    return changed


def _halved(prediction: Prediction) -> Prediction:
    """Move half of the leading label's probability to the runner-up."""
    probabilities = prediction.probabilities.copy()
    leading = prediction.labels.index(prediction.predicted)
    order = [i for i in np.argsort(-probabilities).tolist() if i != leading]
    moved = probabilities[leading] / 2
    probabilities[leading] -= moved
    probabilities[order[0]] += moved
    members = np.broadcast_to(probabilities, prediction.member_probabilities.shape).copy()
    predicted = prediction.labels[int(probabilities.argmax())]
    return replace(prediction, probabilities=probabilities, member_probabilities=members, predicted=predicted)
