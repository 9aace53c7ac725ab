"""Images that no task is made for: everyday pictures, textures, noise, ruined images of its own.

The pictures come with scikit-image; nothing is downloaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whycad.manifest import Manifest
from whycad.types import FloatArray, Region, Study

# Of scikit-image's own pictures, those that are neither medical nor drawn.
PICTURES = (
    "astronaut", "brick", "camera", "chelsea", "clock", "coffee", "coins", "grass", "gravel", "moon", "page", "rocket",
    "text",
)  # fmt: skip
CROPS_OF_A_PICTURE = 6
SIDE = 256
N_NOISE = 20
RUINS = ("inverted", "noise", "blurred", "shuffled", "half black")


@dataclass(frozen=True, eq=False)
class StrangeImage:
    """One image.

    Attributes
    ----------
    pixels : ndarray of float32 (H, W) or (H, W, 3)
        In 0..1.
    group : str
        Picture or recipe that it comes from.
    """

    pixels: FloatArray
    group: str


def natural_images(seed: int = 0) -> Iterator[StrangeImage]:
    """Yield crops of everyday pictures and textures, 256 pixels at the longer side."""
    from skimage import data
    from skimage.transform import resize

    rng = np.random.default_rng(seed)
    for name in PICTURES:
        picture = getattr(data, name)().astype(np.float32) / 255
        for _ in range(CROPS_OF_A_PICTURE):
            part = _crop(picture, rng)
            scale = SIDE / max(part.shape[:2])
            shape = tuple(max(1, round(side * scale)) for side in part.shape[:2])
            pixels = np.clip(resize(part, shape, anti_aliasing=True), 0, 1)
            yield StrangeImage(np.asarray(pixels, np.float32), name)


def _crop(picture: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a random part with sides of 30 to 80 % of the picture's."""
    height, width = picture.shape[:2]
    share = rng.uniform(0.3, 0.8)
    h, w = int(share * height), int(share * width)
    row, column = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    return np.asarray(picture[row : row + h, column : column + w, ...][..., :3] if picture.ndim == 3 else
                      picture[row : row + h, column : column + w])  # fmt: skip


def noise_images(seed: int = 0) -> Iterator[StrangeImage]:
    """Yield white, grey and smoothed noise in colour, 160 x 200."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    for _ in range(N_NOISE):
        yield StrangeImage(rng.random((160, 200, 3), dtype=np.float32), "white noise")
        grey = np.clip(rng.normal(0.5, 0.15, (160, 200)), 0, 1)
        yield StrangeImage(grey.astype(np.float32), "grey noise")
        soft = gaussian_filter(rng.normal(size=(160, 200, 3)), (rng.uniform(1.5, 8), rng.uniform(1.5, 8), 0))
        span = float(np.ptp(soft))
        yield StrangeImage(((soft - soft.min()) / span).astype(np.float32), "smoothed noise")


def ruined(study: Study, how: str, seed: int = 0) -> Study:
    """Return a task's own image, ruined: same range of values, no use to anyone.

    Parameters
    ----------
    study : Study
    how : str
        One of ``RUINS``.
    seed : int
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    pixels = study.pixels
    low, high = float(pixels.min()), float(pixels.max())
    spatial = len(study.spatial_shape)
    if how == "inverted":
        changed: NDArray[np.floating] = low + high - pixels
    elif how == "noise":
        changed = np.clip(pixels + (high - low) * rng.normal(0, 0.4, pixels.shape), low, high)
    elif how == "blurred":
        widths = [side / 12 if axis >= spatial - 2 else 0 for axis, side in enumerate(pixels.shape[:spatial])]
        changed = gaussian_filter(pixels, [*widths, *([0] * (pixels.ndim - spatial))])
    elif how == "shuffled":
        changed = _shuffled(pixels, spatial, rng)
    else:
        changed = pixels.copy()
        changed[(slice(None),) * (spatial - 1) + (slice(0, pixels.shape[spatial - 1] // 2),)] = low
    digest = hashlib.sha256(f"{study.sha256} {how} {seed}".encode()).hexdigest()
    return replace(study, pixels=np.ascontiguousarray(changed, dtype=np.float32), sha256=digest)


def _shuffled(pixels: FloatArray, spatial: int, rng: np.random.Generator) -> FloatArray:
    """Return the image with its last two spatial axes cut into 6 x 6 tiles in another order."""
    changed = pixels.copy()
    axes = (spatial - 2, spatial - 1)
    sides = [pixels.shape[axis] // 6 for axis in axes]
    places = [(i, j) for i in range(6) for j in range(6)]
    for (i, j), target in zip(places, rng.permutation(len(places)), strict=True):
        there = places[target]
        changed[_tile(axes, sides, (i, j))] = pixels[_tile(axes, sides, there)]
    return changed


def _tile(axes: tuple[int, int], sides: list[int], place: tuple[int, int]) -> tuple[slice, ...]:
    index = [slice(None)] * (axes[1] + 1)
    for axis, side, at in zip(axes, sides, place, strict=True):
        index[axis] = slice(at * side, (at + 1) * side)
    return tuple(index)


def plain_study(image: StrangeImage) -> Study:
    """Return an image as the study that a PNG file of it would give."""
    unit = "rgb" if image.pixels.ndim == 3 else "normalised"
    return Study(image.pixels, "OT", hashlib.sha256(image.pixels.tobytes()).hexdigest(), unit=unit)


def in_disguise(study: Study, manifest: Manifest) -> tuple[Study, Region | None]:
    """Return a foreign image as a task would want it: its modality, colours, range of values and size.

    What is left to tell it by is what it shows. The region, where the task needs one, is the
    middle.
    """
    spec = manifest.input
    pixels = _flat(study)
    if spec.colour and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    elif not spec.colour and pixels.ndim == 3:
        pixels = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    pixels = (pixels - low) / max(high - low, 1e-6)
    times = -(-spec.min_size_px // min(pixels.shape[:2]))
    pixels = pixels.repeat(times, axis=0).repeat(times, axis=1)
    bottom, top = spec.value_range
    unit = "normalised" if (bottom, top) == (0.0, 1.0) else "HU" if "CT" in spec.modalities else "stored"
    spacing = study.spacing_mm[-2:] if study.spacing_mm else (spec.spacing_mm or (1.0, 1.0))[-2:]
    changed = replace(
        study,
        pixels=np.ascontiguousarray(bottom + (top - bottom) * pixels, dtype=np.float32),
        modality=study.modality if study.modality in spec.modalities else spec.modalities[0],
        unit="rgb" if spec.colour else unit,
        spacing_mm=tuple(spacing),
        position_mm=None,
        orientation=None,
    )
    middle = Region(tuple((side - 1) / 2 for side in changed.spatial_shape))
    return changed, middle if spec.needs_region else None


def _flat(study: Study) -> FloatArray:
    """Return ``(H, W)`` or ``(H, W, 3)``: the middle slice of a volume."""
    volume = len(study.spatial_shape) == 3
    return study.pixels[study.pixels.shape[0] // 2] if volume else study.pixels
