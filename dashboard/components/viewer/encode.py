"""Pixels to bytes for the browser: small, lossless where it matters, the same every time."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_MAP_EDGE = 1024
FAST_PNG_PIXELS = 2_000_000
OUTLINE_TOLERANCE_PX = 0.4


@dataclass(frozen=True)
class Asset:
    """One file for the browser."""

    content: bytes
    mimetype: str
    encoding: str


def to_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn values in 0..1 into 0..255; values that are not finite become 0."""
    finite = np.nan_to_num(np.asarray(pixels, dtype=np.float32), nan=0.0, posinf=1.0, neginf=0.0)
    scaled: NDArray[np.uint8] = np.rint(np.clip(finite, 0, 1) * 255).astype(np.uint8)
    return scaled


def value_range(pixels: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and largest finite value; 0 and 255 for uint8."""
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    finite = pixels[np.isfinite(pixels)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return low, high if high > low else low + 1.0


def encode_image(pixels: NDArray[Any]) -> Asset:
    """Encode a flat image: PNG for 8 bits, deflated little-endian uint16 over the value range for float32."""
    if pixels.dtype == np.uint8:
        return _png(pixels)
    low, high = value_range(pixels)
    clean = np.nan_to_num(pixels, nan=low, posinf=high, neginf=low)
    levels = np.rint((clean.astype(np.float64) - low) / (high - low) * 65535).astype("<u2")
    return Asset(zlib.compress(levels.tobytes(), 1), "application/octet-stream", "u16")


def encode_map(values: NDArray[np.float32], *, signed: bool, limit: float | None) -> Asset:
    """Encode a flat map as a grey PNG of at most 1024 pixels per edge.

    Signed maps are stored as ``127 + 127 v / limit``, unsigned ones as ``255 v / limit``.
    """
    share = _shrunk(_share(values, signed=signed, limit=limit))
    stored = np.rint(share * 127 + 127) if signed else np.rint(share * 255)
    return _png(stored.astype(np.uint8))


def volume_affine(
    shape: tuple[int, ...], spacing_mm: tuple[float, ...] | None, direction: tuple[float, ...] | None
) -> NDArray[np.float64]:
    """Return the NIfTI affine (RAS, millimetres) of a volume in array order (slice, row, column).

    Parameters
    ----------
    shape : tuple of int
        ``(Z, H, W)``; the volume's middle becomes the origin.
    spacing_mm : tuple of float or None
        Per axis in array order; None for 1 mm.
    direction : tuple of float or None
        DICOM ImageOrientationPatient; None for axial slices, feet first in the array.
    """
    sz, sr, sc = spacing_mm or (1.0, 1.0, 1.0)
    row, column = np.reshape(np.asarray(direction or (1, 0, 0, 0, 1, 0), dtype=np.float64), (2, 3))
    to_ras = np.diag([-1.0, -1.0, 1.0])
    matrix = np.eye(4)
    matrix[:3, :3] = to_ras @ np.stack([row * sc, column * sr, np.cross(row, column) * sz], axis=1)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.asarray(shape[::-1], dtype=np.float64) - 1) / 2)
    return matrix


def encode_volume(pixels: NDArray[Any], affine: NDArray[np.float64]) -> Asset:
    """Encode a volume as gzipped NIfTI; whole-numbered float32, such as HU, travels as int16."""
    values = pixels
    if pixels.dtype == np.float32:
        values = np.nan_to_num(pixels, nan=value_range(pixels)[0])
        low, high = float(values.min()), float(values.max())
        if low >= -32768 and high <= 32767 and np.array_equal(values, np.rint(values)):
            values = values.astype(np.int16)
    return _nifti(values, affine, slope=1.0)


def encode_volume_map(
    values: NDArray[np.float32], affine: NDArray[np.float64], *, signed: bool, limit: float | None
) -> Asset:
    """Encode a map on a volume's grid as gzipped NIfTI with values in -1..1 or 0..1."""
    share = _share(values, signed=signed, limit=limit)
    if signed:
        return _nifti(np.rint(share * 127).astype(np.int16), affine, slope=1 / 127)
    return _nifti(np.rint(share * 255).astype(np.uint8), affine, slope=1 / 255)


def mask_outlines(mask: NDArray[np.bool_]) -> list[list[list[float]]]:
    """Trace the edges of a mask as closed polylines of (row, column), simplified to 0.4 pixels."""
    from skimage.measure import approximate_polygon, find_contours

    padded = np.pad(np.asarray(mask, dtype=np.float32), 1)
    contours = (approximate_polygon(c, OUTLINE_TOLERANCE_PX) - 1 for c in find_contours(padded, 0.5))
    return [np.round(c, 1).tolist() for c in contours]


def _share(values: NDArray[np.float32], *, signed: bool, limit: float | None) -> NDArray[np.float32]:
    """Values as a share of the limit, -1..1 or 0..1."""
    clean = np.nan_to_num(np.asarray(values, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    largest = float(np.abs(clean).max() if signed else clean.max(initial=0.0)) if limit is None else limit
    share: NDArray[np.float32] = np.clip(clean / largest if largest > 0 else clean * 0, -1.0 if signed else 0.0, 1.0)
    return share


def _shrunk(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Area-average a map down to ``MAX_MAP_EDGE``; its edges stay on the image's edges."""
    edge = max(share.shape)
    if edge <= MAX_MAP_EDGE:
        return share
    height, width = (max(1, round(n * MAX_MAP_EDGE / edge)) for n in share.shape)
    small = Image.fromarray(share.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def _png(pixels: NDArray[np.uint8]) -> Asset:
    buffer = io.BytesIO()
    level = 1 if pixels.size > FAST_PNG_PIXELS else 6
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=level)
    return Asset(buffer.getvalue(), "image/png", "png")


def _nifti(values: NDArray[Any], affine: NDArray[np.float64], *, slope: float) -> Asset:
    import nibabel as nib

    image = nib.Nifti1Image(np.ascontiguousarray(values).T, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(slope, 0)
    content = gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
    return Asset(content, "application/gzip", "nifti")
