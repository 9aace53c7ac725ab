"""Simulated dermoscopy cases with a known lesion mask, drawn from a seed.

Nothing here comes from a picture: colours follow a model of skin optics, and only the typical
areas, tones and contrasts were set to those of public dermoscopy images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from plugins.skin_lesion import artefacts
from plugins.skin_lesion.phantom_other import (
    paint_actinic,
    paint_basal_cell,
    paint_dermatofibroma,
    paint_vascular,
)
from plugins.skin_lesion.phantom_pigmented import paint_keratosis, paint_melanoma, paint_nevus
from plugins.skin_lesion.phantom_scene import Scene
from plugins.skin_lesion.phantom_shape import OutlineSpec, make_outline
from plugins.skin_lesion.phantom_skin import (
    SKIN_TONES,
    CameraSpec,
    SkinSpec,
    develop,
    paint_skin,
    photograph,
    sensor_noise,
)
from whycad.errors import DatasetError
from whycad.phantom import DeferredCase, PhantomCase, colour_study
from whycad.types import FloatArray

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
        paint_actinic, ("strawberry", "pigmented"), (0.25, 0.42), 0.5, 0.3, 0.6, 0, 1.3, 0.3, 0.9, ("rose", "salmon")
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
        ("rose", "salmon"),
    ),
    "vasc": Habit(
        paint_vascular, ("cherry", "angiokeratoma"), (0.05, 0.15), 0.3, 0.12, 0.3, 0, 1.15, 0.08, 0.2, ("rose", "pale")
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


@dataclass(frozen=True, eq=False)
class Rendering:
    """A phantom's image and what is where in it.

    Attributes
    ----------
    image : ndarray of uint8 (H, W, 3)
    mask : ndarray of bool (H, W)
        The lesion.
    artefact_mask : ndarray of bool (H, W)
        All artefacts together.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    artefact_mask: NDArray[np.bool_]


def _or(value: float | None, usual: float) -> float:
    return usual if value is None else value


def _outline_spec(rng: np.random.Generator, options: PhantomOptions, habit: Habit) -> OutlineSpec:
    usual_area, wobble = float(rng.uniform(*habit.area)), rng.normal(0, 0.03, 2)
    return OutlineSpec(
        area=_or(options.area, usual_area),
        centre=options.centre or (0.5 + float(wobble[0]), 0.5 + float(wobble[1])),
        irregularity=_or(options.irregularity, habit.irregularity),
        asymmetry=_or(options.asymmetry, habit.asymmetry),
        elongation=habit.elongation,
        edge=habit.edge,
    )


def _skin_spec(rng: np.random.Generator, options: PhantomOptions, habit: Habit) -> SkinSpec:
    tone = habit.tones[int(rng.integers(len(habit.tones)))]
    shared, own = rng.normal(0, 0.03), rng.normal(0, 0.015, 3)
    return SkinSpec(
        tone=options.skin or tone,
        mottling=habit.mottling,
        vessels=int(rng.integers(0, 1 + round(7 * habit.mottling))),
        freckles=int(rng.integers(0, 1 + round(14 * habit.mottling**2))),
        shift=(float(1 + shared + own[0]), float(1 + shared + own[1]), float(1 + shared + own[2])),
    )


