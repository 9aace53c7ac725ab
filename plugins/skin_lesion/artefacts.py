"""Procedural artefacts of dermoscopy images: what may act as a shortcut for a model.

Every kind changes pixels inside the returned mask only, so that an audit can compare an image
with and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from plugins.skin_lesion.phantom_texture import (
    Shape,
    Stroke,
    curve,
    draw_strokes,
    smooth_noise,
    smoothstep,
    wander,
)
from whycad.errors import DatasetError
from whycad.types import FloatArray, Study

REFERENCE_WIDTH = 600
FIELD_OF_VIEW_MM = 20.0
"""Width of the skin that an image shows; one ruler tick is a millimetre of it."""
LEAST_COVER = 0.02
PATCH_COLOURS = ((0.93, 0.80, 0.18), (0.15, 0.55, 0.35), (0.17, 0.42, 0.72), (0.90, 0.45, 0.16), (0.80, 0.20, 0.28))

Painted = tuple[FloatArray, FloatArray]
Painter = Callable[[FloatArray, np.random.Generator, float], Painted]


def _shape(image: FloatArray) -> Shape:
    height, width = image.shape[:2]
    return (int(height), int(width))


def _scale(image: FloatArray) -> float:
    return _shape(image)[1] / REFERENCE_WIDTH


def _flat(image: FloatArray, colour: tuple[float, float, float]) -> FloatArray:
    return np.broadcast_to(np.asarray(colour, np.float32), image.shape)


def _rounded(rng: np.random.Generator, image: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Row and column grids, mirrored at random so that artefacts come from any side."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    if rng.random() < 0.5:
        rows = image.shape[0] - 1 - rows
    if rng.random() < 0.5:
        columns = image.shape[1] - 1 - columns
    return rows, columns


def _hair(image: FloatArray, rng: np.random.Generator, strength: float) -> Painted:
    """Lay dark hairs, mostly in one direction, some curled."""
    shape, scale = _shape(image), _scale(image)
    lean = rng.uniform(0, np.pi)
    strokes = []
    for start in rng.uniform((-0.1 * shape[0], -0.1 * shape[1]), (1.1 * shape[0], 1.1 * shape[1]), (1000, 2))[
        : max(round(26 * strength), 1)
    ]:
        angle = lean + rng.normal(0, 0.45) + np.pi * rng.integers(2)
        reach = rng.uniform(0.25, 0.8) * shape[1]
        stop = start + reach * np.array([np.sin(angle), np.cos(angle)])
        width = rng.uniform(1.6, 3.6) * scale
        strokes.append(Stroke(curve(start, stop, rng.normal(0, 0.22)), width, 0.45 * width))
    # A hair across the middle, so that no seed leaves the image without one.
    middle = np.array([shape[0] / 2, shape[1] / 2]) + rng.normal(0, 0.15, 2) * shape
    half = 0.3 * shape[1] * np.array([np.sin(lean), np.cos(lean)])
    strokes.append(Stroke(curve(middle - half, middle + half, rng.normal(0, 0.2)), 2.6 * scale, 1.4 * scale))
    lines = ndimage.gaussian_filter(draw_strokes(shape, strokes), 0.5 * scale)
    shadow = ndimage.shift(ndimage.gaussian_filter(lines, 2.0 * scale), (2 * scale, 1.5 * scale), order=1)
    colour = np.asarray((0.16, 0.10, 0.09), np.float32) * rng.uniform(0.7, 1.8)
    painted = image * (1 - 0.25 * shadow[..., None])
    painted = painted * (1 - 0.9 * lines[..., None]) + 0.9 * lines[..., None] * colour
    return painted, np.maximum(lines, shadow)


def _ruler_ticks(shape: Shape, rng: np.random.Generator) -> tuple[list[Stroke], list[tuple[float, float]]]:
    """Ticks every millimetre along a slanting line near one edge, and where the numbers go."""
    mm, scale = shape[1] / FIELD_OF_VIEW_MM, shape[1] / REFERENCE_WIDTH
    horizontal, tilt = rng.random() < 0.5, rng.normal(0, 0.12)
    length = shape[1] if horizontal else shape[0]
    inset = rng.uniform(0.03, 0.08) * shape[0]
    far = rng.random() < 0.5
    strokes, numbers = [], []
    for tick in range(int(length / mm) + 1):
        along = tick * mm - length / 2
        reach = (16 if tick % 5 == 0 else 9) * scale
        ends = []
        for out in (0.0, reach, reach + 16 * scale):
            a, b = along * np.cos(tilt) - out * np.sin(tilt), along * np.sin(tilt) + out * np.cos(tilt)
            across = inset + b + (abs(np.sin(tilt)) * length / 2)
            ends.append((across, a + length / 2) if horizontal else (a + length / 2, across))
        line = np.asarray(ends)
        if far:
            axis = 0 if horizontal else 1
            line[:, axis] = shape[axis] - 1 - line[:, axis]
        strokes.append(Stroke(line[:2], 2.4 * scale, 2.4 * scale))
        if tick % 5 == 0:
            numbers.append((float(line[2, 0]), float(line[2, 1])))
    return strokes, numbers


def _ruler(image: FloatArray, rng: np.random.Generator, strength: float) -> Painted:
    """Print the black ticks of a millimetre scale, numbered in fives."""
    shape = _shape(image)
    strokes, numbers = _ruler_ticks(shape, rng)
    canvas = Image.fromarray(np.rint(255 * draw_strokes(shape, strokes)).astype(np.uint8))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(max(13 * _scale(image), 6))
    for index, (row, column) in enumerate(numbers):
        pen.text((column, row), str(5 * index), fill=230, font=font, anchor="mm")
    ink = ndimage.gaussian_filter(np.asarray(canvas, np.float32) / 255, 0.6 * _scale(image))
    return _flat(image, (0.07, 0.06, 0.07)), ink * np.float32(0.5 + 0.5 * strength)


def _ink(image: FloatArray, rng: np.random.Generator, strength: float) -> Painted:
    """Draw streaky strokes of a violet or blue skin marker at one side of the image."""
    shape, scale = _shape(image), _scale(image)
    colour = ((0.42, 0.22, 0.62), (0.25, 0.30, 0.66), (0.36, 0.20, 0.50))[int(rng.integers(3))]
    strokes = []
    side = rng.choice([-1, 1])
    for stroke in range(1 + round(2 * strength)):
        column = shape[1] * (0.5 + side * (0.38 - 0.04 * stroke)) + rng.normal(0, 8) * scale
        start = np.array([shape[0] * rng.uniform(-0.05, 0.2), column])
        path = wander(rng, start, np.pi / 2 + rng.normal(0, 0.15), shape[0] * rng.uniform(0.5, 0.9), 0.04)
        width = rng.uniform(15, 26) * scale
        strokes.append(Stroke(path, width, 0.8 * width))
    lines = ndimage.gaussian_filter(draw_strokes(shape, strokes), 2.0 * scale)
    grain = 0.8 + 0.1 * smooth_noise(rng, shape, 4 * scale) + 0.15 * smooth_noise(rng, shape, 18 * scale)
    alpha = np.clip(lines * grain, 0, 1) * np.float32(0.55 + 0.4 * strength)
    return image * np.asarray(colour, np.float32) * 1.15, alpha


def _dark_corner(image: FloatArray, rng: np.random.Generator, strength: float) -> Painted:
    """Darken outside the dermatoscope's round aperture, with a soft violet rim."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    height, width = _shape(image)
    centre = np.array([height, width]) / 2 + rng.normal(0, 0.015, 2) * width
    radius = np.hypot(height, width) / 2 * (0.98 - 0.16 * strength)
    distance = np.hypot(rows - centre[0], columns - centre[1]) / radius
    alpha = smoothstep(distance, 0.90, 1.015)
    rim = np.exp(-(((distance - 0.99) / 0.035) ** 2))[..., None] * np.asarray((0.10, 0.06, 0.13), np.float32)
    return _flat(image, (0.012, 0.01, 0.016)) + rim * image, alpha


