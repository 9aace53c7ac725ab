"""Simulated CT crops and small volumes with one nodule each, drawn from a seed."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plugins.lung_nodule.phantom_scene import (
    Grid,
    Scanner,
    Wall,
    add_tube,
    add_vessels,
    add_wall,
    lung,
    scan,
    soft_step,
)
from whycad.errors import DatasetError
from whycad.phantom import DeferredCase, PhantomCase
from whycad.types import FloatArray, Region, Study

Texture = Literal["solid", "part_solid", "ground_glass", "calcified"]
TEXTURES: tuple[Texture, ...] = ("solid", "part_solid", "ground_glass", "calcified")
CORE_HU: dict[Texture, float] = {"solid": 35.0, "part_solid": 30.0, "ground_glass": -560.0, "calcified": 550.0}
HALO_HU: dict[Texture, float] = {"solid": 35.0, "part_solid": -560.0, "ground_glass": -560.0, "calcified": 60.0}
CORE_SHARE: dict[Texture, float] = {"solid": 0.0, "part_solid": 0.5, "ground_glass": 0.0, "calcified": 0.6}
PIXEL_MM = 0.7
SLICE_SHAPE = (1, 128, 128)
VOLUME_SHAPE = (41, 112, 112)
VOLUME_MM = (1.25, PIXEL_MM, PIXEL_MM)
LUNG_WINDOW = (-600.0, 1500.0)


@dataclass(frozen=True)
class PhantomOptions:
    """What a simulated nodule looks like.

    Attributes
    ----------
    label : str
        ``benign`` or ``malignant``: what a radiologist would suspect of it.
    diameter_mm : float
        4 to 40.
    spiculation, lobulation : float
        0..1.
    texture : str
        One of ``TEXTURES``.
    edge_mm : float
        Width of the blurred margin.
    wall_mm : float or None
        Distance of the pleura from the nodule's centre; None leaves the chest wall out of the field.
    volume : bool
        A volume of 41 slices instead of one slice.
    scanner : Scanner
    """

    label: str = "benign"
    diameter_mm: float = 8.0
    spiculation: float = 0.0
    lobulation: float = 0.1
    texture: Texture = "solid"
    edge_mm: float = 0.8
    wall_mm: float | None = 24.0
    volume: bool = False
    scanner: Scanner = field(default_factory=Scanner)

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        problems = {
            "label": self.label in ("benign", "malignant"),
            "diameter_mm": 4 <= self.diameter_mm <= 40,
            "spiculation": 0 <= self.spiculation <= 1,
            "lobulation": 0 <= self.lobulation <= 1,
            "texture": self.texture in TEXTURES,
            "edge_mm": 0.1 <= self.edge_mm <= 5,
            "wall_mm": self.wall_mm is None or self.wall_mm > 0,
        }
        wrong = [name for name, right in problems.items() if not right]
        if wrong:
            raise DatasetError(f"lung nodule phantom: {wrong[0]} is out of range")


def _surface_mm(rng: np.random.Generator, grid: Grid, options: PhantomOptions) -> FloatArray:
    """Return how deep each voxel lies inside the nodule's body, in mm; negative outside."""
    z, y, x = grid.axes()
    stretch = rng.uniform(0.85, 1.15, 3)
    distance = np.sqrt((z / stretch[0]) ** 2 + (y / stretch[1]) ** 2 + (x / stretch[2]) ** 2)
    unit = [part / np.maximum(distance, 1e-3) for part in (z, y, x)]
    bumps = np.zeros(grid.shape, np.float32)
    for _ in range(6):
        turn, phase = rng.normal(0, 2.4, 3), rng.uniform(0, 2 * np.pi)
        bumps += np.cos(sum(t * u for t, u in zip(turn, unit, strict=True)) + phase)
    radius = options.diameter_mm / 2 * (1 + 0.12 * options.lobulation * bumps)
    return np.asarray(radius - distance, np.float32)


def _spicules(rng: np.random.Generator, grid: Grid, options: PhantomOptions) -> FloatArray:
    """Return fine strands that leave the nodule, 0..1; most of them near the axial plane."""
    cover = np.zeros(grid.shape, np.float32)
    radius = options.diameter_mm / 2
    for _ in range(round(30 * options.spiculation)):
        angle, tilt = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.25)
        heading = np.array([math.sin(tilt), math.cos(tilt) * math.sin(angle), math.cos(tilt) * math.cos(angle)])
        reach = radius * rng.uniform(0.35, 0.9)
        t = np.arange(0.6 * radius, radius + reach, 0.4)
        widths = np.interp(t, [0.6 * radius, radius, radius + reach], [1.1, 0.85, 0.3])
        add_tube(cover, grid, t[:, None] * heading, widths)
    return cover


