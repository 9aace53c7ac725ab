"""Rows of the LIDC-IDRI packs as CT studies with a seed."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from plugins.lung_nodule.grid import HU_RANGE
from whycad.datasets.pack import Pack
from whycad.errors import DatasetError
from whycad.types import FloatArray, MetadataValue, Region, Study

READERS = 4
# The packs' crops lie about their nodule's centre with a median offset of one pixel.
CROP_CENTRE = 64.5 / 128
METADATA_COLUMNS = ("manufacturer", "kernel")
STACK_MM = (1.0, 1.0, 1.0)


def reader_masks(packed: NDArray[np.generic], side: int) -> NDArray[np.uint8]:
    """Unpack up to four readers' outlines, uint8 ``(..., 4, side, side)``, 0 or 1."""
    bits = np.unpackbits(np.asarray(packed, np.uint8), axis=-1)
    return bits.reshape(*bits.shape[:-2], READERS, side, side)


def consensus(masks: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where at least half of the readers who drew an outline drew it, bool ``(..., side, side)``."""
    n_drawn = masks.any(axis=(-2, -1)).sum(axis=-1)[..., None, None]
    return np.asarray((2 * masks.sum(axis=-3) >= n_drawn) & (n_drawn > 0))


def centroid(mask: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Return the centre of a mask as (row, column); None of an empty one."""
    rows, columns = np.nonzero(mask)
    return (float(rows.mean()), float(columns.mean())) if len(rows) else None


def _number(pack: Pack, name: str, row: int) -> float | None:
    text = pack.text(name, row)
    value = float(text) if text else float("nan")
    return value if np.isfinite(value) else None


def _seed(pack: Pack, row: int, shape: tuple[int, int]) -> tuple[float, float]:
    """Return the centre of the readers' outlines, else of the crop."""
    packed = pack.column("reader_masks_packed")
    if packed is not None and packed.ndim == 3 and packed.shape[2] * 8 == shape[0] * shape[1] and shape[0] == shape[1]:
        found = centroid(consensus(reader_masks(packed[row], shape[0])))
        if found is not None:
            return found
    return CROP_CENTRE * shape[0], CROP_CENTRE * shape[1]


def _pixels(pack: Pack, row: int) -> tuple[FloatArray, str]:
    """Return a crop ``(H, W)`` in HU where the pack says how, else as a picture in 0..1."""
    image = pack.image(row)
    if image.ndim != 2:
        raise DatasetError(f"pack {pack.path.name!r}, row {row}: not a grey slice, but of shape {image.shape}")
    slope, intercept = _number(pack, "hu_a", row), _number(pack, "hu_b", row)
    if slope is not None and intercept is not None and slope > 0:
        return np.asarray(image.astype(np.float32) * np.float32(slope) + np.float32(intercept), np.float32), "HU"
    if image.dtype == np.uint8:
        return np.asarray(image.astype(np.float32) / np.float32(255), np.float32), "normalised"
    return image.astype(np.float32), "HU"


def _metadata(pack: Pack, row: int) -> dict[str, MetadataValue]:
    return {name: text for name in METADATA_COLUMNS if (text := pack.text(name, row))}


def _sha256(pixels: NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _key_slice(pack: Pack, row: int) -> tuple[Study, Region]:
    pixels, unit = _pixels(pack, row)
    spacing = _number(pack, "pixel_spacing_mm", row)
    study = Study(
        pixels=pixels,
        modality="CT",
        sha256=_sha256(pack.image(row)),
        unit=unit,
        spacing_mm=None if spacing is None or spacing <= 0 else (spacing, spacing),
        metadata=_metadata(pack, row),
    )
    return study, Region(_seed(pack, row, (pixels.shape[0], pixels.shape[1])))


def _stack(pack: Pack, row: int) -> tuple[Study, Region]:
    """Read the middle slice of a 1 mm stack: where the stack ends tells what the readers thought of it."""
    stack = pack.image(row)
    low, high = HU_RANGE
    middle = stack[(len(stack) - 1) // 2]
    hu = np.asarray(middle.astype(np.float32) / np.float32(255) * np.float32(high - low) + np.float32(low), np.float32)
    study = Study(pixels=hu, modality="CT", sha256=_sha256(stack), unit="HU", spacing_mm=STACK_MM[1:])
    return study, Region(((hu.shape[0] - 1) / 2, (hu.shape[1] - 1) / 2))


def _volume(pack: Pack) -> tuple[Study, Region]:
    """Read a whole series with one marked nodule."""
    needed = ("spacing", "z_mm", "nodule_z_mm", "nodule_crop_origin_xy")
    missing = [name for name in needed if name not in pack.arrays]
    if missing:
        raise DatasetError(f"pack {pack.path.name!r} is a series without {missing[0]!r}")
    volume = pack.arrays["volume"]
    z_mm = np.asarray(pack.arrays["z_mm"], float)
    x, y = (float(v) for v in np.asarray(pack.arrays["nodule_crop_origin_xy"], float).reshape(-1, 2)[0])
    at = float(np.argmin(np.abs(z_mm - float(np.ravel(pack.arrays["nodule_z_mm"])[0]))))
    dz, dy, dx = (float(v) for v in np.asarray(pack.arrays["spacing"], float))
    study = Study(
        pixels=volume.astype(np.float32),
        modality="CT",
        sha256=_sha256(volume),
        unit="HU",
        spacing_mm=(dz, dy, dx),
    )
    return study, Region((at, y + 128 * CROP_CENTRE, x + 128 * CROP_CENTRE))


def read_row(pack: Pack, row: int) -> tuple[Study, Region | None]:
    """Read one row: a key slice, a 1 mm stack's middle slice, or a series with a marked nodule.

    Key slices need nothing but ``image``: without ``hu_a`` and ``hu_b`` they are taken for pictures in
    the lung window, without ``pixel_spacing_mm`` for 0.7 mm pixels, and without outlines the seed is
    the crop's centre. Stacks that lie beside them are not used (see ``TRAINING.md``).

    Returns
    -------
    (Study, Region)

    Raises
    ------
    DatasetError
        When the row is no CT slice.
    """
    match pack.layout:
        case "stacks":
            return _stack(pack, row)
        case "volume":
            return _volume(pack)
        case _:
            return _key_slice(pack, row)
