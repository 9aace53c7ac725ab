"""What a file is, from its first bytes; its name never matters."""

from __future__ import annotations

import re
from enum import StrEnum

from whycad.errors import CorruptImageError, UnsupportedFormatError

DICOM_PREAMBLE = 128
HEAD_BYTES = 512
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

READABLE = "DICOM, PNG and JPEG are read"


class FileKind(StrEnum):
    """The formats that are read."""

    DICOM = "dicom"
    PNG = "png"
    JPEG = "jpeg"


_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"GIF87a", "a GIF picture", "save it as PNG"),
    (b"GIF89a", "a GIF picture", "save it as PNG"),
    (b"II*\x00", "a TIFF picture", "save it as PNG"),
    (b"MM\x00*", "a TIFF picture", "save it as PNG"),
    (b"II+\x00", "a BigTIFF picture", "save it as PNG"),
    (b"MM\x00+", "a BigTIFF picture", "save it as PNG"),
    (b"BM", "a BMP picture", "save it as PNG"),
    (b"\x00\x00\x00\x0cjP  ", "a bare JPEG 2000 picture", "save it as PNG, or wrap it in DICOM"),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 picture", "save it as PNG, or wrap it in DICOM"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture", "save it as PNG"),
    (b"\xff\x0a", "a JPEG XL picture", "save it as PNG"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it and open the images in it"),
    (b"PK\x05\x06", "a ZIP archive", "unpack it and open the images in it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it and open the images in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and open the images in it"),
    (b"Rar!", "a RAR archive", "unpack it and open the images in it"),
    (b"%PDF", "a PDF document", "export the images in it"),
    (b"\x5c\x01\x00\x00\x00\x00", "a NIfTI volume", "export it as DICOM"),
    (b"\x93NUMPY", "a numpy array", ""),
    (b"MZ", "a program", ""),
    (b"\x7fELF", "a program", ""),
)

# First tags of a DICOM data set or meta header written without the 128-byte preamble.
_BARE_DICOM = re.compile(rb"\A[\x02\x08]\x00[\x00-\x20]\x00", re.DOTALL)


def sniff(data: bytes) -> FileKind:
    """Tell the kind of a file from its contents.

    Parameters
    ----------
    data : bytes
        The whole file, or at least its first 512 bytes.

    Raises
    ------
    CorruptImageError
        If the file is empty, or DICOM that lost its first part.
    UnsupportedFormatError
        If it is anything else; the message names what it seems to be.
    """
    if not data:
        raise CorruptImageError("The file is empty", remedy="check that the copy or download was complete")
    if data[DICOM_PREAMBLE : DICOM_PREAMBLE + 4] == b"DICM":
        return FileKind.DICOM
    if data.startswith(PNG_MAGIC):
        return FileKind.PNG
    if data.startswith(JPEG_MAGIC):
        return FileKind.JPEG
    for magic, what, remedy in _FOREIGN:
        if data.startswith(magic):
            raise UnsupportedFormatError(f"The file is {what}; {READABLE}", remedy=remedy)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        raise UnsupportedFormatError(f"The file is a WebP picture; {READABLE}", remedy="save it as PNG")
    if _BARE_DICOM.match(data):
        raise CorruptImageError(
            "The file looks like DICOM without the preamble and 'DICM' prefix that a DICOM file starts with",
            remedy="export it again as a DICOM Part 10 file",
        )
    raise UnsupportedFormatError(f"The file is not an image of a known kind; {READABLE}")


def is_zip(head: bytes) -> bool:
    """Whether a file is a ZIP archive, and not DICOM behind the first bytes of one."""
    return head.startswith(ZIP_MAGIC) and head[DICOM_PREAMBLE : DICOM_PREAMBLE + 4] != b"DICM"


def is_polyglot(data: bytes) -> bool:
    """Whether a DICOM file's preamble makes it another kind of file as well."""
    head = data[:DICOM_PREAMBLE]
    magics = (PNG_MAGIC, JPEG_MAGIC, b"#!", b"<", *(magic for magic, _, _ in _FOREIGN))
    return head.lstrip(b" \t\r\n").startswith(magics)