def _patches(image: FloatArray, rng: np.random.Generator, strength: float) -> Painted:
    """Stick a round coloured calibration patch on, reaching in from the edge."""
    height, width = _shape(image)
    rows, columns = _rounded(rng, image)
    radius = width * (0.12 + 0.12 * strength)
    centre = np.array([rng.uniform(0.0, 0.9) * height, rng.uniform(-0.35, 0.15) * radius])
    distance = np.hypot(rows - centre[0], columns - centre[1])
    alpha = 1 - smoothstep(distance, radius - 2 * _scale(image), radius + 2 * _scale(image))
    colour = PATCH_COLOURS[int(rng.integers(len(PATCH_COLOURS)))]
    light = (
        1
        + 0.05 * smooth_noise(rng, _shape(image), 90 * _scale(image))
        - 0.25 * smoothstep(distance / np.float32(radius), 0.9, 1.0)
    )
    return _flat(image, colour) * light[..., None], alpha


def _gel_bubble(image: FloatArray, rng: np.random.Generator, strength: float) -> Painted:
    """Blow air bubbles into the immersion gel: dark outline, bright crescent."""
    height, width = _shape(image)
    scale = _scale(image)
    painted, cover = image.copy(), np.zeros((height, width), np.float32)
    for _ in range(3 + round(22 * strength)):
        radius = scale * float(np.clip(rng.lognormal(2.1, 0.5), 4, 26))
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        r0, r1 = max(int(row - 1.3 * radius), 0), min(int(row + 1.3 * radius) + 2, height)
        c0, c1 = max(int(column - 1.3 * radius), 0), min(int(column + 1.3 * radius) + 2, width)
        rr, cc = np.mgrid[r0:r1, c0:c1].astype(np.float32)
        dr, dc = (rr - row) / radius, (cc - column) / radius
        distance = np.hypot(dr, dc)
        # In small images the outline would fall between the pixels.
        ring = np.exp(-(((distance - 1) / max(0.12, 0.5 / radius)) ** 2))
        crescent = np.exp(-(((distance - 0.78) / 0.12) ** 2)) * np.clip(-(dr + dc) / 1.4, 0, 1)
        window = painted[r0:r1, c0:c1]
        window *= (1 - 0.32 * ring)[..., None]
        window += ((1 - window) * (0.7 * crescent)[..., None]).astype(np.float32)
        cover[r0:r1, c0:c1] = np.maximum(cover[r0:r1, c0:c1], np.maximum(ring, crescent))
    return painted, cover


