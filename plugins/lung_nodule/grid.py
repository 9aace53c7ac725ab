"""The patch that the network reads: its grid, grey scale, and the mark of what is not known."""

from __future__ import annotations

import numpy as np

from whycad.types import FloatArray

# 40 x 57.6 x 57.6 mm about the seed. On the odd axis the seed is a voxel's centre, on the even ones
# it lies between two, so that flips keep it in place. Hardly any stack that readers cut to a
# nodule is 40 mm deep, and every CT is.
SHAPE = (25, 96, 96)
SPACING_MM = (1.6, 0.6, 0.6)
CENTRE = tuple((side - 1) / 2 for side in SHAPE)
MIDDLE = SHAPE[0] // 2

HU_RANGE = (-1000.0, 400.0)
HU_CENTRE, HU_SCALE = -300.0, 700.0
LUNG_HU = -850.0
# Known voxels lie in -1..1; everything that is not known holds this.
SENTINEL = -2.0
KNOWN_ABOVE = -1.5

LUNG_RANGE_HU = (-980.0, -600.0)

# What a plain picture may be: in the lung window, or scaled over the full range, at a usual pixel size.
PICTURE_RANGES_HU = ((-1350.0, 150.0), (-1000.0, 1250.0))
ASSUMED_PIXEL_MM = 0.7


def unscale_hu(scaled: FloatArray) -> FloatArray:
    """Bring -1..1 back to Hounsfield units."""
    return np.asarray(scaled * np.float32(HU_SCALE) + np.float32(HU_CENTRE), np.float32)


def scale_hu(hu: FloatArray) -> FloatArray:
    """Clip Hounsfield units to ``HU_RANGE`` and bring them to -1..1."""
    clipped = np.clip(np.asarray(hu, np.float32), *HU_RANGE)
    return np.asarray((clipped - np.float32(HU_CENTRE)) / np.float32(HU_SCALE), np.float32)
