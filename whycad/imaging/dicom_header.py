"""What a DICOM header says about its pixels, checked before anything is allocated."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.uid import UID

from whycad.errors import CorruptImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging.dicom_scan import Element, Scan
from whycad.imaging.dicom_syntax import Syntax
from whycad.imaging.limits import Limits
from whycad.imaging.remarks import Remark

GREY = frozenset(("MONOCHROME1", "MONOCHROME2"))
PALETTE = "PALETTE COLOR"
COLOUR = frozenset(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"))
RETIRED = frozenset(("ARGB", "HSV", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB"))
CONVERSION_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    NotImplementedError,
    LookupError,
    struct.error,
    BytesLengthException,
)
FLOAT_TAGS = {0x7FE00008: 32, 0x7FE00009: 64}
EXPORT_AGAIN = "export the image again from where it came"


@dataclass(frozen=True)
class PixelHeader:
    """The image pixel module, consistent in itself.

    Attributes
    ----------
    rows, columns, frames, samples : int
    bits_allocated, bits_stored : int
    signed, floating : bool
    photometric : str
        DICOM's photometric interpretation.
    syntax : Syntax
    value : Element
        Where the pixels lie.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    floating: bool
    photometric: str
    syntax: Syntax
    value: Element

    @property
    def colour(self) -> bool:
        """Whether the image has colours of its own."""
        return self.samples == 3 or self.photometric == PALETTE

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame; bit-packed frames are not rounded up."""
        bits = self.rows * self.columns * self.samples * self.bits_allocated
        if self.photometric == "YBR_FULL_422" and not self.syntax.encapsulated:
            bits = bits * 2 // 3
        return (bits + 7) // 8


def whole(ds: Dataset, keyword: str | int, default: int | None = None) -> int:
    """Read one whole number.

    Raises
    ------
    CorruptImageError
        If it is missing without a default, or is not a single whole number.
    """
    value = raw(ds, keyword)
    if value is None or value == "":
        if default is None:
            raise CorruptImageError(f"The DICOM header lacks {_name(keyword)}", remedy=EXPORT_AGAIN)
        return default
    try:
        number = float(value)
        if number != int(number):
            raise ValueError
        return int(number)
    except CONVERSION_ERRORS:
        raise CorruptImageError(
            f"The DICOM header's {_name(keyword)} is not a whole number", remedy=EXPORT_AGAIN
        ) from None


def numbers(ds: Dataset, keyword: str | int) -> tuple[float, ...]:
    """Read one or several finite numbers; empty where the element is missing or empty.

    Raises
    ------
    CorruptImageError
        If one of them is not a finite number.
    """
    value = raw(ds, keyword)
    if value is None or value == "":
        return ()
    try:
        parts = tuple(float(v) for v in (value if isinstance(value, MultiValue | list | tuple) else (value,)))
    except CONVERSION_ERRORS:
        parts = (math.nan,)
    if not all(math.isfinite(p) for p in parts):
        raise CorruptImageError(f"The DICOM header's {_name(keyword)} is not a number", remedy=EXPORT_AGAIN)
    return parts


def code(ds: Dataset, keyword: str) -> str:
    """Read the first of one or several code strings, in capitals; empty where missing or odd."""
    value = raw(ds, keyword, strict=False)
    if isinstance(value, MultiValue | list | tuple):
        value = value[0] if len(value) else ""
    return value.strip().strip("\x00").upper() if isinstance(value, str) else ""


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """Read the items of a sequence; empty where it is missing."""
    value = raw(ds, keyword)
    if value is None:
        return []
    found = list(value) if isinstance(value, list) or hasattr(value, "__iter__") else []
    if not all(isinstance(item, Dataset) for item in found):
        raise CorruptImageError(f"The DICOM header's {keyword} is not a sequence", remedy=EXPORT_AGAIN)
    return found


def raw(ds: Dataset, keyword: str | int, *, strict: bool = True) -> Any:
    """Read an element's value, or None; a value that cannot be read is an error where ``strict``."""
    try:
        if isinstance(keyword, int):
            return ds[keyword].value if keyword in ds else None
        return ds.get(keyword)
    except CONVERSION_ERRORS:
        if not strict:
            return None
        raise CorruptImageError(f"The DICOM header's {_name(keyword)} cannot be read", remedy=EXPORT_AGAIN) from None


