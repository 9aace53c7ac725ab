"""Shape of an outlined lesion: asymmetry and border, after the ABCD rule of dermoscopy.

All measures are without units and do not change when the lesion is shifted, turned or enlarged.

References
----------
Nachbar et al., J Am Acad Dermatol 1994;30:551-559: the ABCD rule; two axes at right angles, laid so that
asymmetry is least.
Golston, Stoecker and Moss, Comput Med Imaging Graph 1992;16:145-150: irregularity from perimeter and area.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ellipe
from skimage.measure import find_contours
from skimage.morphology import convex_hull_image

from whycad.types import FloatArray

Mask = NDArray[np.bool_]
# The lesion is brought to one size before it is folded; axes are tried in steps of five degrees.
FOLDED_SIDE = 96
ANGLES_DEG = tuple(range(0, 90, 5))
# As wide as the network's own blur of an edge, so that single pixels do not count as notches.
SMOOTH = 1.0


@dataclass(frozen=True)
class Folded:
    """How far a lesion differs from its mirror images, mean of two axes at right angles.

    Attributes
    ----------
    shape : float
        Share of the area without a counterpart, 0..1, at the axes where it is least.
    colour : float
        Mean distance in CIELAB between places that mirror each other, at the axes where it is least.
    """

    shape: float
    colour: float


def folded(mask: Mask, lab: FloatArray) -> Folded:
    """Fold a lesion over pairs of axes through its centre.

    Parameters
    ----------
    mask : ndarray of bool (H, W)
        Not empty.
    lab : ndarray of float32 (H, W, 3)
        Its colours in CIELAB.
    """
    layers = _centred(mask, lab)
    found = [_at_angle(layers, angle) for angle in ANGLES_DEG]
    return Folded(min(shape for shape, _ in found), min(colour for _, colour in found))


def _centred(mask: Mask, lab: FloatArray) -> FloatArray:
    """Return outline and colours ``(4, side, side)``, centred and scaled so that every turn fits."""
    rows, columns = np.nonzero(mask)
    centre = np.array([rows.mean(), columns.mean()])
    radius = float(np.hypot(rows - centre[0], columns - centre[1]).max()) + 1.0
    scale = 2 * radius / FOLDED_SIDE
    offset = centre - scale * (FOLDED_SIDE - 1) / 2
    smooth = np.stack([mask.astype(np.float32), *np.moveaxis(lab, -1, 0)])
    if scale > 1:
        smooth = ndimage.gaussian_filter(smooth, (0, scale / 2, scale / 2))
    return np.stack(
        [
            ndimage.affine_transform(layer, [scale, scale], offset, (FOLDED_SIDE, FOLDED_SIDE), order=1, mode=mode)
            for layer, mode in zip(smooth, ("constant", "nearest", "nearest", "nearest"), strict=True)
        ]
    )


def _at_angle(layers: FloatArray, angle: float) -> tuple[float, float]:
    if angle:
        layers = ndimage.rotate(layers, angle, axes=(1, 2), reshape=False, order=1, mode="nearest")
    inside = layers[0] > 0.5
    pairs = [(np.flip(layers, axis), np.flip(inside, axis - 1)) for axis in (1, 2)]
    shape = [float((inside ^ mirrored).sum()) / (2 * max(int(inside.sum()), 1)) for _, mirrored in pairs]
    colour = [_colour_distance(layers, other, inside & mirrored) for other, mirrored in pairs]
    return float(np.mean(shape)), float(np.mean(colour))


def _colour_distance(layers: FloatArray, other: FloatArray, both: Mask) -> float:
    if not both.any():
        return 0.0
    return float(np.sqrt(((layers[1:] - other[1:]) ** 2).sum(axis=0))[both].mean())


@dataclass(frozen=True)
class Border:
    """How far an outline departs from an ellipse.

    Attributes
    ----------
    irregularity : float
        One minus the squared ratio of perimeters, that of the ellipse with the same second moments to
        the outline's: 0 for an ellipse, towards 1 the longer the outline winds.
    indentation : float
        Share of the convex hull that the lesion leaves empty, 0..1.
    """

    irregularity: float
    indentation: float


def border_of(mask: Mask) -> Border:
    """Measure an outline ``(H, W)`` that is not empty."""
    length = outline_length(mask)
    hull = convex_hull_image(mask)
    ratio = min(_ellipse_perimeter(mask) / max(length, 1e-9), 1.0)
    return Border(1 - ratio**2, 1 - float(mask.sum()) / float(hull.sum()))


def outline_length(mask: Mask) -> float:
    """Return the length of the longest border of a mask, in pixels, after a slight smoothing."""
    smooth = ndimage.gaussian_filter(np.pad(mask, 4).astype(np.float32), SMOOTH)
    contours = find_contours(smooth, 0.5)
    return max((float(np.hypot(*np.diff(contour, axis=0).T).sum()) for contour in contours), default=0.0)


def _ellipse_perimeter(mask: Mask) -> float:
    """Return the perimeter of the ellipse of the same area and second moments."""
    rows, columns = np.nonzero(mask)
    moments = np.linalg.eigvalsh(np.cov(np.stack([rows, columns]), bias=True) + np.eye(2) / 12)
    ratio = float(np.sqrt(moments[0] / moments[1]))
    long = float(np.sqrt(len(rows) / (np.pi * ratio)))
    return float(4 * long * ellipe(1 - ratio**2))
