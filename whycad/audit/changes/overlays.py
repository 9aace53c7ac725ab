"""Artefacts that any task's images may have, drawn from a seed: what lies over the image, and what is in its noise.

An overlay is an opacity ``(H, W)`` with a tone; of a volume every slice gets the same. A field
changes every value of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from whycad.types import FloatArray

Shape = tuple[int, int]
Tone = float | tuple[float, float, float]
Overlay = Callable[[Shape, np.random.Generator], tuple[FloatArray, Tone]]
Field = Callable[[FloatArray, np.random.Generator, float], FloatArray]

LETTER_SHARE = 0.055
MARKS = ("L", "R", "AP", "PA", "SUP")
CORNER_REACH = (0.16, 0.24)
PADDING_SHARE = (0.06, 0.12)
HAIR_TONE, TICK_TONE = (0.10, 0.07, 0.06), (0.08, 0.08, 0.09)
INK_TONES = ((0.32, 0.16, 0.58), (0.14, 0.20, 0.55))
PATCH_COLOURS = ((0.93, 0.80, 0.18), (0.15, 0.55, 0.35), (0.17, 0.42, 0.72), (0.90, 0.45, 0.16))
# Of the range of values; 0.05 of a lung's range is 70 HU, a low-dose scan.
NOISE_SHARE = 0.05
BLUR_PX, SHARPEN_PX, SHARPEN_GAIN = 1.2, 1.5, 1.0


def _text(shape: Shape, rng: np.random.Generator) -> tuple[FloatArray, Tone]:
    """Print a mark of the side and some settings in one corner."""
    height, width = shape
    words = f"{MARKS[int(rng.integers(len(MARKS)))]} {int(rng.integers(80, 141))} {int(rng.integers(10, 100))}"
    font = ImageFont.load_default(max(LETTER_SHARE * 1.4 * height, 8))
    canvas = Image.new("L", (width, height))
    pen = ImageDraw.Draw(canvas)
    left, top, right, bottom = pen.textbbox((0, 0), words, font=font)
    margin = 0.02 * width
    column = margin if rng.random() < 0.5 else width - (right - left) - margin
    row = margin if rng.random() < 0.5 else height - (bottom - top) - margin
    pen.text((column - left, row - top), words, fill=255, font=font)
    return np.asarray(np.asarray(canvas) / 255, np.float32), 1.0


def _corners(shape: Shape, rng: np.random.Generator) -> FloatArray:
    """Return how far each place lies inside a triangle at two corners of one side, 0 or 1."""
    rows, columns = (grid / side for grid, side in zip(np.mgrid[: shape[0], : shape[1]], shape, strict=True))
    if rng.random() < 0.5:
        rows = 1 - rows
    reach = rng.uniform(*CORNER_REACH, 2)
    return np.asarray((rows + columns < reach[0]) | (rows + 1 - columns < reach[1]), np.float32)


def _white_corner(shape: Shape, rng: np.random.Generator) -> tuple[FloatArray, Tone]:
    return _corners(shape, rng), 1.0


def _padding(shape: Shape, rng: np.random.Generator) -> tuple[FloatArray, Tone]:
    """Black bands along two opposite sides."""
    alpha = np.zeros(shape, np.float32)
    along = alpha if rng.random() < 0.5 else alpha.T
    first, last = (max(1, round(share * len(along))) for share in rng.uniform(*PADDING_SHARE, 2))
    along[:first] = 1
    along[len(along) - last :] = 1
    return alpha, 0.0


def _table_edge(shape: Shape, rng: np.random.Generator) -> tuple[FloatArray, Tone]:
    """Draw the thin bright arc of a scanner's table low in the image."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    bend = 4 * (columns / width - 0.5) ** 2
    line = height * (rng.uniform(0.86, 0.93) - rng.uniform(0.02, 0.06) * bend)
    thick = max(0.012 * height, 1.0)
    return np.asarray(np.exp(-(((rows - line) / thick) ** 2)), np.float32), float(rng.uniform(0.8, 1.0))


def _dark_corner(shape: Shape, rng: np.random.Generator) -> tuple[FloatArray, Tone]:
    """Darken outside a round aperture."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    centre = np.array([height, width]) / 2 + rng.normal(0, 0.015, 2) * width
    distance = np.hypot(rows - centre[0], columns - centre[1]) / (0.45 * np.hypot(height, width))
    return np.asarray(np.clip((distance - 0.94) / 0.06, 0, 1), np.float32), 0.01


def _patch(shape: Shape, rng: np.random.Generator) -> tuple[FloatArray, Tone]:
    """Stick a round coloured plaster on, reaching in from the edge."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    radius = rng.uniform(0.18, 0.24) * width
    columns = columns if rng.random() < 0.5 else width - 1 - columns
    distance = np.hypot(rows - rng.uniform(0.1, 0.9) * height, columns - rng.uniform(-0.3, 0.1) * radius)
    return np.asarray(np.clip(radius - distance, 0, 1), np.float32), PATCH_COLOURS[int(rng.integers(4))]


def _drawn(shape: Shape, draw: Callable[[ImageDraw.ImageDraw], None]) -> FloatArray:
    """Return the opacity of strokes drawn with anti-aliasing, in coordinates of twice the image's size."""
    canvas = Image.new("L", (2 * shape[1], 2 * shape[0]))
    draw(ImageDraw.Draw(canvas))
    return np.asarray(np.asarray(canvas.resize((shape[1], shape[0]), Image.Resampling.BOX)) / 255, np.float32)


