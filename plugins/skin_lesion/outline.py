"""From the outline network's probabilities to one plausible lesion, or none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray

THRESHOLD = 0.5
# Of the field of view: smaller parts are specks, and what covers nearly everything has no border to measure.
LEAST_SHARE, MOST_SHARE = 0.005, 0.95
LEAST_CERTAINTY = 0.75

Mask = NDArray[np.bool_]


def lesion_mask(probability: FloatArray) -> Mask:
    """Return the most probable connected lesion.

    Parameters
    ----------
    probability : ndarray of float32 (H, W)
        In 0..1.

    Returns
    -------
    ndarray of bool (H, W)
        The part with the largest summed probability, holes filled; empty where it is tiny, covers
        nearly all of the field, or the network is not sure of it.
    """
    parts, n = ndimage.label(probability >= THRESHOLD)
    nothing = np.zeros(probability.shape, bool)
    if n == 0:
        return nothing
    sums = ndimage.sum_labels(probability, parts, np.arange(1, n + 1))
    part = parts == 1 + int(np.argmax(sums))
    certain = float(probability[part].mean()) >= LEAST_CERTAINTY
    mask = np.asarray(ndimage.binary_fill_holes(part), bool)
    return mask if certain and LEAST_SHARE <= mask.mean() <= MOST_SHARE else nothing
