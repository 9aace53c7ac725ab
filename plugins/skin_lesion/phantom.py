"""Simulated dermoscopy cases with a known lesion mask, drawn from a seed.

Nothing here comes from a picture: colours follow a model of skin optics, and only the typical
areas, tones and contrasts were set to those of public dermoscopy images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from plugins.skin_lesion import artefacts
from plugins.skin_lesion.phantom_options import HABITS, LABELS, Habit, PhantomOptions
from plugins.skin_lesion.phantom_scene import Scene
from plugins.skin_lesion.phantom_shape import OutlineSpec, make_outline
from plugins.skin_lesion.phantom_skin import (
    CameraSpec,
    SkinSpec,
    develop,
    paint_skin,
    photograph,
    sensor_noise,
)
from whycad.phantom import DeferredCase, PhantomCase, colour_study
from whycad.types import FloatArray

__all__ = ["LABELS", "PhantomOptions", "Rendering", "make_case", "render", "sample_cases"]


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
    metadata = {"site": options.site} if options.site else {}
    return PhantomCase(
        study=colour_study(rendering.image, spacing_mm=(spacing, spacing), metadata=metadata),
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
        21,
        PhantomOptions("nv", pattern="reticular", site="back"),
    ),
    Sample(
        "Melanoma, blue-white veil",
        "Asymmetric, irregular border, several colours, broken network and a blue-white veil.",
        25,
        PhantomOptions("mel", pattern="veil", site="back"),
    ),
    Sample(
        "Basal cell carcinoma",
        "Pink plaque with arborising vessels, leaf-like areas and blue-grey nests.",
        20,
        PhantomOptions("bcc", pattern="pigmented", site="face"),
    ),
    Sample(
        "Actinic keratosis",
        "Strawberry pattern: redness around pale follicles, with scale, on sun-damaged skin.",
        25,
        PhantomOptions("akiec", pattern="strawberry", site="face"),
    ),
    Sample(
        "Seborrhoeic keratosis",
        "Stuck-on plaque with milia-like cysts and comedo-like openings.",
        24,
        PhantomOptions("bkl", pattern="keratosis", site="trunk"),
    ),
    Sample(
        "Dermatofibroma",
        "Central white scar within a delicate network that fades into the skin.",
        20,
        PhantomOptions("df", site="lower extremity"),
    ),
    Sample(
        "Cherry angioma, dark corners",
        "Red lacunae with pale septa, seen through a round aperture.",
        30,
        PhantomOptions("vasc", ("dark_corner",), pattern="cherry", site="abdomen"),
    ),
    Sample(
        "Nevus under hair, with ruler",
        "Globular nevus partly hidden by hair; a millimetre scale at the edge.",
        23,
        PhantomOptions("nv", ("hair", "ruler"), pattern="globular", site="chest"),
    ),
    Sample(
        "Melanoma with ink marking",
        "Irregular lesion with regression, marked with a skin pen.",
        30,
        PhantomOptions("mel", ("ink",), pattern="regression", site="upper extremity"),
    ),
    Sample(
        "Nevus with coloured patch",
        "Even nevus beside a coloured calibration sticker.",
        28,
        PhantomOptions("nv", ("patches",), pattern="homogeneous", site="lower extremity"),
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
