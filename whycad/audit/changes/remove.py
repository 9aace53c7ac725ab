"""Take an artefact that is in an image out of it, and the control: a place of the same size filled elsewhere."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from whycad.audit.changes.change import BoolArray, Canvas, Change, Changed, changed_within
from whycad.whatif.inpaint import inpaint
from whycad.whatif.request import MOST_FILLED
from whycad.whatif.sham import sham_mask

# A control that is moved round the image's edge loses what then lies on the artefact or the finding.
LEAST_LEFT = 0.6
CLEARANCE = 2


def without_artefact(canvas: Canvas, change: Change) -> Changed | None:
    """Fill what detectors find of one kind of artefact; None where they find nothing, or there is no control."""
    masks = [item.mask for item in canvas.found if item.name == change.kind]
    mask = np.any(masks, axis=0) if masks else None
    if mask is None or mask.mean() > MOST_FILLED:
        return None
    if change.sham:
        mask = elsewhere(canvas, mask)
        if mask is None:
            return None
    return changed_within(canvas, inpaint(canvas.study.pixels, mask, canvas.seed_of(change)), mask)


def elsewhere(canvas: Canvas, mask: BoolArray) -> BoolArray | None:
    """Return a place of the mask's shape that is free of artefacts and of the finding, or None.

    A mask that cannot be moved, such as that of all four corners, is moved half round the image.
    """
    avoid = np.any([item.mask for item in canvas.found], axis=0)
    if canvas.outline is not None:
        avoid = avoid | canvas.outline
    whole = tuple(slice(0, side) for side in mask.shape)
    moved = sham_mask(canvas.study.pixels, mask, whole, avoid)
    return moved if moved is not None else _rolled(mask, avoid)


def _rolled(mask: BoolArray, avoid: BoolArray) -> BoolArray | None:
    taken = ndimage.binary_dilation(avoid, iterations=CLEARANCE)
    axes = (mask.ndim - 2, mask.ndim - 1)
    tries = [np.roll(mask, mask.shape[axis] // 2, axis) & ~taken for axis in axes]
    best = max(tries, key=lambda one: int(one.sum()))
    return best if best.sum() >= LEAST_LEFT * mask.sum() else None