def _gel_border(image: FloatArray, rng: np.random.Generator, strength: float) -> Painted:
    """End the gel in a wavy bright and dark line; skin beyond it is duller and blurred."""
    height, width = _shape(image)
    scale = _scale(image)
    rows, columns = _rounded(rng, image)
    inset = (0.05 + 0.1 * strength) * width
    wave = 12 * scale * smooth_noise(rng, (height, width), 120 * scale)
    bend = rng.uniform(0.03, 0.12) * width * ((rows / height - 0.5) * 2) ** 2
    gap = (inset + bend + wave - columns) / np.float32(scale)
    beyond = smoothstep(gap, -3, 3)
    dry = ndimage.gaussian_filter(image, (2.5 * scale, 2.5 * scale, 0)) * 0.86 + 0.10
    painted = image * (1 - beyond[..., None]) + dry * beyond[..., None]
    bright, dark = np.exp(-(((gap - 4) / 3) ** 2))[..., None], np.exp(-(((gap + 3) / 3) ** 2))[..., None]
    painted = painted * (1 - 0.3 * dark) + (1 - painted) * 0.55 * bright
    return painted, np.maximum(beyond, np.maximum(bright, dark)[..., 0])


PAINTERS: Mapping[str, Painter] = {
    "dark_corner": _dark_corner,
    "gel_border": _gel_border,
    "gel_bubble": _gel_bubble,
    "hair": _hair,
    "ink": _ink,
    "patches": _patches,
    "ruler": _ruler,
}
KINDS = tuple(PAINTERS)
# Painters that blend by themselves; for the others the cover is the opacity.
SELF_BLENDED = frozenset({"gel_border", "gel_bubble", "hair"})


def _as_unit(image: NDArray[np.generic]) -> FloatArray:
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 16:
        raise DatasetError(f"an artefact needs a colour image (H, W, 3) of 16 pixels or more, got {image.shape}")
    if image.dtype == np.uint8:
        return np.asarray(image, np.float32) / np.float32(255)
    if not np.issubdtype(image.dtype, np.floating):
        raise DatasetError(f"an artefact needs uint8 or float pixels in 0..1, got {image.dtype}")
    return np.asarray(image, np.float32)


def insert(
    image: NDArray[np.generic], kind: str, seed: int, strength: float = 0.6
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Put one kind of artefact into an image.

    Parameters
    ----------
    image : ndarray (H, W, 3)
        uint8, or floating point in 0..1; left as it is.
    kind : str
        One of ``KINDS``: the manifest's artefact names.
    seed : int
        Place, colour and form.
    strength : float
        0 (hardly there) to 1 (a lot of it).

    Returns
    -------
    ndarray (H, W, 3)
        In the dtype of ``image``; equal to it wherever the mask is False.
    ndarray of bool (H, W)
        Where the artefact is.

    Raises
    ------
    DatasetError
        When the kind is unknown, the strength is outside 0..1 or the image is no colour image.
    """
    if kind not in PAINTERS:
        raise DatasetError(f"unknown artefact {kind!r}", remedy=f"one of {', '.join(KINDS)}")
    if not 0 <= strength <= 1:
        raise DatasetError(f"artefact {kind!r}: strength {strength} is outside 0..1")
    unit = _as_unit(image)
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    painted, cover = PAINTERS[kind](unit, rng, strength)
    mask = cover > LEAST_COVER
    if kind not in SELF_BLENDED:
        painted = unit + (painted - unit) * np.clip(cover, 0, 1)[..., None]
    painted = np.clip(painted, 0, 1)
    values = np.rint(painted * 255) if image.dtype == np.uint8 else painted
    return np.where(mask[..., None], values.astype(image.dtype), image), mask


def draw_artefact(study: Study, kind: str, seed: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Draw an artefact into a study for the audit: ``insert`` at its usual strength.

    Raises
    ------
    DatasetError
        As ``insert``.
    """
    changed, mask = insert(study.pixels, kind, seed)
    return np.asarray(changed, np.float32), mask
