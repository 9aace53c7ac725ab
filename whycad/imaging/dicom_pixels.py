"""Pixels of a DICOM file: decoded, in the output units of the modality LUT, as float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from whycad.errors import CorruptImageError, UnsupportedFormatError
from whycad.imaging.dicom_codecs import BROKEN, check_frame, decoder_for
from whycad.imaging.dicom_frames import FrameItems, Source
from whycad.imaging.dicom_header import (
    CONVERSION_ERRORS,
    EXPORT_AGAIN,
    PALETTE,
    PixelHeader,
    code,
    items,
    numbers,
    raw,
    whole,
)
from whycad.imaging.remarks import Remark
from whycad.types import FloatArray

Stored = NDArray[Any]
BROKEN_LUT = "The modality LUT of the DICOM file is broken"
UNDECLARED = "UNDECLARED"
LITTLE_ENDIAN = "convert it to Explicit VR Little Endian, for example with DCMTK's dcmconv"


@dataclass(frozen=True)
class Rescale:
    """``output = slope * stored + intercept``, with the output's declared type."""

    slope: float = 1.0
    intercept: float = 0.0
    kind: str = ""


@dataclass(frozen=True, eq=False)
class GreyPixels:
    """Grey frames in the order of the file.

    Attributes
    ----------
    values : ndarray of float32 (frames, rows, columns)
        Output of the modality LUT; MONOCHROME1 is already inverted.
    unit : str
        ``HU`` or ``stored``.
    mirror : float or None
        Where inverted: ``lo + hi``, so that an output v became ``mirror - v``.
    """

    values: FloatArray
    unit: str
    mirror: float | None


def decode_frames(source: Source) -> Iterator[Stored]:
    """Yield the frames that are needed, as stored: colour is RGB, only the first of several.

    Raises
    ------
    CorruptImageError
        If a frame cannot be decoded, or there are fewer than declared.
    """
    header = source.header
    wanted = 1 if header.colour else header.frames
    packed = source.data[header.value.start : header.value.stop]
    if header.syntax.encapsulated:
        _check_frames(packed, source)
    options = _options(source.ds, header)
    count = 0
    try:
        frames = decoder_for(header.syntax.uid).iter_array(packed, raw=False, validate=True, **options)
        for frame, _ in islice(frames, wanted):
            if frame.shape[:2] != (header.rows, header.columns):
                raise CorruptImageError(BROKEN)
            count += 1
            yield frame
    except (*CONVERSION_ERRORS, RuntimeError, OSError, EOFError, StopIteration):
        raise CorruptImageError(BROKEN, remedy=EXPORT_AGAIN) from None
    if count < wanted:
        raise CorruptImageError("The DICOM file holds fewer frames than its header declares")


def _options(ds: Dataset, header: PixelHeader) -> dict[str, Any]:
    keyword = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
    options: dict[str, Any] = {
        "rows": header.rows,
        "columns": header.columns,
        "number_of_frames": header.frames,
        "samples_per_pixel": header.samples,
        "bits_allocated": header.bits_allocated,
        "bits_stored": header.bits_stored,
        "photometric_interpretation": header.photometric,
        "pixel_representation": int(header.signed),
        "pixel_keyword": keyword[header.value.tag],
        "planar_configuration": whole(ds, "PlanarConfiguration", 0),
        "pixel_vr": header.value.vr or "OW",
        "allow_excess_frames": False,
    }
    offsets = _extended_offsets(ds)
    if offsets:
        options["extended_offsets"] = offsets
    return options


def _extended_offsets(ds: Dataset) -> tuple[bytes, bytes] | None:
    offsets, lengths = raw(ds, "ExtendedOffsetTable"), raw(ds, "ExtendedOffsetTableLengths")
    if isinstance(offsets, bytes) and isinstance(lengths, bytes) and offsets:
        return offsets, lengths
    return None


def _check_frames(packed: bytes, source: Source) -> None:
    from pydicom.encaps import generate_frames

    header, remarks = source.header, source.remarks
    wanted = 1 if header.colour else header.frames
    offsets = _extended_offsets(source.ds)
    count = 0
    try:
        for frame in generate_frames(packed, number_of_frames=header.frames, extended_offsets=offsets):
            if count < wanted:
                check_frame(frame, header, remarks)
            count += 1
    except (*CONVERSION_ERRORS, OSError, EOFError):
        raise CorruptImageError(BROKEN, remedy=EXPORT_AGAIN) from None
    if count < header.frames:
        raise CorruptImageError("The DICOM file holds fewer compressed frames than its header declares")
    if count > header.frames:
        remarks.add(Remark.EXTRA_PIXELS)


def colour_pixels(source: Source) -> FloatArray:
    """Return the first frame as red, green and blue.

    Returns
    -------
    ndarray of float32 (rows, columns, 3)
        In 0..1.
    """
    header = source.header
    stored = next(decode_frames(source))
    if header.photometric == PALETTE:
        if not header.syntax.little_endian:
            raise UnsupportedFormatError("Palettes in big-endian files are not read", remedy=LITTLE_ENDIAN)
        return _apply_palette(stored, source.ds)
    pixels = stored.astype(np.float32)
    pixels /= np.float32(2**header.bits_stored - 1)
    return pixels.clip(0.0, 1.0, out=pixels)


def _apply_palette(stored: Stored, ds: Dataset) -> FloatArray:
    from pydicom.pixels.processing import apply_color_lut

    try:
        coloured = apply_color_lut(stored, ds)[..., :3]
    except CONVERSION_ERRORS:
        raise CorruptImageError("The colour palette of the DICOM file is broken", remedy=EXPORT_AGAIN) from None
    # Some writers keep eight-bit palettes in sixteen-bit words.
    top = 255 if coloured.dtype.itemsize == 1 or coloured.max(initial=0) <= 255 else 65535
    return coloured.astype(np.float32) / np.float32(top)


