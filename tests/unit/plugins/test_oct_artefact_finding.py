"""White fill corners of a B-scan are found; a scan without them has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plugins.retinal_oct.artefact_finding import artefacts
from plugins.retinal_oct.phantom import sample_cases


def test_white_corners_are_found_where_they_are() -> None:
    study = next(case.study for case in sample_cases() if len(case.study.spatial_shape) == 2 and not case.artefacts)
    assert artefacts(study) == ()
    pixels = study.pixels.copy()
    rows, columns = np.indices(pixels.shape)
    corner = rows + columns < 0.3 * pixels.shape[0]
    pixels[corner] = 1.0
    (found,) = artefacts(replace(study, pixels=pixels))
    assert found.name == "white_corner"
    assert found.mask[corner].mean() > 0.95
    assert found.mask[~corner].mean() < 0.05
    assert 0.5 <= found.confidence <= 1
