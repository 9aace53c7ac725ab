"""Make an image worse in ways that happen: nine corruptions at five strengths, in physical terms.

References
----------
Hendrycks 2019, Benchmarking neural network robustness to common corruptions, arXiv:1903.12261.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy import ndimage

from whycad.audit.changes.change import Canvas, Change, Changed
from whycad.audit.changes.overlays import plane_blur
from whycad.types import FloatArray, Region

STRENGTHS = (1, 2, 3, 4, 5)
NOISE_SHARE = (0.02, 0.04, 0.08, 0.12, 0.18)
NOISE_HU = (15.0, 30.0, 60.0, 90.0, 140.0)
BLUR_SHARE = (0.003, 0.006, 0.01, 0.015, 0.025)
CONTRAST = (0.85, 0.7, 0.5, 0.35, 0.2)
BRIGHTNESS = (0.05, 0.1, 0.15, 0.22, 0.3)
BRIGHTNESS_HU = (10.0, 20.0, 40.0, 70.0, 120.0)
JPEG_QUALITY = (70, 45, 25, 15, 8)
MOTION_SHARE = (0.01, 0.02, 0.035, 0.05, 0.08)
COARSER = (1.5, 2.0, 3.0, 4.0, 6.0)
ROTATION_DEGREES = (3.0, 6.0, 10.0, 15.0, 25.0)
CROP_SHARE = (0.95, 0.9, 0.8, 0.7, 0.6)

Corruption = Callable[[Canvas, int, np.random.Generator], FloatArray]


def _noise(canvas: Canvas, step: int, rng: np.random.Generator) -> FloatArray:
    low, high = canvas.value_range
    size = NOISE_HU[step] if canvas.study.unit == "HU" else NOISE_SHARE[step] * (high - low)
    return canvas.study.pixels + np.float32(size) * rng.standard_normal(canvas.study.pixels.shape).astype(np.float32)


def _blur(canvas: Canvas, step: int, _rng: np.random.Generator) -> FloatArray:
    return plane_blur(canvas.study.pixels, BLUR_SHARE[step] * min(canvas.study.spatial_shape[-2:]))


def _contrast(canvas: Canvas, step: int, _rng: np.random.Generator) -> FloatArray:
    image = canvas.study.pixels
    middle = image.mean(dtype=np.float64)
    return np.asarray(middle + (image - middle) * CONTRAST[step], np.float32)


def _brightness(canvas: Canvas, step: int, rng: np.random.Generator) -> FloatArray:
    low, high = canvas.value_range
    size = BRIGHTNESS_HU[step] if canvas.study.unit == "HU" else BRIGHTNESS[step] * (high - low)
    return canvas.study.pixels + np.float32(size if rng.random() < 0.5 else -size)


def _compression(canvas: Canvas, step: int, _rng: np.random.Generator) -> FloatArray:
    """Go through JPEG in eight bits, slice by slice."""
    image, (low, high) = canvas.study.pixels, canvas.value_range
    span = high - low
    bytes_ = np.clip((image - low) / span * 255, 0, 255).round().astype(np.uint8)
    planes = bytes_ if len(canvas.study.spatial_shape) == 3 else bytes_[None]
    read = np.stack([_through_jpeg(plane, JPEG_QUALITY[step]) for plane in planes])
    changed = read.astype(np.float32).reshape(image.shape) / 255 * span + low
    # Compression of a range leaves what lies beyond it alone.
    return np.asarray(np.where((image < low) | (image > high), image, changed), np.float32)


def _through_jpeg(plane: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(plane).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream), np.uint8)


def _motion(canvas: Canvas, step: int, rng: np.random.Generator) -> FloatArray:
    """Smear along rows or columns."""
    image, shape = canvas.study.pixels, canvas.study.spatial_shape
    axis = len(shape) - 1 - int(rng.integers(2))
    smear = _box(1 + MOTION_SHARE[step] * shape[axis])
    return np.asarray(ndimage.convolve1d(image, smear, axis, mode="nearest"), np.float32)


def _box(length: float) -> FloatArray:
    """Return a centred kernel as long as so many pixels, which need not be whole, summing to 1."""
    half = (length - 1) / 2
    reach = int(np.ceil(half))
    places = np.abs(np.arange(-reach, reach + 1))
    kernel = np.clip(half - places + 1, 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _resolution(canvas: Canvas, step: int, _rng: np.random.Generator) -> FloatArray:
    """Sample the plane more coarsely and bring it back to its size."""
    image, shape = canvas.study.pixels, canvas.study.spatial_shape
    rows, columns = len(shape) - 2, len(shape) - 1
    small = plane_blur(image, 0.35 * COARSER[step])
    for axis in (rows, columns):
        n = max(2, round(shape[axis] / COARSER[step]))
        places = np.linspace(0, shape[axis] - 1, n)
        back = np.linspace(0, n - 1, shape[axis])
        small = _along(_along(small, places, axis), back, axis)
    return small


def _along(image: FloatArray, places: np.ndarray, axis: int) -> FloatArray:
    """Sample an image linearly at places along one axis."""
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, image.shape[axis] - 1)
    weight = (places - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(image.ndim)])
    return np.asarray(image.take(low, axis) * (1 - weight) + image.take(high, axis) * weight, np.float32)


def _rotation(canvas: Canvas, step: int, rng: np.random.Generator) -> FloatArray:
    """Turn the plane about the region, or about the middle; what comes in from outside mirrors the image."""
    image, shape = canvas.study.pixels, canvas.study.spatial_shape
    angle = np.deg2rad(ROTATION_DEGREES[step]) * (1 if rng.random() < 0.5 else -1)
    centre = middle_of(canvas)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = centre - turn @ centre
    planes = np.moveaxis(image, -1, 0) if canvas.study.is_colour else image.reshape(-1, *shape[-2:])
    turned = np.stack([ndimage.affine_transform(p, turn, offset, order=1, mode="mirror") for p in planes])
    return np.asarray(np.moveaxis(turned, 0, -1) if canvas.study.is_colour else turned.reshape(image.shape), np.float32)


def middle_of(canvas: Canvas) -> np.ndarray:
    """Return row and column of the region's middle, or of the image's."""
    region, shape = canvas.region, canvas.study.spatial_shape
    if region is None:
        return np.asarray((np.array(shape[-2:]) - 1) / 2)
    stop = region.start if region.stop is None else region.stop
    return np.asarray((np.array(region.start[-2:]) + np.array(stop[-2:])) / 2)


@dataclass(frozen=True)
class Kind:
    """One corruption: how it is named, what its five strengths are, and how it is made.

    Attributes
    ----------
    title : str
    strengths : tuple of str
        For people, in physical terms.
    make : callable
    """

    title: str
    strengths: tuple[str, ...]
    make: Corruption | None


def _shares(values: tuple[float, ...], of: str) -> tuple[str, ...]:
    return tuple(f"{100 * value:g} % of {of}" for value in values)


CORRUPTIONS: Mapping[str, Kind] = {
    "noise": Kind("Noise", _shares(NOISE_SHARE, "the range (standard deviation)"), _noise),
    "blur": Kind("Blur", _shares(BLUR_SHARE, "the shorter side (standard deviation)"), _blur),
    "contrast": Kind("Less contrast", tuple(f"contrast times {value:g}" for value in CONTRAST), _contrast),
    "brightness": Kind("Brighter or darker", _shares(BRIGHTNESS, "the range"), _brightness),
    "compression": Kind("JPEG compression", tuple(f"quality {value}" for value in JPEG_QUALITY), _compression),
    "motion": Kind("Motion", _shares(MOTION_SHARE, "the side"), _motion),
    "resolution": Kind("Coarser pixels", tuple(f"pixels {value:g} times as wide" for value in COARSER), _resolution),
    "rotation": Kind("Rotation", tuple(f"{value:g} degrees" for value in ROTATION_DEGREES), _rotation),
    "crop": Kind("Crop", tuple(f"{100 * value:g} % of each side" for value in CROP_SHARE), None),
}
IN_HU: Mapping[str, tuple[str, ...]] = {
    "noise": tuple(f"{value:g} HU (standard deviation)" for value in NOISE_HU),
    "brightness": tuple(f"{value:g} HU" for value in BRIGHTNESS_HU),
}


def corrupted(canvas: Canvas, change: Change) -> Changed:
    """Return the image made worse; a crop keeps the region where it was in the picture."""
    step, kind = change.strength - 1, CORRUPTIONS[change.kind]
    if kind.make is None:
        return _cropped(canvas, CROP_SHARE[step])
    rng = np.random.default_rng(canvas.seed_of(change))
    low, high = canvas.value_range
    image = canvas.study.pixels
    pixels = np.clip(kind.make(canvas, step, rng), min(low, float(image.min())), max(high, float(image.max())))
    return Changed(canvas.with_pixels(pixels), canvas.region, 1.0)


def _cropped(canvas: Canvas, share: float) -> Changed:
    """Cut the plane to a share of its sides, about the region or the middle as far as the edges allow."""
    shape = canvas.study.spatial_shape
    sizes = [max(1, round(share * side)) for side in shape[-2:]]
    wanted = middle_of(canvas) - (np.array(sizes) - 1) / 2
    first = [int(np.clip(round(a), 0, n - s)) for a, n, s in zip(wanted, shape[-2:], sizes, strict=True)]
    part = (slice(first[0], first[0] + sizes[0]), slice(first[1], first[1] + sizes[1]))
    before = (slice(None),) * (len(shape) - 2)
    study = canvas.with_pixels(canvas.study.pixels[(*before, *part)])
    study = replace(study, position_mm=None)
    return Changed(study, _shifted(canvas.region, first), 1 - share**2)


def _shifted(region: Region | None, first: list[int]) -> Region | None:
    if region is None:
        return None

    def moved(point: tuple[float, ...]) -> tuple[float, ...]:
        return (*point[:-2], point[-2] - first[0], point[-1] - first[1])

    return Region(moved(region.start), None if region.stop is None else moved(region.stop))
