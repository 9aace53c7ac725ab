"""How each sign of fibrosis changes with the stage: the simulator's effect sizes.

Directions follow published studies; most magnitudes are this simulator's own choice, and each
entry says which is which. Within a stage the signs are drawn independently of one another, which
real livers do not do: it makes staging easier here than it is.

References
----------
Yasaka et al., Radiology 2018, doi:10.1148/radiol.2017171928: AUROC 0.85 (>=F2), 0.84 (>=F3) and 0.84
(F4) of a network on real hepatobiliary-phase images.
Watanabe et al., Radiology 2011, doi:10.1148/radiol.10100621: gadoxetate enhancement falls with the stage.
Harbin et al., Radiology 1980;135:273-283: caudate to right lobe ratio, 0.37 in normal livers and above 0.65
in cirrhosis.
Smith et al., Radiology 2016;280:771-781: the liver's surface grows nodular (on CT).
Faria et al., RadioGraphics 2009;29:1615-1635: reticular pattern and lobe proportions on MR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STAGES = ("F0", "F1", "F2", "F3", "F4")


@dataclass(frozen=True)
class Effect:
    """One sign: its mean at each stage and its spread within a stage.

    Attributes
    ----------
    name : str
    means : tuple of float (5,)
        At F0 to F4.
    deviation : float
        Standard deviation within a stage.
    limits : tuple of float
        Values are clipped to these.
    words : str
        The sign in plain words.
    basis : str
        Where the numbers come from.
    """

    name: str
    means: tuple[float, float, float, float, float]
    deviation: float
    limits: tuple[float, float]
    words: str
    basis: str


EFFECTS: tuple[Effect, ...] = (
    Effect(
        "liver_to_spleen",
        (1.95, 1.85, 1.75, 1.65, 1.55),
        0.185,
        (1.05, 2.6),
        "liver brightness relative to the spleen",
        "direction: Watanabe 2011; magnitude chosen so that the ratio alone reaches AUROC 0.85 at most",
    ),
    Effect(
        "reticulation",
        (0.02, 0.035, 0.05, 0.068, 0.09),
        0.02,
        (0.0, 0.2),
        "dark reticular pattern, as a share of the liver's signal",
        "direction: Faria 2009; magnitude chosen so that it is seen above the noise from F2 on",
    ),
    Effect(
        "nodularity_mm",
        (0.5, 0.75, 1.05, 1.45, 1.95),
        0.42,
        (0.1, 4.0),
        "surface nodularity, root mean square in mm",
        "direction: Smith 2016; magnitude chosen so that it is resolved by 2.5 mm pixels from F3 on",
    ),
    Effect(
        "caudate_ratio",
        (0.37, 0.45, 0.55, 0.67, 0.80),
        0.165,
        (0.15, 1.3),
        "width of the caudate relative to the right lobe",
        "ends and spread: Harbin 1980; stages in between interpolated",
    ),
    Effect(
        "left_scale",
        (1.0, 1.03, 1.06, 1.10, 1.15),
        0.075,
        (0.75, 1.4),
        "size of the left lateral lobe relative to the usual",
        "direction: Faria 2009; magnitude chosen so that no single sign decides",
    ),
    Effect(
        "right_scale",
        (1.0, 0.97, 0.94, 0.90, 0.86),
        0.075,
        (0.6, 1.25),
        "size of the right lobe relative to the usual",
        "direction: Faria 2009; magnitude chosen so that no single sign decides",
    ),
    Effect(
        "spleen_log_area",
        (0.0, 0.07, 0.15, 0.25, 0.36),
        0.2,
        (-0.7, 1.0),
        "log of the spleen's area relative to the usual",
        "direction: Faria 2009; magnitude chosen so that no single sign decides",
    ),
    Effect(
        "vein_scale",
        (1.0, 0.95, 0.90, 0.83, 0.76),
        0.2,
        (0.3, 1.6),
        "calibre of the hepatic veins relative to the usual",
        "chosen: veins narrow as the liver stiffens",
    ),
)
SIGN_NAMES = tuple(effect.name for effect in EFFECTS)


def draw_signs(rng: np.random.Generator, stage: int) -> dict[str, float]:
    """Draw the signs of one liver.

    Parameters
    ----------
    rng : numpy.random.Generator
    stage : int
        0..4.

    Returns
    -------
    dict of str to float
        By name, in the order of ``EFFECTS``.
    """
    noise = rng.normal(size=len(EFFECTS))
    drawn = {}
    for effect, error in zip(EFFECTS, noise, strict=True):
        value = effect.means[stage] + effect.deviation * float(error)
        drawn[effect.name] = float(np.clip(value, *effect.limits))
    return drawn


def sign_levels(signs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Grade signs ``(n, 8)`` as not seen, mild or marked: 0, 1 or 2.

    The cuts lie midway between the means of F0 and F2, and of F2 and F4.
    """
    levels = np.empty(signs.shape, np.int64)
    for column, effect in enumerate(EFFECTS):
        means = np.asarray(effect.means)
        rising = 1.0 if means[4] > means[0] else -1.0
        cuts = rising * np.array([(means[0] + means[2]) / 2, (means[2] + means[4]) / 2])
        levels[:, column] = np.searchsorted(cuts, rising * signs[:, column])
    return levels