def _scene_image(seed: int, options: PhantomOptions) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Paint and photograph the case without artefacts and noise: image 0..1 and lesion mask."""
    habit = HABITS[options.label]
    # Independent streams: an option that changes one part leaves the others as they were.
    look, shape_rng, skin_rng, lesion_rng, light_rng = np.random.default_rng(seed).spawn(5)
    skin = _skin_spec(look, options, habit)
    spec = _outline_spec(look, options, habit)
    pattern = habit.patterns[int(look.integers(len(habit.patterns)))]
    outline = make_outline(shape_rng, options.size, spec)
    scene = Scene(
        rng=lesion_rng,
        outline=outline,
        layers=paint_skin(skin_rng, options.size, skin),
        pattern=options.pattern or pattern,
        variegation=_or(options.variegation, habit.variegation),
        network=_or(options.network, habit.network),
    )
    habit.paint(scene)
    camera = CameraSpec(blur=float(look.uniform(0.8, 1.3)), gradient=float(look.uniform(0.01, 0.05)))
    return photograph(light_rng, develop(scene.layers, skin), camera), outline.mask


def render(seed: int, options: PhantomOptions) -> Rendering:
    """Render one case; the same seed and options give the same bytes.

    Artefacts and noise come last, so that outside ``artefact_mask`` the image is the one
    that the options without artefacts give.
    """
    light, mask = _scene_image(seed, options)
    light = np.clip(light, 0, 1)
    touched = np.zeros(mask.shape, bool)
    for kind in options.artefacts:
        changed, where = artefacts.insert(light, kind, seed, options.strength)
        light, touched = changed.astype(np.float32), touched | where
    noise = sensor_noise(np.random.default_rng([seed, 1]), options.size, CameraSpec().noise)
    noise *= 0.3 + 0.7 * light.mean(axis=2, keepdims=True)
    image = np.rint(255 * np.clip(light + noise, 0, 1)).astype(np.uint8)
    return Rendering(image, mask, touched)


def make_case(seed: int, options: PhantomOptions | None = None) -> PhantomCase:
    """Make one simulated case.

    Parameters
    ----------
    seed : int
        0 or more; fixes everything that the options leave open.
    options : PhantomOptions or None
        None gives a usual nevus.

    Returns
    -------
    PhantomCase
        Study ``(H, W, 3)`` float32 in 0..1 (8-bit steps), with the lesion's mask.

    Raises
    ------
    DatasetError
        By `PhantomOptions`, when an option is unknown or out of range.
    """
    options = options or PhantomOptions()
    rendering = render(seed, options)
    spacing = artefacts.FIELD_OF_VIEW_MM / options.size[1]
    return PhantomCase(
        study=colour_study(rendering.image, spacing_mm=(spacing, spacing)),
        mask=rendering.mask,
        label=options.label,
        name=f"{options.label} {seed}",
        description=f"Simulated {options.label} phantom, seed {seed}.",
        artefacts=options.artefacts,
    )


@dataclass(frozen=True)
class Sample:
    """One entry of the sample list."""

    name: str
    description: str
    seed: int
    options: PhantomOptions


SAMPLES: tuple[Sample, ...] = (
    Sample(
        "Nevus, reticular",
        "Even brown nevus with a regular pigment network on light skin.",
        3,
        PhantomOptions("nv", pattern="reticular"),
    ),
    Sample(
        "Melanoma, blue-white veil",
        "Asymmetric, irregular border, several colours, broken network and a blue-white veil.",
        5,
        PhantomOptions("mel", pattern="veil"),
    ),
    Sample(
        "Basal cell carcinoma",
        "Pink plaque with arborising vessels, leaf-like areas and blue-grey nests.",
        2,
        PhantomOptions("bcc", pattern="pigmented"),
    ),
    Sample(
        "Actinic keratosis",
        "Strawberry pattern: redness around pale follicles, with scale, on sun-damaged skin.",
        4,
        PhantomOptions("akiec", pattern="strawberry"),
    ),
    Sample(
        "Seborrhoeic keratosis",
        "Stuck-on plaque with milia-like cysts and comedo-like openings.",
        6,
        PhantomOptions("bkl", pattern="keratosis"),
    ),
    Sample(
        "Dermatofibroma",
        "Central white scar within a delicate network that fades into the skin.",
        7,
        PhantomOptions("df"),
    ),
    Sample(
        "Cherry angioma, dark corners",
        "Red lacunae with pale septa, seen through a round aperture.",
        8,
        PhantomOptions("vasc", ("dark_corner",), pattern="cherry"),
    ),
    Sample(
        "Nevus under hair, with ruler",
        "Globular nevus partly hidden by hair; a millimetre scale at the edge.",
        9,
        PhantomOptions("nv", ("hair", "ruler"), pattern="globular"),
    ),
    Sample(
        "Melanoma with ink marking",
        "Irregular lesion with regression, marked with a skin pen.",
        10,
        PhantomOptions("mel", ("ink",), pattern="regression"),
    ),
    Sample(
        "Nevus with coloured patch",
        "Even nevus beside a coloured calibration sticker.",
        11,
        PhantomOptions("nv", ("patches",), pattern="homogeneous"),
    ),
)


def _make_sample(sample: Sample) -> PhantomCase:
    return replace(make_case(sample.seed, sample.options), name=sample.name, description=sample.description)


@cache
def sample_cases() -> tuple[PhantomCase, ...]:
    """Return the sample cases of the demo; each is rendered when its study is first asked for."""
    return tuple(
        DeferredCase(
            partial(_make_sample, sample),
            label=sample.options.label,
            name=sample.name,
            description=sample.description,
            artefacts=sample.options.artefacts,
        )
        for sample in SAMPLES
    )
