"""Compressed frames: what a codestream declares is checked against the header before it is decoded.

A nine-kilobyte JPEG 2000 stream can ask its decoder for a gigabyte, so no decoder sees a frame
whose own size differs from the header's, which has already passed the limits.

References
----------
ISO/IEC 15444-1 A.5.1 (JPEG 2000 SIZ), ISO/IEC 10918-1 B.2.2 (JPEG SOF), ISO/IEC 14495-1 C.2.2
(JPEG-LS SOF), DICOM PS3.5 annex G (RLE).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydicom.uid import UID, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

from whycad.errors import CorruptImageError, UnsupportedFormatError
from whycad.imaging.remarks import Remark

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder, DecodeRunner

    from whycad.imaging.dicom_header import PixelHeader

BROKEN = "A compressed frame of the DICOM file is broken"
WRONG_CODEC = "The compressed frames of the DICOM file are not in the transfer syntax that it names"
MAX_J2K_TILES = 4096
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_SOF_BASELINE = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOF_BY_CODEC = {
    "jpeg": _SOF_BASELINE - {0xC3, 0xC7, 0xCB, 0xCF},
    "jpeg-lossless": frozenset((0xC3,)),
    "jpeg-ls": frozenset((0xF7,)),
}

# pydicom asks a plug-in module what it needs; the wheel is a requirement of WhyCAD.
DECODER_DEPENDENCIES = dict.fromkeys((JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), ("imagecodecs",))


@dataclass(frozen=True)
class Codestream:
    """What a compressed frame says about itself.

    Attributes
    ----------
    rows, columns, components, precision : int
    signed : bool or None
        None where the format cannot say.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool | None = None


def check_frame(frame: bytes, header: PixelHeader, remarks: set[Remark]) -> None:
    """Compare one compressed frame with the header.

    Raises
    ------
    CorruptImageError
        If they disagree on the size, depth or kind of the frame.
    """
    codec = header.syntax.codec
    if codec == "rle":
        _check_rle(frame, header)
        return
    found = read_j2k(frame) if codec == "jpeg2000" else read_jpeg(frame, _SOF_BY_CODEC[codec])
    if (found.rows, found.columns) != (header.rows, header.columns):
        raise CorruptImageError(
            f"A compressed frame is {found.rows} x {found.columns} pixels, "
            f"but the DICOM header declares {header.rows} x {header.columns}"
        )
    if found.components != header.samples:
        raise CorruptImageError("A compressed frame has other colour channels than the DICOM header declares")
    if found.precision > header.bits_allocated:
        raise CorruptImageError("A compressed frame is deeper than the DICOM header declares")
    if codec == "jpeg" and found.precision > 8 and found.components > 1:
        raise UnsupportedFormatError("Colour JPEG of more than 8 bits is not read", remedy="decompress it with DCMTK")
    if found.signed is not None and found.signed != header.signed:
        remarks.add(Remark.J2K_SIGN)


