"""An edge detector as an explanation: what every map must beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray


def edge_map(image: FloatArray) -> FloatArray:
    """Return the Sobel gradient magnitude of a grey image or volume.

    Parameters
    ----------
    image : ndarray (*shape)
        Axes of one pixel are left out.

    References
    ----------
    Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018: maps that look like edges say
    little about the model.
    """
    values = np.squeeze(np.asarray(image, np.float64))
    squares: NDArray[np.float64] = np.zeros_like(values)
    for axis in range(values.ndim):
        squares += ndimage.sobel(values, axis=axis, mode="nearest") ** 2
    return np.asarray(np.sqrt(squares), np.float32).reshape(image.shape)
