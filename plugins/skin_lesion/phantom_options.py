"""What a simulated dermoscopy case can be asked for, and how each diagnosis usually looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plugins.skin_lesion import artefacts
from plugins.skin_lesion.phantom_other import (
    paint_actinic,
    paint_basal_cell,
    paint_dermatofibroma,
    paint_vascular,
)
from plugins.skin_lesion.phantom_pigmented import paint_keratosis, paint_melanoma, paint_nevus
from plugins.skin_lesion.phantom_scene import Scene
from plugins.skin_lesion.phantom_skin import SKIN_TONES
from whycad.errors import DatasetError

Painter = Callable[[Scene], None]
MIN_SIDE = 64


@dataclass(frozen=True)
class Habit:
    """How a diagnosis usually looks.

    Attributes
    ----------
    paint : callable
    patterns : tuple of str
        Its looks; one is drawn where the options name none.
    area : tuple of float
        Range of the lesion's share of the image.
    irregularity, asymmetry, variegation, network : float
        Usual values, 0..1.
    elongation, edge : float
        Longer over shorter axis; width of the fading border in radii.
    mottling : float
        Sun damage of the skin around, 0..1.
    tones : tuple of str
        Skin tones that are drawn from.
    """

    paint: Painter
    patterns: tuple[str, ...]
    area: tuple[float, float]
    irregularity: float
    asymmetry: float
    variegation: float
    network: float
    elongation: float
    edge: float
    mottling: float
    tones: tuple[str, ...]


HABITS: Mapping[str, Habit] = {
    "akiec": Habit(
        paint_actinic, ("strawberry", "pigmented"), (0.25, 0.42), 0.5, 0.3, 0.6, 0, 1.3, 0.3, 0.75, ("rose", "salmon")
    ),
    "bcc": Habit(
        paint_basal_cell, ("pigmented", "nodular"), (0.12, 0.25), 0.4, 0.3, 0.5, 0, 1.25, 0.18, 0.6, ("pale", "ivory")
    ),
    "bkl": Habit(
        paint_keratosis, ("keratosis", "lentigo"), (0.14, 0.3), 0.6, 0.25, 0.4, 0.3, 1.3, 0.05, 0.7, ("lilac", "ivory")
    ),
    "df": Habit(paint_dermatofibroma, ("scar",), (0.14, 0.3), 0.3, 0.1, 0.4, 0.6, 1.1, 0.45, 0.4, ("rose", "ivory")),
    "mel": Habit(
        paint_melanoma, ("veil", "regression"), (0.2, 0.38), 0.75, 0.6, 0.9, 0.7, 1.3, 0.09, 0.5, ("lilac", "pale")
    ),
    "nv": Habit(
        paint_nevus,
        ("reticular", "globular", "homogeneous"),
        (0.1, 0.22),
        0.25,
        0.12,
        0.2,
        0.7,
        1.2,
        0.18,
        0.15,
        ("rose", "salmon", "ivory"),
    ),
    "vasc": Habit(
        paint_vascular, ("cherry", "angiokeratoma"), (0.03, 0.10), 0.3, 0.12, 0.3, 0, 1.15, 0.08, 0.2, ("rose", "pale")
    ),
}
LABELS = tuple(HABITS)


@dataclass(frozen=True)
class PhantomOptions:
    """What a simulated case should show; None means as usual for the label.

    Attributes
    ----------
    label : str
        One of ``LABELS``.
    artefacts : tuple of str
        Kinds from `plugins.skin_lesion.artefacts`, put in in this order.
    size : tuple of int
        Height and width in pixels, 64 or more.
    pattern : str
        Look of the label, such as ``globular``; empty draws one.
    area : float or None
        Lesion's share of the image, 0.01..0.6.
    centre : tuple of float or None
        Of the lesion, as shares of height and width, 0..1.
    irregularity, asymmetry, variegation, network : float or None
        0..1: border, shape, colours, pigment network.
    skin : str
        Tone from ``SKIN_TONES``; empty draws one that is usual for the label.
    strength : float
        Of the artefacts, 0..1.
    site : str
        Body site for the metadata, such as ``back``; does not change the image.
    """

    label: str = "nv"
    artefacts: tuple[str, ...] = ()
    size: tuple[int, int] = (450, 600)
    pattern: str = ""
    area: float | None = None
    centre: tuple[float, float] | None = None
    irregularity: float | None = None
    asymmetry: float | None = None
    variegation: float | None = None
    network: float | None = None
    skin: str = ""
    strength: float = 0.6
    site: str = ""

    def __post_init__(self) -> None:
        _check_choice("label", self.label, LABELS)
        _check_choice("pattern", self.pattern, ("", *HABITS[self.label].patterns))
        _check_choice("skin", self.skin, ("", *SKIN_TONES))
        for kind in self.artefacts:
            _check_choice("artefact", kind, artefacts.KINDS)
        if min(self.size) < MIN_SIDE:
            raise DatasetError(f"phantom size {self.size}: each side needs {MIN_SIDE} pixels or more")
        _check_range("area", self.area, 0.01, 0.6)
        for name in ("irregularity", "asymmetry", "variegation", "network", "strength"):
            _check_range(name, getattr(self, name), 0, 1)
        for share in self.centre or ():
            _check_range("centre", share, 0, 1)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        known = ", ".join(choice for choice in choices if choice)
        raise DatasetError(f"phantom option {name}: {value!r} is unknown", remedy=f"one of {known}")


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise DatasetError(f"phantom option {name}: {value} is outside {low}..{high}")
