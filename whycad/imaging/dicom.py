"""One DICOM file to one Study; runs in the decoding child only."""

from __future__ import annotations

import io
import zlib

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from whycad.errors import CorruptImageError, ImageTooLargeError
from whycad.imaging.deidentify import check_metadata, modality_of, view_of
from whycad.imaging.dicom_facts import acquisition_facts, laterality_of, read_facts, subject_of
from whycad.imaging.dicom_frames import Placement, Source, read_groups, read_placement
from whycad.imaging.dicom_header import (
    CONVERSION_ERRORS,
    EXPORT_AGAIN,
    PixelHeader,
    check_is_image,
    code,
    numbers,
    raw,
    read_pixel_header,
    whole,
)
from whycad.imaging.dicom_pixels import colour_pixels, grey_pixels
from whycad.imaging.dicom_scan import PIXEL_TAGS, read_meta, scan_dataset
from whycad.imaging.dicom_syntax import DEFLATED, Syntax, syntax_of
from whycad.imaging.limits import Limits
from whycad.imaging.remarks import Remark
from whycad.imaging.sniff import is_polyglot
from whycad.imaging.stacking import Stack, fill_volume
from whycad.imaging.vocabulary import PHOTOGRAPHS
from whycad.types import FloatArray, Study

TRANSFER_SYNTAX, MEDIA_CLASS = 0x00020010, 0x00020002
_CHUNK = 1 << 20


def read_dicom(data: bytes, key: bytes, limits: Limits) -> Study:
    """Decode one DICOM Part 10 file.

    Parameters
    ----------
    data : bytes
        The whole file.
    key : bytes
        Secret for the subject key.
    limits : Limits

    Returns
    -------
    Study
        Without ``sha256``.

    Raises
    ------
    UnsupportedFormatError, CorruptImageError, ImageTooLargeError
    """
    return _build(open_dicom(data, limits), key)


def read_header(data: bytes, key: bytes, limits: Limits) -> Study:
    """Read what the header of a DICOM file says, without its pixels.

    Returns
    -------
    Study
        With a single pixel of 0, and a few more facts than an image brings along: ``photometric``,
        ``rows``, ``columns``, and ``kernel_key``, a keyed hash of the reconstruction kernel's name.

    Raises
    ------
    UnsupportedFormatError, CorruptImageError, ImageTooLargeError
    """
    source = open_dicom(data, limits)
    facts = read_facts(source, read_placement(source), key)
    return Study(
        pixels=np.zeros((1, 1), np.float32),
        modality=source.modality,
        sha256="",
        unit="stored",
        laterality=laterality_of(source),
        view=view_of(code(source.ds, "ViewPosition")),
        metadata=check_metadata(facts | acquisition_facts(source, key)),
        subject_key=subject_of(source.ds, key),
    )


def open_dicom(data: bytes, limits: Limits) -> Source:
    """Read and check everything of a DICOM Part 10 file up to its pixels.

    Raises
    ------
    UnsupportedFormatError, CorruptImageError, ImageTooLargeError
    """
    meta, start = read_meta(data)
    if TRANSFER_SYNTAX not in meta:
        raise CorruptImageError("The DICOM file does not name its transfer syntax", remedy=EXPORT_AGAIN)
    syntax = syntax_of(_ascii(meta[TRANSFER_SYNTAX]))
    polyglot = is_polyglot(data)
    if syntax.uid == DEFLATED:
        data, start = inflate(memoryview(data)[start:], limits.max_file_bytes), 0
    scan = scan_dataset(data, start, implicit=syntax.implicit, little_endian=syntax.little_endian)
    if polyglot:
        scan.remarks.add(Remark.POLYGLOT)
    ds = parse_dataset(data, start, syntax)
    check_is_image(ds, _ascii(meta.get(MEDIA_CLASS, b"")))
    header = read_pixel_header(ds, scan, syntax, limits)
    _check_overlays(ds, header, scan.remarks)
    modality = modality_of(code(ds, "Modality"))
    if not modality:
        scan.remarks.add(Remark.UNKNOWN_MODALITY)
    return Source(data, ds, header, read_groups(ds, header), modality or "OT", scan.remarks, limits)


def _ascii(value: bytes) -> str:
    return value.decode("latin-1").strip(" \x00")


def inflate(packed: memoryview, limit: int) -> bytes:
    """Inflate a deflated data set, up to ``limit`` bytes.

    Raises
    ------
    ImageTooLargeError
        If it would grow beyond the limit.
    CorruptImageError
        If it is broken or cut short.
    """
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    out = bytearray()
    try:
        for pos in range(0, len(packed), _CHUNK):
            chunk: bytes | memoryview = packed[pos : pos + _CHUNK]
            while chunk and not engine.eof:
                out += engine.decompress(chunk, limit + 1 - len(out))
                if len(out) > limit:
                    raise ImageTooLargeError(
                        f"The deflated DICOM file unpacks to more than {limit >> 20} MB",
                        remedy="export it without compression, or raise the limit",
                    )
                chunk = engine.unconsumed_tail
    except zlib.error:
        raise CorruptImageError("The deflated part of the DICOM file is broken", remedy=EXPORT_AGAIN) from None
    if not engine.eof:
        raise CorruptImageError(
            "The deflated part of the DICOM file is cut short", remedy="check that the copy or download was complete"
        )
    return bytes(out)