def render(seed: int, options: PhantomOptions) -> tuple[FloatArray, NDArray[np.bool_], Grid]:
    """Render a volume ``(Z, H, W)`` in HU and the nodule's mask; the same seed gives the same voxels."""
    grid = Grid(VOLUME_SHAPE, VOLUME_MM) if options.volume else Grid(SLICE_SHAPE, (VOLUME_MM[0], PIXEL_MM, PIXEL_MM))
    body_rng, scene_rng, noise_rng = np.random.default_rng(seed).spawn(3)
    depth = _surface_mm(body_rng, grid, options)
    body = soft_step(depth, options.edge_mm)
    hu = lung(scene_rng, grid)
    n_vessels = int(scene_rng.integers(22, 34)) * (4 if options.volume else 3)
    hu = add_vessels(scene_rng, hu, grid, n_vessels, options.diameter_mm / 2 + 2)
    direction = float(scene_rng.uniform(0, 2 * np.pi))
    if options.wall_mm is not None:
        hu = add_wall(hu, grid, Wall(options.wall_mm, direction))
    hu = hu + 0.9 * _spicules(body_rng, grid, options) * np.maximum(10.0 - hu, 0)
    hu = hu + body * (HALO_HU[options.texture] - hu) * (hu < HALO_HU[options.texture])
    core = depth - (1 - CORE_SHARE[options.texture]) * options.diameter_mm / 2
    if CORE_SHARE[options.texture]:
        hu = hu + soft_step(core, 0.8) * (CORE_HU[options.texture] - hu)
    image = scan(noise_rng, np.asarray(hu, np.float32), grid, options.scanner)
    return image, np.asarray(body > 0.5), grid


def make_case(
    seed: int, options: PhantomOptions | None = None, *, name: str = "", description: str = ""
) -> PhantomCase:
    """Make one simulated case: a single CT slice, or a small volume.

    Returns
    -------
    PhantomCase
        Modality CT in Hounsfield units with its spacing; the nodule is in the middle.
    """
    options = options or PhantomOptions()
    image, mask, grid = render(seed, options)
    pixels = image if options.volume else image[0]
    study = Study(
        pixels=pixels,
        modality="CT",
        sha256=hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest(),
        unit="HU",
        spacing_mm=grid.spacing_mm if options.volume else grid.spacing_mm[1:],
        window=LUNG_WINDOW,
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        position_mm=(0.0, 0.0, 0.0),
        simulated=True,
    )
    return PhantomCase(
        study=study,
        mask=mask if options.volume else mask[0],
        label=options.label,
        name=name or f"Simulated nodule {seed}",
        description=description or f"Simulated {options.texture.replace('_', ' ')} nodule.",
        region=_middle(options),
    )


def _middle(options: PhantomOptions) -> Region:
    """Return the seed of a case: its nodule's centre."""
    shape = VOLUME_SHAPE if options.volume else SLICE_SHAPE[1:]
    return Region(tuple((n - 1) / 2 for n in shape))


@dataclass(frozen=True)
class Sample:
    """A sample case: how it is drawn and what it is called."""

    seed: int
    options: PhantomOptions
    name: str
    description: str


SAMPLES = (
    Sample(11, PhantomOptions(diameter_mm=5.5), "Small round nodule", "A smooth solid nodule of 5.5 mm."),
    Sample(
        12,
        PhantomOptions(diameter_mm=9, texture="calcified"),
        "Calcified nodule",
        "A round nodule with a dense calcified centre.",
    ),
    Sample(13, PhantomOptions(diameter_mm=7, wall_mm=5.0), "Nodule at the pleura", "A small nodule at the chest wall."),
    Sample(
        14,
        PhantomOptions("malignant", 24, spiculation=0.9, lobulation=0.5, wall_mm=32.0),
        "Spiculated mass",
        "A large solid nodule with spicules.",
    ),
    Sample(
        15,
        PhantomOptions("malignant", 18, spiculation=0.2, lobulation=1.0, wall_mm=None),
        "Lobulated nodule",
        "A solid nodule with a lobulated outline, no chest wall in sight.",
    ),
    Sample(
        16,
        PhantomOptions("malignant", 20, spiculation=0.3, lobulation=0.5, texture="part_solid", edge_mm=1.6),
        "Part-solid nodule",
        "Ground glass about a solid core.",
    ),
    Sample(
        17,
        PhantomOptions("benign", 10, texture="ground_glass", edge_mm=2.5, lobulation=0.3),
        "Ground-glass nodule",
        "A faint nodule through which vessels stay visible.",
    ),
    Sample(
        18,
        PhantomOptions("malignant", 12, spiculation=0.5, lobulation=0.4),
        "Mid-sized spiculated nodule",
        "A nodule of 12 mm with a few spicules.",
    ),
    Sample(
        19,
        PhantomOptions("malignant", 19, spiculation=0.6, lobulation=0.6, volume=True, wall_mm=26.0),
        "Volume: spiculated nodule",
        "41 slices of 1.25 mm; scroll and click the nodule in the middle.",
    ),
    Sample(
        20,
        PhantomOptions("benign", 6, volume=True, wall_mm=18.0),
        "Volume: small nodule",
        "41 slices of 1.25 mm; scroll and click the nodule in the middle.",
    ),
)


@cache
def sample_cases() -> tuple[PhantomCase, ...]:
    """Return the sample cases; each is rendered when its image is first asked for."""
    return tuple(
        DeferredCase(
            partial(make_case, sample.seed, replace(sample.options), name=sample.name, description=sample.description),
            label=sample.options.label,
            name=sample.name,
            description=sample.description,
            region=_middle(sample.options),
        )
        for sample in SAMPLES
    )
