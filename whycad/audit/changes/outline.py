"""Where the finding lies: as the data set outlines it, else as the task's own evidence does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.lesion_focus import enlarged_mask
from whycad.errors import WhyCadError, may_pass
from whycad.types import Region, Study

if TYPE_CHECKING:
    from whycad.audit.data.dataset import AuditDataset
    from whycad.inference import Ensemble

BoolArray = NDArray[np.bool_]


def outline_of(
    row: int, case: tuple[Study, Region | None], dataset: AuditDataset, ensemble: Ensemble
) -> BoolArray | None:
    """Return the finding's outline on the study's spatial grid.

    Parameters
    ----------
    row : int
    case : (Study, Region or None)
    dataset : AuditDataset
    ensemble : Ensemble

    Returns
    -------
    ndarray of bool or None
        None where neither outlines anything.

    Raises
    ------
    WhyCadError
        When it cannot be read or measured just now.
    """
    study, region = case
    known = dataset.mask(row)
    if known is not None and known.any():
        return on_grid(known, study.spatial_shape)
    try:
        return evidence_outline(study, region, ensemble)
    except WhyCadError as error:
        if may_pass(error):
            raise
        return None


def on_grid(mask: BoolArray, shape: tuple[int, ...]) -> BoolArray | None:
    """Bring a mask of the same picture at another size onto a grid; None where the axes differ."""
    if mask.shape == shape:
        return mask
    if mask.ndim != 2 or len(shape) != 2:
        return None
    return enlarged_mask(mask, (shape[0], shape[1]))


def evidence_outline(study: Study, region: Region | None, ensemble: Ensemble) -> BoolArray | None:
    """Return what the task's evidence outlines as its finding, or None.

    Raises
    ------
    WhyCadError
        When the image cannot be preprocessed or measured.
    """
    from whycad.reading import mean_outputs

    plugin = ensemble.plugin
    if plugin.manifest.code.evidence is None:
        return None
    inputs = plugin.preprocess(study, region)
    mean = mean_outputs([inputs], ensemble)
    evidence = plugin.evidence(study, inputs, {name: array[0] for name, array in mean.items()})
    wanted = plugin.manifest.argument.outlines or tuple(item.name for item in evidence.segmentations[:1])
    masks = [item.mask for item in evidence.segmentations if item.name in wanted]
    if not masks:
        return None
    found = np.any(masks, axis=0)
    found = found.reshape(study.spatial_shape) if found.size == np.prod(study.spatial_shape) else None
    return found if found is not None and found.any() else None
