"""A study's grey values in 0..1, whatever the file's unit."""

from __future__ import annotations

import numpy as np

from whycad.types import FloatArray, Study


def unit_greys(study: Study) -> FloatArray:
    """Return the pixels in 0..1.

    Pictures are in that range already. Stored values of a DICOM file are scaled by 255 where they
    fit into 8 bits, otherwise by their own range without the outermost thousandth.
    """
    pixels = np.asarray(study.pixels, np.float32)
    if study.unit == "normalised" or (float(pixels.min()) >= 0 and float(pixels.max()) <= 1):
        return np.clip(pixels, 0, 1)
    if float(pixels.min()) >= 0 and 64 < float(pixels.max()) <= 255:
        return np.asarray(pixels / np.float32(255), np.float32)
    low, high = np.percentile(pixels, [0.1, 99.9])
    return np.asarray(np.clip((pixels - low) / max(float(high - low), 1e-6), 0, 1), np.float32)
