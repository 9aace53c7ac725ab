"""Pixels to bytes for the browser: small, lossless where it matters, the same every time."""

from __future__ import annotations

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
VOLUME_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Asset:
    """One file for the browser."""

    content: bytes
    mimetype: str
    encoding: str


@dataclass(frozen=True)
class BoxedAsset:
    """A file for part of a volume: where its first voxel lies, and how many there are per axis."""

    asset: Asset
    start: tuple[int, ...]
    shape: tuple[int, ...]


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


def encode_volume(pixels: NDArray[Any]) -> Asset:
    """Encode a volume as plain little-endian numbers, row by row, slice by slice.

    ``u8`` and ``i16`` hold the values themselves (whole-numbered float32, such as HU, travels as int16);
    ``u16`` spreads other values over 0..65535 from the smallest to the largest. They are not packed:
    noise packs badly, and packing would take longer than the journey.
    """
    if pixels.dtype == np.uint8:
        return Asset(np.ascontiguousarray(pixels).tobytes(), VOLUME_TYPE, "u8")
    low, high = value_range(pixels)
    clean = np.nan_to_num(pixels, nan=low, posinf=high, neginf=low) if pixels.dtype.kind == "f" else pixels
    if low >= -32768 and high <= 32767:
        whole = clean.astype("<i2")
        if np.array_equal(whole, clean):
            return Asset(whole.tobytes(), VOLUME_TYPE, "i16")
    levels = np.rint((clean - np.float32(low)) * np.float32(65535 / (high - low))).clip(0, 65535)
    return Asset(levels.astype("<u2").tobytes(), VOLUME_TYPE, "u16")


def encode_volume_map(values: NDArray[np.float32], *, signed: bool, limit: float | None) -> BoxedAsset:
    """Encode a map on a volume's grid like a flat one (0..255, or 127 +- 127), on the box where it is not zero."""
    share = _share(values, signed=signed, limit=limit)
    box = _nonzero_box(share)
    stored = np.rint(share[box] * 127 + 127) if signed else np.rint(share[box] * 255)
    return _boxed(stored.astype(np.uint8), box)


def encode_volume_mask(mask: NDArray[np.bool_]) -> BoxedAsset:
    """Encode a mask on a volume's grid as bytes 0 and 1, on the box where it is set."""
    box = _nonzero_box(mask)
    return _boxed(mask[box].astype(np.uint8), box)


def _nonzero_box(values: NDArray[Any]) -> tuple[slice, ...]:
    spans = []
    for axis in range(values.ndim):
        others = tuple(other for other in range(values.ndim) if other != axis)
        found = np.flatnonzero(values.any(axis=others))
        spans.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 1))
    return tuple(spans)


def _boxed(stored: NDArray[np.uint8], box: tuple[slice, ...]) -> BoxedAsset:
    content = zlib.compress(np.ascontiguousarray(stored).tobytes(), 1)
    return BoxedAsset(Asset(content, VOLUME_TYPE, "u8"), tuple(span.start for span in box), stored.shape)


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