def grey_pixels(source: Source, *, fill_padding: bool = True) -> GreyPixels:
    """Apply modality LUT, padding and MONOCHROME1 to every frame.

    MONOCHROME1 turns ``v`` into ``lo + hi - v``, where lo and hi are the least and largest output that
    the stored bits allow, so that larger is always brighter. Hounsfield units are never inverted.
    Padding takes the least value of the rest.

    Parameters
    ----------
    source : Source
    fill_padding : bool
        Otherwise padding is NaN, for whoever knows what the rest is.

    Raises
    ------
    CorruptImageError
        If the rescale factors are zero or no numbers, or the result is not finite.
    """
    header = source.header
    out = np.empty((header.frames, header.rows, header.columns), np.float32)
    padding: NDArray[np.bool_] | None = None
    kinds: set[str] = set()
    lo, hi = np.inf, -np.inf
    limits = _padding_range(source.ds, header)
    for index, stored in enumerate(decode_frames(source)):
        if limits is not None:
            if padding is None:
                padding = np.zeros(out.shape, bool)
            np.logical_and(stored >= limits[0], stored <= limits[1], out=padding[index])
        low, high, kind = _modality(stored, source, index, out[index])
        lo, hi = min(lo, low), max(hi, high)
        kinds.add(kind)
    if not np.isfinite(out).all():
        raise CorruptImageError("The pixels of the DICOM file are not all finite numbers")
    hounsfield = kinds == {"HU"} or (kinds == {UNDECLARED} and source.modality == "CT")
    mirror = None
    if header.photometric == "MONOCHROME1" and not hounsfield:
        mirror = float(out.min() + out.max()) if header.floating else lo + hi
        np.subtract(np.float32(mirror), out, out=out)
    if padding is not None and not fill_padding:
        out[padding] = np.nan
    elif padding is not None and padding.any() and not padding.all():
        out[padding] = out[~padding].min()
    return GreyPixels(out, "HU" if hounsfield else "stored", mirror)


def _modality(stored: Stored, source: Source, index: int, out: FloatArray) -> tuple[float, float, str]:
    """Fill one frame; return the least and largest possible output, and its declared type."""
    header = source.header
    lut = items(source.ds, "ModalityLUTSequence")
    if lut and not header.floating:
        return _apply_lut(stored, lut[0], header, out)
    rescale = read_rescale(source.ds, source.groups, index)
    np.multiply(stored, rescale.slope, out=out, casting="unsafe")
    out += np.float32(rescale.intercept)
    least = -(2 ** (header.bits_stored - 1)) if header.signed else 0
    most = least + 2**header.bits_stored - 1
    ends = sorted((least * rescale.slope + rescale.intercept, most * rescale.slope + rescale.intercept))
    return ends[0], ends[1], rescale.kind


def _apply_lut(stored: Stored, lut: Dataset, header: PixelHeader, out: FloatArray) -> tuple[float, float, str]:
    descriptor, data = numbers(lut, "LUTDescriptor"), raw(lut, "LUTData")
    if len(descriptor) != 3:
        raise CorruptImageError(BROKEN_LUT, remedy=EXPORT_AGAIN)
    entries, first = int(descriptor[0]) or 65536, int(descriptor[1])
    if isinstance(data, bytes):
        word = "u1" if len(data) in (entries, entries + entries % 2) else "u2"
        data = np.frombuffer(data[: len(data) // 2 * 2], ("<" if header.syntax.little_endian else ">") + word)
    else:
        data = np.asarray(numbers(lut, "LUTData"))
    if len(data) < entries or entries < 1:
        raise CorruptImageError(BROKEN_LUT, remedy=EXPORT_AGAIN)
    table = data[:entries].astype(np.float32)
    out[...] = table[np.clip(stored.astype(np.int64) - first, 0, entries - 1)]
    return float(table.min()), float(table.max()), code(lut, "ModalityLUTType")


def read_rescale(ds: Dataset, groups: FrameItems, index: int) -> Rescale:
    """Read slope and intercept of one frame, from its functional group or the data set.

    Raises
    ------
    CorruptImageError
        If the slope is zero, or one of them is not a finite number.
    """
    source = groups.item("PixelValueTransformationSequence", index) or ds
    slope, intercept = numbers(source, "RescaleSlope"), numbers(source, "RescaleIntercept")
    if not slope and not intercept:
        return Rescale()
    if len(slope) > 1 or len(intercept) > 1 or (slope and slope[0] == 0.0):
        raise CorruptImageError("The DICOM header's RescaleSlope is zero or not one number", remedy=EXPORT_AGAIN)
    declared = code(source, "RescaleType") or UNDECLARED
    return Rescale(slope[0] if slope else 1.0, intercept[0] if intercept else 0.0, declared)


def _padding_range(ds: Dataset, header: PixelHeader) -> tuple[float, float] | None:
    if header.floating:
        return None
    value = numbers(ds, "PixelPaddingValue")
    if not value:
        return None
    limit = numbers(ds, "PixelPaddingRangeLimit")
    ends = sorted(_as_stored(v, header) for v in (value[0], (limit or value)[0]))
    return ends[0], ends[1]


def _as_stored(value: float, header: PixelHeader) -> float:
    # US read for SS or the other way round: same bits, other sign.
    size = float(2**header.bits_allocated)
    if header.signed and value >= size / 2:
        return value - size
    return value + size if not header.signed and value < 0 else value
