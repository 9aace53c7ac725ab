"""PNG and JPEG pictures to a Study; runs in the decoding child only.

Containers are walked before any decoder sees them: sizes are checked, a file cut short is refused
(Pillow opens it silently), and text and profiles are never passed on.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from whycad.errors import CorruptImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging.limits import Limits
from whycad.imaging.remarks import Remark
from whycad.imaging.sniff import PNG_MAGIC
from whycad.types import FloatArray, MetadataValue, Study

MAX_TEXT = 1 << 20
CUT = "The picture is cut short"
CUT_REMEDY = "check that the copy or download was complete"
_DECODE_ERRORS = (OSError, ValueError, SyntaxError, struct.error, EOFError, IndexError, KeyError, TypeError)
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_STEP = 1 << 20
# First column and row, and the steps between them, of the seven passes (PNG, 8.2).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
# EXIF orientation: (transpose, flip rows, flip columns), applied in this order.
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass(frozen=True)
class PngHeader:
    """Fields of IHDR."""

    width: int
    height: int
    depth: int
    colour_type: int
    interlaced: bool

    @property
    def channels(self) -> int:
        """Channels of the decoded picture, palettes expanded."""
        return {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}[self.colour_type]

    @property
    def raw_bytes(self) -> int:
        """Bytes of the unpacked rows with their filter bytes, over all passes where interlaced."""
        bits = self.depth * (1 if self.colour_type == 3 else self.channels)
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for x, y, dx, dy in passes:
            columns, rows = -((x - self.width) // dx), -((y - self.height) // dy)
            if columns > 0 and rows > 0:
                total += rows * (1 + (columns * bits + 7) // 8)
        return total


def read_png(data: bytes, limits: Limits) -> Study:
    """Decode a PNG picture.

    Returns
    -------
    Study
        Grey in 0..1 ``normalised``, or colour in 0..1 ``rgb``; without ``sha256``.

    Raises
    ------
    CorruptImageError, ImageTooLargeError, UnsupportedFormatError
    """
    remarks: set[Remark] = set()
    header, plain = _walk_png(data, limits, remarks)
    try:
        stored = _decode_png(plain, header)
    except _DECODE_ERRORS:
        raise CorruptImageError("The PNG picture is broken") from None
    if stored.shape[:2] != (header.height, header.width):
        raise CorruptImageError("The PNG picture is not of the size that it declares")
    return _study(_flatten(stored, remarks), remarks, "png", header.depth if header.depth > 8 else 8)


def _walk_png(data: bytes, limits: Limits, remarks: set[Remark]) -> tuple[PngHeader, bytes]:
    """Return the header, and the file without anything that the pixels do not need."""
    kept: list[tuple[bytes, bytes]] = []
    text_left, pos = MAX_TEXT, len(PNG_MAGIC)
    header: PngHeader | None = None
    for kind, whole in _chunks(data):
        body = whole[8:-4]
        if header is None:
            header = _png_header(kind, body, limits)
        if kind in (b"zTXt", b"iTXt", b"tEXt", b"iCCP"):
            text_left = _spend_text(kind, body, text_left)
        if kind == b"acTL":
            remarks.add(Remark.ANIMATION)
        if kind in _NEEDED:
            kept.append((kind, whole))
        pos += len(whole)
    assert header is not None
    if header.colour_type == 3 and all(kind != b"PLTE" for kind, _ in kept):
        raise CorruptImageError("The PNG picture lacks its palette")
    _check_rows([whole[8:-4] for kind, whole in kept if kind == b"IDAT"], header)
    if data[pos:].strip(b"\x00"):
        remarks.add(Remark.TRAILING_DATA)
    return header, PNG_MAGIC + b"".join(whole for _, whole in kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and bytes of each chunk up to IEND, with its checksum checked."""
    pos, kind = len(PNG_MAGIC), b""
    while kind != b"IEND":
        if len(data) - pos < 12:
            raise CorruptImageError(CUT, remedy=CUT_REMEDY)
        length, kind = struct.unpack_from(">L4s", data, pos)
        stop = pos + 12 + length
        if stop > len(data):
            raise CorruptImageError(CUT, remedy=CUT_REMEDY)
        if zlib.crc32(memoryview(data)[pos + 4 : stop - 4]) != int.from_bytes(data[stop - 4 : stop], "big"):
            raise CorruptImageError("The PNG picture is broken: a checksum is wrong", remedy=CUT_REMEDY)
        yield kind, data[pos:stop]
        pos = stop


def _check_rows(parts: list[bytes], header: PngHeader) -> None:
    """Refuse pixels that inflate to less than the header declares; decoders fill them up silently."""
    engine, size, needed = zlib.decompressobj(), 0, header.raw_bytes
    try:
        for part in parts:
            rest = part
            while rest and size < needed and not engine.eof:
                size += len(engine.decompress(rest, _STEP))
                rest = engine.unconsumed_tail
    except zlib.error:
        raise CorruptImageError("The PNG picture is broken") from None
    if size < needed:
        raise CorruptImageError(CUT, remedy=CUT_REMEDY)


def _png_header(kind: bytes, body: bytes, limits: Limits) -> PngHeader:
    if kind != b"IHDR" or len(body) != 13:
        raise CorruptImageError("The PNG picture does not start with its header")
    width, height, depth, colour, method, filters, interlace = struct.unpack(">LLBBBBB", body)
    if depth not in _PNG_DEPTHS.get(colour, ()) or method or filters or interlace > 1 or not (width and height):
        raise CorruptImageError("The header of the PNG picture is broken")
    header = PngHeader(width, height, depth, colour, bool(interlace))
    check_size(height, width, header.channels, limits)
    return header