def read_j2k(frame: bytes) -> Codestream:
    """Read the SIZ segment of a JPEG 2000 codestream, bare or in a JP2 wrapper."""
    start = _j2k_start(frame)
    siz = frame[start + 4 : start + 4 + 38]
    if frame[start : start + 4] != b"\xff\x4f\xff\x51":
        raise CorruptImageError(WRONG_CODEC)
    if len(siz) < 38:
        raise CorruptImageError(BROKEN)
    _, _, x1, y1, x0, y0, tw, th, tx0, ty0, components = struct.unpack(">HH8LH", siz)
    parts = frame[start + 42 : start + 42 + 3 * components]
    if not (x1 > x0 and y1 > y0 and tw and th and components) or len(parts) < 3 * components:
        raise CorruptImageError(BROKEN)
    tiles = -((tx0 - x1) // tw) * -((ty0 - y1) // th)
    if tiles > MAX_J2K_TILES or any(parts[i] != 1 for n in range(components) for i in (3 * n + 1, 3 * n + 2)):
        raise CorruptImageError("A compressed frame is cut into more tiles, or sampled more coarsely, than is read")
    if len({parts[3 * n] for n in range(components)}) != 1:
        raise CorruptImageError("The colour channels of a compressed frame differ in depth")
    return Codestream(y1 - y0, x1 - x0, components, (parts[0] & 0x7F) + 1, bool(parts[0] & 0x80))


def _j2k_start(frame: bytes) -> int:
    if not frame.startswith(_JP2_SIGNATURE):
        return 0
    pos = 12
    while pos + 8 <= len(frame):
        length, kind = struct.unpack_from(">L4s", frame, pos)
        if kind == b"jp2c":
            return pos + (16 if length == 1 else 8)
        if length < 8:
            break
        pos += length
    raise CorruptImageError(BROKEN)


def read_jpeg(frame: bytes, wanted: frozenset[int]) -> Codestream:
    """Read the SOF segment of a JPEG or JPEG-LS stream.

    Parameters
    ----------
    frame : bytes
    wanted : frozenset of int
        Second bytes of the SOF markers that fit the transfer syntax.
    """
    if frame[:2] != b"\xff\xd8":
        raise CorruptImageError(WRONG_CODEC)
    pos, size = 2, len(frame)
    while pos + 4 <= size:
        if frame[pos] != 0xFF:
            break
        marker = frame[pos + 1]
        if marker == 0xFF:
            pos += 1
            continue
        if marker in _SOF_BASELINE or marker == 0xF7:
            return _read_sof(frame, pos, marker in wanted)
        if marker in (0xD9, 0xDA):
            break
        standalone = marker == 0x01 or 0xD0 <= marker <= 0xD7
        pos += 2 if standalone else 2 + int.from_bytes(frame[pos + 2 : pos + 4], "big")
    raise CorruptImageError(BROKEN)


def _read_sof(frame: bytes, pos: int, expected: bool) -> Codestream:
    if not expected:
        raise CorruptImageError(WRONG_CODEC)
    segment = frame[pos + 4 : pos + 10]
    if len(segment) < 6:
        raise CorruptImageError(BROKEN)
    precision, rows, columns, components = struct.unpack(">BHHB", segment)
    return Codestream(rows, columns, components, precision)


def _check_rle(frame: bytes, header: PixelHeader) -> None:
    if len(frame) < 64:
        raise CorruptImageError(BROKEN)
    count, *offsets = struct.unpack_from("<16L", frame)
    offsets = offsets[:count] if count <= 15 else []
    if count != header.samples * header.bits_allocated // 8:
        raise CorruptImageError("A run-length frame has another number of segments than the DICOM header asks for")
    ends = [*offsets[1:], len(frame)]
    if offsets[0] != 64 or any(end <= start or end > len(frame) for start, end in zip(offsets, ends, strict=True)):
        raise CorruptImageError("A run-length frame points outside itself")
    # One byte unpacks to 64 at the very most.
    plane = header.rows * header.columns
    if any((end - start) * 64 < plane for start, end in zip(offsets, ends, strict=True)):
        raise CorruptImageError("A run-length frame is too short for the size that the DICOM header declares")


def is_available(uid: str) -> bool:
    """Tell pydicom that this module decodes ``uid``."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(src: bytes, runner: DecodeRunner) -> bytearray:
    """Decode JPEG Lossless and 12-bit JPEG for pydicom, with libjpeg-turbo.

    Parameters
    ----------
    src : bytes
        One compressed frame.
    runner : DecodeRunner
        pydicom's description of the pixels; told how the decoded ones lie.
    """
    from imagecodecs import jpeg8_decode

    frame = jpeg8_decode(src)
    runner.set_option("bits_allocated", 8 * frame.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    return bytearray(frame.tobytes())


@cache
def decoder_for(uid: str) -> Decoder:
    """Return pydicom's decoder of a transfer syntax, with ours added where pydicom has none."""
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(UID(uid))
    if uid in DECODER_DEPENDENCIES and "whycad" not in decoder.available_plugins:
        decoder.add_plugin("whycad", (__name__, "decode_frame"))
    return decoder
