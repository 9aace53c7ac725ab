"""White fill corners of a B-scan, where the picture was turned or moved within its frame."""

from __future__ import annotations

from plugins.retinal_oct.field import fill_mask
from whycad.types import Study
from whycad.whatif.artefacts import FoundArtefact

LEAST_SHARE = 0.004
FULL_SHARE = 0.02


def artefacts(study: Study) -> tuple[FoundArtefact, ...]:
    """Return white fill at the border of one scan; the plugin's ``code.artefacts``."""
    if study.is_colour or len(study.spatial_shape) != 2:
        return ()
    mask = fill_mask(study.pixels)
    share = float(mask.mean())
    if share < LEAST_SHARE:
        return ()
    return (FoundArtefact("white_corner", mask, min(1.0, 0.5 + share / FULL_SHARE / 2)),)