def parse_dataset(data: bytes, start: int, syntax: Syntax) -> Dataset:
    """Parse a data set that was walked before, up to its pixels.

    Raises
    ------
    CorruptImageError
        If the library cannot read what the walk let pass.
    """
    source = io.BytesIO(data)
    source.seek(start)
    try:
        return read_dataset(
            source,
            is_implicit_VR=syntax.implicit,
            is_little_endian=syntax.little_endian,
            stop_when=lambda tag, _vr, _length: tag in PIXEL_TAGS,
        )
    except (*CONVERSION_ERRORS, OSError, EOFError):
        raise CorruptImageError("The header of the DICOM file cannot be read", remedy=EXPORT_AGAIN) from None


def _check_overlays(ds: Dataset, header: PixelHeader, remarks: set[Remark]) -> None:
    for group in range(0x60000000, 0x60200000, 0x20000):
        if group | 0x3000 not in ds and group | 0x0010 not in ds:
            continue
        rows, columns = whole(ds, group | 0x0010), whole(ds, group | 0x0011)
        origin = numbers(ds, group | 0x0050) or (1.0, 1.0)
        inside = len(origin) == 2 and min(origin) >= 1 and rows >= 1 and columns >= 1
        if not inside or origin[0] - 1 + rows > header.rows or origin[1] - 1 + columns > header.columns:
            raise CorruptImageError("The DICOM file's overlay reaches beyond its image", remedy=EXPORT_AGAIN)
        remarks.add(Remark.OVERLAY)


def _read_pixels(source: Source, placement: Placement) -> tuple[FloatArray, str, tuple[float, float] | None]:
    """Return pixels in their final order, their unit, and the window that goes with them."""
    header = source.header
    if header.colour:
        if header.frames > 1:
            source.remarks.add(Remark.FIRST_FRAME)
        return colour_pixels(source), "rgb", None
    grey = grey_pixels(source)
    values = grey.values[0] if header.frames == 1 else grey.values
    if placement.stack is not None:
        values = _stacked(values, placement.stack, source.limits)
    if header.photometric == "MONOCHROME1" and grey.mirror is None:
        source.remarks.add(Remark.INVERTED_HU)
    if code(source.ds, "PixelPresentation") in ("COLOR", "MIXED"):
        source.remarks.add(Remark.PALETTE_IGNORED)
    return values, grey.unit, read_window(source, grey.mirror)


def _stacked(frames: FloatArray, stack: Stack, limits: Limits) -> FloatArray:
    if stack.is_plain:
        return frames if np.array_equal(stack.order, np.arange(len(frames))) else frames[stack.order]
    check_volume(len(stack), frames.shape[1], frames.shape[2], limits)
    out = np.empty((len(stack), *frames.shape[1:]), np.float32)
    fill_volume(out, stack, frames.__getitem__)
    return out


def check_volume(slices: int, rows: int, columns: int, limits: Limits) -> None:
    """Refuse a volume that is larger than the limits, before it is allocated.

    Raises
    ------
    ImageTooLargeError
    """
    if slices * rows * columns > limits.max_pixels:
        raise ImageTooLargeError(
            f"The series makes a volume of {slices} slices of {rows} x {columns} pixels, "
            f"more than the limit of {limits.max_pixels:,} values",
            remedy="open a part of the series, or raise the limit",
        )


def read_window(source: Source, mirror: float | None) -> tuple[float, float] | None:
    """Read the first display window of the (first) frame.

    Parameters
    ----------
    source : Source
    mirror : float or None
        Where the pixels were inverted as ``mirror - v``, so is the centre.

    Returns
    -------
    tuple of float or None
        Centre and width in the unit of the pixels.
    """
    voi = source.groups.item("FrameVOILUTSequence", 0) or source.ds
    centre, width = numbers(voi, "WindowCenter"), numbers(voi, "WindowWidth")
    if not centre and not width:
        if raw(voi, "VOILUTSequence", strict=False):
            source.remarks.add(Remark.VOI_LUT)
        return None
    if not centre or not width or width[0] <= 0.0:
        source.remarks.add(Remark.BAD_WINDOW)
        return None
    return (centre[0] if mirror is None else mirror - centre[0]), width[0]


def note_identity(source: Source) -> None:
    """Remark on what in the picture may show who the patient is."""
    burned = code(source.ds, "BurnedInAnnotation")
    if burned == "YES":
        source.remarks.add(Remark.BURNED_IN)
    elif burned != "NO" and source.modality in PHOTOGRAPHS:
        source.remarks.add(Remark.BURNED_IN_UNKNOWN)
    if code(source.ds, "RecognizableVisualFeatures") == "YES":
        source.remarks.add(Remark.RECOGNISABLE)


def _build(source: Source, key: bytes) -> Study:
    placement = read_placement(source)
    pixels, unit, window = _read_pixels(source, placement)
    note_identity(source)
    if float(pixels.min()) == float(pixels.max()):
        source.remarks.add(Remark.CONSTANT)
    metadata = read_facts(source, placement, key)
    return Study(
        pixels=pixels,
        modality=source.modality,
        sha256="",
        unit=unit,
        spacing_mm=placement.spacing_mm,
        window=window,
        orientation=placement.orientation,
        position_mm=placement.position_mm,
        laterality=laterality_of(source),
        view=view_of(code(source.ds, "ViewPosition")),
        metadata=metadata,
        subject_key=subject_of(source.ds, key),
        warnings=tuple(sorted(source.remarks | (placement.stack.remarks if placement.stack else frozenset()))),
    )
