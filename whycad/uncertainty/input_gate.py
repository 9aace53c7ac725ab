"""Small measurements of an image that tasks combine in their ``gate`` functions; numpy only.

Every function takes pixels, not a Study, and returns a number in a documented range, so that a
task sets its own bounds from its calibration images. ``exceeded`` turns bounds into reasons.

================  ======  ====================================================================
function          range   large for
================  ======  ====================================================================
dynamic_range     >= 0    strong contrast, in the image's unit; 0 for one flat value
flat_fraction     0..1    one value that fills much of the image (padding, saturated, drawn)
border_fraction   0..1    rows and columns at the edges that hold one value (letterbox, cropping)
bright_centre     -1..1   centre brighter than the rim; below 0 for inverted contrast
saturation        0..1    strong colours; 0 for grey
spectral_flatness 0..1    noise, whose power is the same at all frequencies
neighbour_match   -1..1   smooth images; about 0 for noise, below 0 for a checkerboard
outside_range     0..1    pixels outside of a range of values
tail_balance      -1..1   a long bright tail (few bright pixels); below 0 for a long dark one
================  ======  ====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.floating]
TINY = 1e-12


def grey(pixels: Pixels) -> NDArray[np.float64]:
    """Return ``(H, W)``: the mean of the colours of ``(H, W, 3)``, the middle slice of ``(Z, H, W)``."""
    values = np.asarray(pixels, dtype=np.float64)
    if values.ndim == 2:
        return values
    return np.asarray(values.mean(axis=-1) if values.shape[-1] == 3 else values[len(values) // 2])


def dynamic_range(pixels: Pixels) -> float:
    """Return the distance between the 1st and the 99th percentile, in the image's unit."""
    low, high = np.percentile(pixels, [1, 99])
    return float(high - low)


def flat_fraction(pixels: Pixels) -> float:
    """Return the share of pixels that hold the commonest of 256 grey levels."""
    counts, _ = np.histogram(grey(pixels), bins=256)
    return float(counts.max() / counts.sum())


def border_fraction(pixels: Pixels, tolerance: float = 0.01) -> float:
    """Return the share of rows or columns, whichever is larger, at the edges that are one flat value.

    Parameters
    ----------
    pixels : ndarray (H, W), (H, W, 3) or (Z, H, W)
    tolerance : float
        Range within such a row, as a share of the image's own range.
    """
    image = grey(pixels)
    allowed = tolerance * max(float(np.ptp(image)), TINY)
    shares = []
    for axis in (1, 0):
        flat = np.ptp(image, axis=axis) <= allowed
        if flat.all():
            return 1.0
        shares.append(float((flat.argmin() + flat[::-1].argmin()) / len(flat)))
    return max(shares)


def bright_centre(pixels: Pixels, share: float = 0.5) -> float:
    """Return how much brighter the centre is than the rest, in units of the image's 1-99 % range.

    Parameters
    ----------
    pixels : ndarray (H, W), (H, W, 3) or (Z, H, W)
    share : float
        Side of the centre as a share of the image's.
    """
    image = grey(pixels)
    low, high = np.percentile(image, [1, 99])
    if high - low < TINY:
        return 0.0
    height, width = image.shape
    rows, columns = (max(1, round(side * (1 - share) / 2)) for side in image.shape)
    inside = np.zeros(image.shape, bool)
    inside[rows : height - rows, columns : width - columns] = True
    if inside.all() or not inside.any():
        return 0.0
    clipped = np.clip((image - low) / (high - low), 0, 1)
    return float(clipped[inside].mean() - clipped[~inside].mean())


def saturation(pixels: Pixels) -> float:
    """Return the mean colour saturation of ``(H, W, 3)`` in 0..1 (HSV); 0 for a grey image."""
    values = np.asarray(pixels, dtype=np.float64)
    if values.ndim != 3 or values.shape[-1] != 3:
        return 0.0
    high, low = values.max(axis=-1), values.min(axis=-1)
    return float(np.mean(np.where(high > TINY, (high - low) / np.maximum(high, TINY), 0.0)))


def spectral_flatness(pixels: Pixels, n_rings: int = 24) -> float:
    """Return the geometric over the arithmetic mean of the power spectrum's rings.

    Natural and medical images hold most power at low frequencies (below 0.1); white noise has the
    same everywhere (near 1).

    Parameters
    ----------
    pixels : ndarray (H, W), (H, W, 3) or (Z, H, W)
        Of at least 8 x 8.
    n_rings : int
        Rings of equal width up to the Nyquist frequency.
    """
    image = grey(pixels)
    windowed = (image - image.mean()) * np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])[None]
    power = np.abs(np.fft.rfft2(windowed)) ** 2
    radius = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None])
    ring = np.minimum((radius * 2 * n_rings).astype(np.int64), n_rings)
    counts = np.bincount(ring.ravel(), minlength=n_rings + 1)[:n_rings]
    means = np.bincount(ring.ravel(), weights=power.ravel(), minlength=n_rings + 1)[:n_rings] / np.maximum(counts, 1)
    means = means[counts > 0]
    if means.sum() < TINY:
        return 0.0
    return float(np.exp(np.mean(np.log(means + TINY * means.max()))) / means.mean())


def neighbour_match(pixels: Pixels) -> float:
    """Return the mean correlation of each pixel with its right and lower neighbour, -1..1."""
    image = grey(pixels)
    image = image - image.mean()
    power = float(np.mean(image**2))
    if power < TINY:
        return 1.0
    across = float(np.mean(image[:, 1:] * image[:, :-1]))
    down = float(np.mean(image[1:] * image[:-1]))
    return float(np.clip((across + down) / 2 / power, -1, 1))


def outside_range(pixels: Pixels, low: float, high: float) -> float:
    """Return the share of pixels below ``low`` or above ``high``."""
    return float(np.mean((pixels < low) | (pixels > high)))


def tail_balance(pixels: Pixels) -> float:
    """Return how much longer the bright tail of the grey levels is than the dark one, -1..1.

    ``(p99 + p1 - 2 median) / (p99 - p1)``; the sign turns with inverted contrast.
    """
    low, middle, high = np.percentile(grey(pixels), [1, 50, 99])
    return float((high + low - 2 * middle) / (high - low)) if high - low > TINY else 0.0


@dataclass(frozen=True)
class Bound:
    """What a measurement must lie within, and what to tell the reader where it does not.

    Attributes
    ----------
    value : float
    low, high : float
        Inclusive.
    reason : str
        A sentence in plain words.
    """

    value: float
    low: float
    high: float
    reason: str


def exceeded(bounds: Sequence[Bound]) -> tuple[str, ...]:
    """Return the reasons of the bounds that do not hold; a value that is no number never holds."""
    return tuple(bound.reason for bound in bounds if not bound.low <= bound.value <= bound.high)
