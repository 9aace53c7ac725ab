"""Colours of a lesion: how many of the six of the ABCD rule it shows, and how much they vary.

References
----------
Nachbar et al., J Am Acad Dermatol 1994;30:551-559: white, red, light brown, dark brown, blue-grey, black.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

from whycad.types import FloatArray

# Centres in CIELAB, chosen by eye on training images brought to a skin lightness of ``SKIN_LIGHTNESS``.
CENTRES = {
    "white": (90.0, 2.0, 2.0),
    "red": (52.0, 36.0, 18.0),
    "light brown": (56.0, 16.0, 22.0),
    "dark brown": (33.0, 14.0, 14.0),
    "blue-grey": (44.0, 4.0, -4.0),
    "black": (14.0, 4.0, 3.0),
}
SKIN_LIGHTNESS = 72.0
LEAST_SKIN_SHARE = 0.1
# A colour counts where it takes this share of the lesion.
LEAST_SHARE = 0.05

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LesionColours:
    """An image in CIELAB, beside what the skin around the lesion has.

    Attributes
    ----------
    lab : ndarray of float32 (H, W, 3)
        Shifted so that the skin has lightness ``SKIN_LIGHTNESS``.
    skin : tuple of float or None
        Median colour of the skin; None where too little of it is seen, and then nothing is shifted.
    """

    lab: FloatArray
    skin: tuple[float, float, float] | None


@dataclass(frozen=True)
class Colours:
    """Colours of a lesion.

    Attributes
    ----------
    shares : dict of str to float
        Share of the lesion nearest to each of the six colours; what is nearest to the skin's own colour
        belongs to none.
    variegation : float
        Mean distance from the lesion's median colour, in CIELAB.
    """

    shares: dict[str, float]
    variegation: float

    @property
    def present(self) -> tuple[str, ...]:
        """The colours that take at least 5 % of the lesion."""
        return tuple(name for name, share in self.shares.items() if share >= LEAST_SHARE)


def lesion_colours(pixels: FloatArray, mask: Mask) -> LesionColours:
    """Bring an image to CIELAB.

    Parameters
    ----------
    pixels : ndarray of float32 (H, W, 3)
        sRGB in 0..1.
    mask : ndarray of bool (H, W)
        The lesion, not empty; where skin is less than a tenth of the field, it counts as not seen.
    """
    lab = np.asarray(rgb2lab(np.clip(pixels, 0, 1)), np.float32)
    # Dark corners are darker than the lesion, and no skin.
    skin = ~mask & (lab[..., 0] > np.median(lab[..., 0][mask]))
    if skin.mean() < LEAST_SKIN_SHARE:
        return LesionColours(lab, None)
    lightness, a, b = (float(value) for value in np.median(lab[skin], axis=0))
    lab[..., 0] += np.float32(SKIN_LIGHTNESS - lightness)
    return LesionColours(lab, (SKIN_LIGHTNESS, a, b))


def measure_colours(colours: LesionColours, mask: Mask) -> Colours:
    """Measure the colours inside a mask that is not empty."""
    inside = colours.lab[mask].astype(np.float64)
    centres = np.array([*CENTRES.values(), *([] if colours.skin is None else [colours.skin])])
    nearest = ((inside[:, None] - centres[None]) ** 2).sum(axis=-1).argmin(axis=1)
    shares = np.bincount(nearest, minlength=len(centres)) / len(inside)
    spread = float(np.linalg.norm(inside - np.median(inside, axis=0), axis=1).mean())
    return Colours({name: float(share) for name, share in zip(CENTRES, shares, strict=False)}, spread)
