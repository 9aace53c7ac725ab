"""An edge detector as an explanation: what every map must beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray


def edge_map(image: FloatArray, axes: tuple[int, ...] | None = None) -> FloatArray:
    """Return the Sobel gradient magnitude of a grey image or volume.

    Parameters
    ----------
    image : ndarray (*shape)
    axes : tuple of int or None
        Along which edges are looked for; None is all that are wider than one pixel.

    References
    ----------
    Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018: maps that look like edges say
    little about the model.
    """
    values = np.asarray(image, np.float64)
    wide = tuple(axis for axis, side in enumerate(values.shape) if side > 1) if axes is None else axes
    squares: NDArray[np.float64] = np.zeros_like(values)
    for axis in wide:
        squares += ndimage.sobel(values, axis=axis, mode="nearest") ** 2
    return np.asarray(np.sqrt(squares), np.float32)