def _name(keyword: str | int) -> str:
    return keyword if isinstance(keyword, str) else "overlay size"


def check_is_image(ds: Dataset, media_class: str) -> str:
    """Refuse reports, plans, waveforms and the like.

    Returns
    -------
    str
        The SOP class's registered name; empty where unknown.

    Raises
    ------
    UnsupportedFormatError
        If the object is of a class that is not a plain image.
    """
    uid = UID(str(raw(ds, "SOPClassUID", strict=False) or media_class).strip())
    name = uid.name if uid.name != str(uid) else ""
    is_image = name.endswith("Image Storage") or "Image Storage -" in name or name.startswith("Grayscale ")
    if name and (not is_image or name.startswith("RT ")):
        raise UnsupportedFormatError(
            f"The DICOM file is not an image but '{name.removesuffix(' Storage')}'",
            remedy="open the images that it belongs to",
        )
    if name == "VL Whole Slide Microscopy Image Storage":
        raise UnsupportedFormatError(
            "The DICOM file is a tiled whole-slide image, which is not read",
            remedy="export one region as a plain image",
        )
    return name


def read_pixel_header(ds: Dataset, scan: Scan, syntax: Syntax, limits: Limits) -> PixelHeader:
    """Read and check everything about the pixels that the header says.

    Raises
    ------
    UnsupportedFormatError
        If there are no pixels, or of a kind that is not read.
    CorruptImageError
        If the header contradicts itself or the file's length.
    ImageTooLargeError
        If the image would be larger than the limits allow.
    """
    if scan.pixels is None:
        raise UnsupportedFormatError(
            "The DICOM file is not an image: it has no pixels", remedy="open the images that it belongs to"
        )
    floating = scan.pixels.tag in FLOAT_TAGS
    header = PixelHeader(
        rows=_side(ds, "Rows"),
        columns=_side(ds, "Columns"),
        frames=_frames(ds),
        samples=whole(ds, "SamplesPerPixel", 1),
        bits_allocated=whole(ds, "BitsAllocated"),
        bits_stored=whole(ds, "BitsStored", whole(ds, "BitsAllocated")),
        signed=not floating and whole(ds, "PixelRepresentation", 0) == 1,
        floating=floating,
        photometric=code(ds, "PhotometricInterpretation"),
        syntax=syntax,
        value=scan.pixels,
    )
    _check_photometric(header)
    _check_bits(ds, header)
    _check_size(header, limits)
    _check_length(header, scan)
    return header


def _side(ds: Dataset, keyword: str) -> int:
    value = whole(ds, keyword)
    if not 1 <= value <= 65535:
        raise CorruptImageError(f"The DICOM header's {keyword} is not a size", remedy=EXPORT_AGAIN)
    return value


def _frames(ds: Dataset) -> int:
    frames = whole(ds, "NumberOfFrames", 1)
    if frames < 1:
        raise CorruptImageError("The DICOM header's NumberOfFrames is less than one", remedy=EXPORT_AGAIN)
    return frames


