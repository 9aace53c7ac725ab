"""Show the model a part of the image alone: the background, the border, or the finding."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from whycad.audit.changes.change import BoolArray, Canvas, Change, Changed, changed_within
from whycad.types import FloatArray
from whycad.whatif.inpaint import inpaint
from whycad.whatif.request import MOST_FILLED

PARTS = ("background", "border", "finding")
# The finding's box is filled, not its outline, whose form would show in the filling; somewhat larger, as outlines are.
BOX_MARGIN = 0.1
LEAST_MARGIN_PX = 2
# The border is what lies within this share of the side from the edge.
RING = 0.1
SMALLEST_FINDING = 0.001


def kept_part(canvas: Canvas, change: Change) -> Changed | None:
    """Hide all but a part; None where the finding is not outlined, or fills too much of the image."""
    image = canvas.study.pixels
    if change.kind == "border":
        hidden = _inner(canvas.study.spatial_shape)
        return changed_within(canvas, _flat(canvas, ~hidden), hidden)
    outline = canvas.outline
    if outline is None or not SMALLEST_FINDING <= outline.mean() <= MOST_FILLED:
        return None
    if change.kind == "finding":
        hidden = ~np.asarray(ndimage.binary_dilation(outline, iterations=LEAST_MARGIN_PX))
        return changed_within(canvas, _flat(canvas, hidden), hidden)
    hidden = box_about(outline)
    if hidden.mean() > MOST_FILLED:
        # Of an organ that spans the image, the box is all of it.
        hidden = np.asarray(ndimage.binary_dilation(outline, iterations=LEAST_MARGIN_PX))
    if hidden.mean() > MOST_FILLED:
        return None
    return changed_within(canvas, inpaint(image, hidden, canvas.seed_of(change)), hidden)


def box_about(mask: BoolArray) -> BoolArray:
    """Return the mask's box, a margin wider on every side."""
    box = []
    for part, side in zip(ndimage.find_objects(mask.astype(np.uint8))[0], mask.shape, strict=True):
        margin = max(LEAST_MARGIN_PX, round(BOX_MARGIN * (part.stop - part.start)))
        box.append(slice(max(0, part.start - margin), min(side, part.stop + margin)))
    found = np.zeros_like(mask)
    found[tuple(box)] = True
    return found


def _inner(shape: tuple[int, ...]) -> BoolArray:
    """Return all but the ring along the edges of the plane."""
    inner = np.zeros(shape, bool)
    ring = [max(1, round(RING * side)) for side in shape[-2:]]
    inner[..., ring[0] : shape[-2] - ring[0], ring[1] : shape[-1] - ring[1]] = True
    return inner


def _flat(canvas: Canvas, sample: BoolArray) -> FloatArray:
    """Return an image of one value: the mean of the pixels in ``sample``."""
    image = canvas.study.pixels
    mean = image[sample].mean(axis=0, dtype=np.float64)
    return np.broadcast_to(np.asarray(mean, np.float32), image.shape)
