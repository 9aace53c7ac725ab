"""Grey values to what a screen shows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from whycad.errors import GeometryError
from whycad.types import FloatArray, Study

_FULL_RANGE = (0.5, 1.0)
_SAMPLES = 1_000_000


def default_window(study: Study) -> tuple[float, float]:
    """Return centre and width for showing a study.

    That is the file's own window; 0..1 for colour and plain pictures; otherwise the range
    between the 0.5th and 99.5th percentile.
    """
    if study.is_colour or study.unit == "normalised":
        return _FULL_RANGE
    if study.window is not None and study.window[1] > 0.0:
        return study.window
    values = study.pixels.reshape(-1)
    low, high = (float(v) for v in np.percentile(values[:: max(1, values.size // _SAMPLES)], (0.5, 99.5)))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return (low + high) / 2.0, max(high - low, 1e-6)


def to_uint8(study: Study, window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Map pixels to 0..255 through a display window.

    The window is linear from ``centre - width / 2`` to ``centre + width / 2`` (DICOM's LINEAR_EXACT),
    and is applied to each colour channel alike.

    Parameters
    ----------
    study : Study
    window : tuple of float or None
        Centre and width in the study's unit; None for ``default_window``.

    Returns
    -------
    ndarray of uint8
        Of the shape of the pixels: ``(H, W)``, ``(H, W, 3)`` or ``(Z, H, W)``.

    Raises
    ------
    GeometryError
        If the window is not finite or its width not positive.
    """
    centre, width = default_window(study) if window is None else window
    if not (math.isfinite(centre) and math.isfinite(width) and width > 0.0):
        raise GeometryError("display window: centre and width must be finite and the width positive")
    scaled: FloatArray = (study.pixels - np.float32(centre)) * np.float32(255.0 / width) + np.float32(127.5)
    shown: NDArray[np.uint8] = np.rint(scaled.clip(0.0, 255.0)).astype(np.uint8)
    return shown
