"""Renders simulated B-scans: layers, choroid, vessels, disease, shadows, speckle.

Nothing here comes from a picture. Thicknesses follow textbook values of the macula, greys only the
usual order of the layers' reflectivity.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from whycad.types import FloatArray

DEPTH_MM, WIDTH_MM = 1.9, 6.0
# Share of the retina's thickness where each layer ends, from the vitreous down, and its grey.
LAYERS = (
    (0.10, 0.78),  # nerve fibres
    (0.34, 0.50),  # ganglion cells and inner plexiform
    (0.44, 0.30),  # inner nuclear
    (0.53, 0.46),  # outer plexiform
    (0.80, 0.20),  # outer nuclear
    (0.83, 0.34),  # limiting membrane
    (0.91, 0.85),  # ellipsoid zone
    (0.95, 0.42),  # outer segments
    (1.00, 1.00),  # pigment epithelium
)
RNFL_END = 0.10


@dataclass(frozen=True)
class Dome:
    """A bump across the columns.

    Attributes
    ----------
    at, half_width : float
        In mm from the left edge.
    height : float
        In mm.
    """

    at: float
    half_width: float
    height: float


@dataclass(frozen=True)
class ScanOptions:
    """What a simulated B-scan shows.

    Attributes
    ----------
    size : (int, int)
        Rows and columns, 96 or more each.
    tilt, bow : float
        In mm across the scan: one side higher, and both sides higher than the middle.
    fovea : float or None
        Its place in mm from the left edge; None for a scan that misses it.
    drusen : tuple of Dome
        Bumps of the pigment epithelium, grey inside.
    detachments : tuple of Dome
        Larger ones, with mixed content and light below.
    fluid : tuple of Dome
        Dark gaps between the retina and the pigment epithelium.
    swelling : tuple of Dome
        Of the retina alone.
    cysts, foci : int
        Dark and bright round spots in the swollen or raised part.
    noise : float
        Strength of the speckle, 0..1.
    """

    size: tuple[int, int] = (384, 512)
    tilt: float = 0.05
    bow: float = 0.08
    fovea: float | None = 3.0
    drusen: tuple[Dome, ...] = ()
    detachments: tuple[Dome, ...] = ()
    fluid: tuple[Dome, ...] = ()
    swelling: tuple[Dome, ...] = ()
    cysts: int = 0
    foci: int = 0
    noise: float = 0.5


@dataclass(eq=False)
class Canvas:
    """A scan being painted; rows in mm from the top.

    Attributes
    ----------
    grey : ndarray of float32 (H, W)
        Reflectivity.
    finding : ndarray of bool (H, W)
    membrane, epithelium, top : ndarray (W,)
        Rows in mm of Bruch's membrane, the pigment epithelium and the inner border.
    split : ndarray (W,)
        Lower border of the neurosensory retina.
    """

    grey: FloatArray
    finding: NDArray[np.bool_]
    membrane: NDArray[np.float64]
    epithelium: NDArray[np.float64]
    split: NDArray[np.float64]
    top: NDArray[np.float64]
    rows: NDArray[np.float64] = field(repr=False)
    columns: NDArray[np.float64] = field(repr=False)


def _domes(columns: NDArray[np.float64], domes: tuple[Dome, ...]) -> NDArray[np.float64]:
    total = np.zeros_like(columns)
    for dome in domes:
        total = np.maximum(total, dome.height * np.exp(-(np.abs((columns - dome.at) / dome.half_width) ** 2.6)))
    return total


def _shape(options: ScanOptions) -> Canvas:
    height, width = options.size
    rows = (np.arange(height)[:, None] + 0.5) * DEPTH_MM / height
    columns = (np.arange(width) + 0.5) * WIDTH_MM / width
    across = columns / WIDTH_MM - 0.5
    membrane = 1.02 - options.tilt * across - options.bow * (across**2 - 0.08) * 4
    raised = _domes(columns, options.drusen + options.detachments)
    epithelium = membrane - raised
    gap = _domes(columns, options.fluid)
    thickness = 0.30 + 0.03 * np.cos(2 * np.pi * across) - 0.25 * np.clip(raised, 0, 0.25)
    if options.fovea is not None:
        thickness = thickness - 0.13 * np.exp(-(((columns - options.fovea) / 0.55) ** 2))
    swell = _domes(columns, options.swelling)
    split = epithelium - gap
    return Canvas(
        grey=np.zeros(options.size, np.float32),
        finding=np.zeros(options.size, bool),
        membrane=membrane,
        epithelium=epithelium,
        split=split,
        top=split - np.maximum(thickness + swell, 0.08),
        rows=rows,
        columns=columns,
    )


def _paint_layers(canvas: Canvas) -> None:
    depth = (canvas.rows - canvas.top) / (canvas.split - canvas.top)
    start = 0.0
    # The nerve fibre layer thins towards the middle, as it does at the fovea.
    middle = np.exp(-(((canvas.columns - WIDTH_MM / 2) / 1.2) ** 2))
    for end, grey in LAYERS:
        stop = end if end != RNFL_END else RNFL_END * (1 - 0.7 * middle)
        inside = (depth >= start) & (depth < stop)
        canvas.grey[inside] = grey
        if end == RNFL_END:
            canvas.grey[(depth >= stop) & (depth < RNFL_END)] = 0.5
        start = end


def _paint_below(canvas: Canvas, rng: np.random.Generator, options: ScanOptions) -> None:
    """Paint pigment epithelium, what is between it and its membrane, and the choroid."""
    rows = canvas.rows
    choroid = rows >= canvas.membrane
    texture = ndimage.gaussian_filter(rng.normal(size=options.size), (5, 9))
    texture = texture / texture.std()
    decay = np.exp(-np.clip(rows - canvas.membrane, 0, None) / 0.24)
    canvas.grey[choroid] = (0.42 * decay * np.clip(1 + 0.45 * texture, 0.15, 1.6))[choroid]
    content = (rows >= canvas.epithelium) & (rows < canvas.membrane)
    mixed = 0.45 + 0.2 * texture
    large = _domes(canvas.columns, options.detachments) > 0.02
    canvas.grey[content] = np.where(large, mixed, 0.5 + 0.05 * texture)[content]
    band = np.abs(rows - canvas.epithelium) < 0.014
    canvas.grey[band] = 1.0
    canvas.grey[np.abs(rows - canvas.membrane) < 0.006] = 0.7
    gap = (rows >= canvas.split) & (rows < canvas.epithelium - 0.014)
    canvas.grey[gap] = 0.03
    deep = _domes(canvas.columns, options.drusen + options.detachments + options.fluid) > 0.012
    canvas.finding |= (content | gap | band) & deep


def _paint_spots(canvas: Canvas, rng: np.random.Generator, options: ScanOptions) -> None:
    """Paint cysts and bright foci where the retina is swollen or raised."""
    width = canvas.grey.shape[1]
    weight = _domes(canvas.columns, options.swelling + options.detachments + options.fluid) + 1e-6
    sizes = [(rng.uniform(0.03, 0.085), 0.05) for _ in range(options.cysts)]
    sizes += [(rng.uniform(0.010, 0.018), 1.1) for _ in range(options.foci)]
    for wanted, grey in sizes:
        column = int(rng.choice(width, p=weight**2 / np.sum(weight**2)))
        thickness = canvas.split[column] - canvas.top[column]
        centre = canvas.top[column] + thickness * rng.uniform(0.3, 0.75)
        radius = min(wanted, 0.22 * thickness)
        spot = ((canvas.rows - centre) / radius) ** 2 + (
            (canvas.columns - canvas.columns[column]) / (1.6 * radius)
        ) ** 2 < 1
        canvas.grey[spot] = grey
        canvas.finding |= spot


def _shadow(canvas: Canvas, rng: np.random.Generator) -> None:
    """Darken what lies below a few vessels of the inner retina."""
    for column in rng.uniform(0.3, WIDTH_MM - 0.3, 5):
        half = rng.uniform(0.02, 0.05)
        near = np.exp(-(((canvas.columns - column) / half) ** 2))
        below = np.clip((canvas.rows - canvas.top - 0.05) / 0.03, 0, 1)
        canvas.grey *= (1 - 0.5 * near * below).astype(np.float32)


def render_scan(seed: int, options: ScanOptions) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Render a B-scan.

    Returns
    -------
    (ndarray of uint8, ndarray of bool), each (H, W)
        The image, and where the disease is: the pit of the fovea, or the middle of the retina, in a healthy one.
    """
    below, spots, vessels, grain = np.random.default_rng(seed).spawn(4)
    canvas = _shape(options)
    _paint_layers(canvas)
    _paint_below(canvas, below, options)
    swollen = _domes(canvas.columns, options.swelling) > 0.05
    canvas.finding |= (canvas.rows > canvas.top) & (canvas.rows < canvas.split) & swollen
    _paint_spots(canvas, spots, options)
    _shadow(canvas, vessels)
    if not canvas.finding.any():
        near = np.abs(canvas.columns - (options.fovea or WIDTH_MM / 2)) < 0.5
        canvas.finding = (canvas.rows > canvas.top) & (canvas.rows < canvas.split) & near
    soft = np.clip(ndimage.gaussian_filter(canvas.grey, (1.0, 1.3)), 0, None)
    speckle = grain.gamma(1 / (0.02 + 0.22 * options.noise), size=options.size) * (0.02 + 0.22 * options.noise)
    raw = (soft + 0.012) * ndimage.gaussian_filter(speckle, (0.5, 0.9))
    # Scanners compress the signal; an empty place is dark grey, not black.
    shown = np.clip(0.72 * raw**0.6, 0, 1)
    return np.rint(255 * shown).astype(np.uint8), canvas.finding