def check_size(rows: int, columns: int, channels: int, limits: Limits) -> None:
    """Refuse a picture that declares more than the limits allow.

    Raises
    ------
    ImageTooLargeError
    """
    if rows * columns * channels > limits.max_pixels:
        raise ImageTooLargeError(
            f"The picture declares {rows:,} x {columns:,} pixels, more than the limit of {limits.max_pixels:,} values",
            remedy="open a smaller picture or part of it, or raise the limit",
        )


def _spend_text(kind: bytes, body: bytes, left: int) -> int:
    """Return what is left of the allowance for text after one chunk, inflated if it is packed."""
    packed = body.partition(b"\x00")[2]
    if kind == b"iTXt":
        packed = packed[2:].partition(b"\x00")[2].partition(b"\x00")[2] if packed[:1] == b"\x01" else b""
    elif kind in (b"zTXt", b"iCCP"):
        packed = packed[1:]
    else:
        packed = b""
    try:
        size = len(zlib.decompressobj().decompress(packed, left + 1)) if packed else 0
    except zlib.error:
        size = 0
    left -= max(size, len(body))
    if left < 0:
        raise ImageTooLargeError("The PNG picture carries more than a megabyte of text", remedy="save it without text")
    return left


def _decode_png(plain: bytes, header: PngHeader) -> NDArray[np.generic]:
    if header.depth == 16:
        # Pillow cuts 16-bit colour to 8 bits.
        from imagecodecs import PngError, png_decode

        try:
            return np.asarray(png_decode(plain))
        except PngError as error:
            raise ValueError from error
    with Image.open(io.BytesIO(plain), formats=("PNG",)) as image:
        image.load()
        if image.mode == "1":
            return np.asarray(image).astype(np.uint8) * np.uint8(255)
        if image.mode in ("L", "RGB") and "transparency" not in image.info:
            return np.asarray(image)
        grey = image.mode in ("L", "LA")
        return np.asarray(image.convert("LA" if grey else "RGBA"))


def _flatten(stored: NDArray[np.generic], remarks: set[Remark]) -> FloatArray:
    top = np.float32(65535 if stored.dtype.itemsize == 2 else 255)
    pixels = stored.astype(np.float32)
    pixels /= top
    if pixels.ndim == 2 or pixels.shape[-1] == 3:
        return pixels
    alpha = pixels[..., -1:]
    colour = pixels[..., :-1]
    if float(alpha.min()) < 1.0:
        remarks.add(Remark.ALPHA)
        colour = colour * alpha
    return np.ascontiguousarray(colour[..., 0] if colour.shape[-1] == 1 else colour)


def read_jpeg(data: bytes, limits: Limits) -> Study:
    """Decode a JPEG picture, turned upright by its EXIF orientation.

    Returns
    -------
    Study
        Grey in 0..1 ``normalised``, or colour in 0..1 ``rgb``; without ``sha256``.

    Raises
    ------
    CorruptImageError, ImageTooLargeError, UnsupportedFormatError
    """
    remarks: set[Remark] = set()
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            check_size(image.height, image.width, len(image.getbands()), limits)
            if image.mode not in ("L", "RGB"):
                raise UnsupportedFormatError("The JPEG picture is not grey or RGB", remedy="save it as RGB or PNG")
            turn = _orientation(image)
            image.load()
            stored = np.asarray(image)
    except Image.DecompressionBombError:
        raise ImageTooLargeError("The JPEG picture declares more pixels than any limit allows") from None
    except UnidentifiedImageError:
        raise CorruptImageError("The JPEG picture is broken") from None
    except _DECODE_ERRORS:
        raise CorruptImageError("The JPEG picture is broken or cut short", remedy=CUT_REMEDY) from None
    end = data.rfind(b"\xff\xd9")
    if end < 0:
        raise CorruptImageError(CUT, remedy=CUT_REMEDY)
    if _has_foreign_tail(data, end):
        remarks.add(Remark.TRAILING_DATA)
    upright = np.ascontiguousarray(_turn(stored, turn)).astype(np.float32)
    upright /= np.float32(255)
    return _study(upright, remarks, "jpeg", 8)


def _has_foreign_tail(data: bytes, end: int) -> bool:
    """Whether something follows the picture's own end marker."""
    pos = 2
    while pos + 4 <= len(data) and data[pos] == 0xFF and data[pos + 1] != 0xDA:
        pos += 2 + int.from_bytes(data[pos + 2 : pos + 4], "big")
    first_end = data.find(b"\xff\xd9", pos)
    return first_end < end or bool(data[end + 2 :].strip(b"\x00\xff"))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except _DECODE_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def _turn(stored: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    transpose, rows, columns = _TURNS.get(orientation, (False, False, False))
    if transpose:
        stored = stored.swapaxes(0, 1)
    return stored[:: -1 if rows else 1, :: -1 if columns else 1]


def _study(pixels: FloatArray, remarks: set[Remark], kind: str, bits: int) -> Study:
    if float(pixels.min()) == float(pixels.max()):
        remarks.add(Remark.CONSTANT)
    metadata: dict[str, MetadataValue] = {"format": kind, "bits_stored": bits, "lossy": kind == "jpeg"}
    return Study(
        pixels=pixels,
        modality="OT",
        sha256="",
        unit="rgb" if pixels.ndim == 3 else "normalised",
        metadata=metadata,
        warnings=tuple(sorted(remarks)),
    )