def _hair(shape: Shape, rng: np.random.Generator) -> tuple[FloatArray, Tone]:
    """Lay thin dark bent hairs across the image."""
    height, width = (2 * side for side in shape)
    along = np.linspace(-1, 1, 40)
    thick = max(2, round(0.008 * width))

    def draw(pen: ImageDraw.ImageDraw) -> None:
        for _ in range(int(rng.integers(6, 11))):
            angle, reach, bend = rng.uniform(0, np.pi), rng.uniform(0.4, 0.8) * width, rng.normal(0, 0.08) * width
            row, column = rng.uniform(0.1, 0.9, 2) * (height, width)
            rows = row + reach * along * np.sin(angle) + bend * along**2 * np.cos(angle)
            columns = column + reach * along * np.cos(angle) - bend * along**2 * np.sin(angle)
            pen.line(list(zip(columns.tolist(), rows.tolist(), strict=True)), fill=255, width=thick)

    return _drawn(shape, draw), HAIR_TONE


def _ink(shape: Shape, rng: np.random.Generator) -> tuple[FloatArray, Tone]:
    """Draw two arcs of a surgical marker around the middle."""
    height, width = (2 * side for side in shape)
    thick = max(2, round(rng.uniform(0.03, 0.06) * width))
    radius, start = rng.uniform(0.36, 0.46), rng.uniform(0, 360)
    box = [(0.5 - radius) * width, (0.5 - radius) * height, (0.5 + radius) * width, (0.5 + radius) * height]

    def draw(pen: ImageDraw.ImageDraw) -> None:
        for turn in (0, rng.uniform(150, 210)):
            pen.arc(box, start + turn, start + turn + rng.uniform(50, 110), fill=255, width=thick)

    return _drawn(shape, draw), INK_TONES[int(rng.integers(2))]


def _ruler(shape: Shape, rng: np.random.Generator) -> tuple[FloatArray, Tone]:
    """Draw the ticks of a scale along one side, every fifth a longer one."""
    height, width = (2 * side for side in shape)
    upright, far = rng.random() < 0.5, rng.random() < 0.5
    long, across = (height, width) if upright else (width, height)
    step, thick = rng.uniform(0.05, 0.08) * long, max(2, round(0.012 * long))
    places = np.arange(rng.uniform(0, step), long, step)
    offset = int(rng.integers(5))

    def draw(pen: ImageDraw.ImageDraw) -> None:
        for index, place in enumerate(places.tolist()):
            reach = (0.13 if (index + offset) % 5 == 0 else 0.08) * across
            start, stop = (across - reach, across) if far else (0, reach)
            ends = [(start, place), (stop, place)] if upright else [(place, start), (place, stop)]
            pen.line(ends, fill=255, width=thick)

    return _drawn(shape, draw), TICK_TONE


OVERLAYS: Mapping[str, Overlay] = {
    "burned_in_text": _text,
    "white_corner": _white_corner,
    "padding": _padding,
    "table_edge": _table_edge,
    "dark_corner": _dark_corner,
    "patches": _patch,
    "hair": _hair,
    "ink": _ink,
    "ruler": _ruler,
}


def _plane_sigma(image: FloatArray, sigma: float) -> tuple[float, ...]:
    """Return a blur of rows and columns alone: not across slices or colours."""
    if image.ndim == 2:
        return sigma, sigma
    return (sigma, sigma, 0.0) if image.shape[-1] == 3 else (0.0, sigma, sigma)


def plane_blur(image: FloatArray, sigma: float) -> FloatArray:
    """Blur ``(H, W)``, ``(H, W, 3)`` or ``(Z, H, W)`` within the plane; ``sigma`` in pixels."""
    return np.asarray(ndimage.gaussian_filter(image, _plane_sigma(image, sigma), mode="nearest"), np.float32)


def _noise(image: FloatArray, rng: np.random.Generator, span: float) -> FloatArray:
    grain = plane_blur(rng.standard_normal(image.shape).astype(np.float32), 0.6)
    return np.asarray(image + grain / max(float(grain.std()), 1e-6) * NOISE_SHARE * span, np.float32)


def _blur(image: FloatArray, _rng: np.random.Generator, _span: float) -> FloatArray:
    return plane_blur(image, BLUR_PX)


def _sharpen(image: FloatArray, _rng: np.random.Generator, _span: float) -> FloatArray:
    return np.asarray(image + SHARPEN_GAIN * (image - plane_blur(image, SHARPEN_PX)), np.float32)


FIELDS: Mapping[str, Field] = {"scanner_noise": _noise, "scanner_blur": _blur, "kernel_sharpen": _sharpen}


def blended(image: FloatArray, alpha: FloatArray, tone: Tone, value_range: tuple[float, float]) -> FloatArray:
    """Lay a tone (0..1 of the range) over an image ``(H, W)``, ``(H, W, 3)`` or ``(Z, H, W)``."""
    low, high = value_range
    colour = image.ndim == 3 and image.shape[-1] == 3 and image.shape[:2] == alpha.shape
    value: NDArray[np.float32] = np.asarray(tone, np.float32) * np.float32(high - low) + np.float32(low)
    opacity = alpha[..., None] if colour else alpha
    if not colour:
        value = value.mean(dtype=np.float32)
    return np.asarray(image * (1 - opacity) + value * opacity, np.float32)