def _check_photometric(h: PixelHeader) -> None:
    if h.photometric in RETIRED:
        raise UnsupportedFormatError(
            f"The colour space {h.photometric} is not read", remedy="convert the image to RGB, for example with DCMTK"
        )
    wanted = 1 if h.photometric in GREY or h.photometric == PALETTE else 3 if h.photometric in COLOUR else 0
    if not wanted:
        raise CorruptImageError("The DICOM header lacks a known PhotometricInterpretation", remedy=EXPORT_AGAIN)
    if h.samples != wanted:
        raise CorruptImageError(
            f"The DICOM header declares {h.photometric} with another number of samples per pixel than {wanted}",
            remedy=EXPORT_AGAIN,
        )
    if h.colour and (h.signed or h.floating):
        raise CorruptImageError("The DICOM header declares colours with negative or broken values", remedy=EXPORT_AGAIN)
    if h.photometric in ("YBR_ICT", "YBR_RCT") and h.syntax.codec != "jpeg2000":
        raise CorruptImageError(
            f"The DICOM header declares {h.photometric}, which exists in JPEG 2000 only", remedy=EXPORT_AGAIN
        )
    if h.photometric == "YBR_FULL_422" and not h.syntax.encapsulated and (h.columns % 2 or h.bits_allocated != 8):
        raise CorruptImageError(
            "The DICOM header declares YBR_FULL_422 with an odd width or depth", remedy=EXPORT_AGAIN
        )


def _check_bits(ds: Dataset, h: PixelHeader) -> None:
    if whole(ds, "PixelRepresentation", 0) not in (0, 1):
        raise CorruptImageError("The DICOM header's PixelRepresentation is neither 0 nor 1", remedy=EXPORT_AGAIN)
    if h.floating:
        if h.bits_allocated != FLOAT_TAGS[h.value.tag] or h.syntax.encapsulated or h.samples != 1:
            raise CorruptImageError("The DICOM header's BitsAllocated does not fit its kind of pixels")
        return
    if h.bits_allocated not in (1, 8, 16, 32):
        raise UnsupportedFormatError(
            "The DICOM header declares a pixel depth that is not read (1, 8, 16 and 32 bits are)", remedy=EXPORT_AGAIN
        )
    if not 1 <= h.bits_stored <= h.bits_allocated:
        raise CorruptImageError("The DICOM header's BitsStored does not fit in BitsAllocated", remedy=EXPORT_AGAIN)
    if whole(ds, "HighBit", h.bits_stored - 1) != h.bits_stored - 1:
        raise UnsupportedFormatError(
            "The DICOM file keeps its pixels in the upper bits (HighBit), which is not read", remedy=EXPORT_AGAIN
        )
    if h.bits_allocated == 1 and (h.colour or h.signed or h.syntax.encapsulated):
        raise UnsupportedFormatError("One-bit pixels are read in plain grey images only", remedy=EXPORT_AGAIN)
    planar = whole(ds, "PlanarConfiguration", 0)
    if h.samples > 1 and planar not in (0, 1):
        raise CorruptImageError("The DICOM header's PlanarConfiguration is neither 0 nor 1", remedy=EXPORT_AGAIN)


def _check_size(h: PixelHeader, limits: Limits) -> None:
    used_frames = 1 if h.colour else h.frames
    total = h.rows * h.columns * used_frames * (3 if h.colour else 1)
    if total > limits.max_pixels or h.frames > 1 << 20:
        raise ImageTooLargeError(
            f"The DICOM header declares {h.frames} frame(s) of {h.rows} x {h.columns} pixels, "
            f"more than the limit of {limits.max_pixels:,} values",
            remedy="open a smaller image or part of it, or raise the limit",
        )


def _check_length(h: PixelHeader, scan: Scan) -> None:
    if h.syntax.encapsulated != h.value.undefined:
        raise CorruptImageError(
            "The pixels of the DICOM file are not in the transfer syntax that it names", remedy=EXPORT_AGAIN
        )
    if h.syntax.encapsulated:
        if len(scan.fragments) < 2 or len(scan.fragments) - 1 < h.frames:
            raise CorruptImageError("The DICOM file holds fewer compressed frames than its header declares")
        return
    bits = h.rows * h.columns * h.samples * h.bits_allocated * h.frames
    needed = (bits + 7) // 8 if h.bits_allocated == 1 else h.frame_bytes * h.frames
    found = h.value.stop - h.value.start
    if found < needed:
        raise CorruptImageError(
            "The pixels of the DICOM file are cut short", remedy="check that the copy or download was complete"
        )
    if found > needed + 1:
        scan.remarks.add(Remark.EXTRA_PIXELS)
