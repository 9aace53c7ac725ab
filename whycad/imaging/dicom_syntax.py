"""Which transfer syntaxes are read, and what would be needed for the others."""

from __future__ import annotations

from dataclasses import dataclass

from whycad.errors import UnsupportedFormatError

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
_JPEG = "1.2.840.10008.1.2.4."


@dataclass(frozen=True)
class Syntax:
    """How a data set and its pixels are encoded.

    Attributes
    ----------
    uid : str
    codec : str
        ``none``, ``rle``, ``jpeg``, ``jpeg-lossless``, ``jpeg-ls`` or ``jpeg2000``.
    """

    uid: str
    codec: str

    @property
    def implicit(self) -> bool:
        """Whether elements lack their value representation."""
        return self.uid == IMPLICIT_LE

    @property
    def little_endian(self) -> bool:
        """Whether numbers are little endian."""
        return self.uid != EXPLICIT_BE

    @property
    def encapsulated(self) -> bool:
        """Whether pixels are compressed frames."""
        return self.codec != "none"


_READ = {
    IMPLICIT_LE: "none",
    EXPLICIT_LE: "none",
    DEFLATED: "none",
    EXPLICIT_BE: "none",
    RLE: "rle",
    _JPEG + "50": "jpeg",
    _JPEG + "51": "jpeg",
    _JPEG + "57": "jpeg-lossless",
    _JPEG + "70": "jpeg-lossless",
    _JPEG + "80": "jpeg-ls",
    _JPEG + "81": "jpeg-ls",
    _JPEG + "90": "jpeg2000",
    _JPEG + "91": "jpeg2000",
    _JPEG + "201": "jpeg2000",
    _JPEG + "202": "jpeg2000",
    _JPEG + "203": "jpeg2000",
}

_VIDEO = "video (MPEG or HEVC)", "extract the frames, for example with ffmpeg"
_OTHER = {
    **{_JPEG + str(n): _VIDEO for n in (100, 101, 102, 103, 104, 105, 106, 107, 108)},
    _JPEG + "100.1": _VIDEO,
    _JPEG + "101.1": _VIDEO,
    _JPEG + "102.1": _VIDEO,
    _JPEG + "103.1": _VIDEO,
    _JPEG + "104.1": _VIDEO,
    _JPEG + "105.1": _VIDEO,
    _JPEG + "106.1": _VIDEO,
    _JPEG + "92": ("JPEG 2000 multi-component", "decompress it with a Part 2 decoder, for example Kakadu"),
    _JPEG + "93": ("JPEG 2000 multi-component", "decompress it with a Part 2 decoder, for example Kakadu"),
    _JPEG + "94": ("JPIP (pixels on a server)", "download the pixels from the archive"),
    _JPEG + "95": ("JPIP (pixels on a server)", "download the pixels from the archive"),
    _JPEG + "110": ("JPEG XL", "decompress it with libjxl"),
    _JPEG + "111": ("JPEG XL", "decompress it with libjxl"),
    _JPEG + "112": ("JPEG XL", "decompress it with libjxl"),
    "1.2.840.10008.1.2.8.1": ("Deflated Image Frame", "decompress it with a recent DICOM toolkit, for example DCMTK"),
    "1.2.840.10008.1.2.1.98": ("Encapsulated Uncompressed", "convert it to Explicit VR Little Endian, with DCMTK"),
    "1.2.840.10008.1.2.6.1": ("RFC 2557 MIME", "export it as a plain DICOM file"),
    "1.2.840.113619.5.2": ("GE's private byte order", "convert it with gdcmconv"),
}


def syntax_of(uid: str) -> Syntax:
    """Return how a transfer syntax is encoded.

    Raises
    ------
    UnsupportedFormatError
        If it is not read; the message names what would decode it.
    """
    if uid in _READ:
        return Syntax(uid, _READ[uid])
    if uid in _OTHER:
        name, remedy = _OTHER[uid]
        raise UnsupportedFormatError(f"The DICOM file is compressed as {name}, which is not read", remedy=remedy)
    if uid.startswith(_JPEG) and len(uid) == len(_JPEG) + 2 and uid[-2:].isdigit():
        raise UnsupportedFormatError(
            f"The DICOM file is compressed with a retired kind of JPEG (process {uid[-2:]}), which is not read",
            remedy="decompress it with a toolkit that knows it, for example GDCM",
        )
    raise UnsupportedFormatError(
        "The DICOM file names a transfer syntax that is not known",
        remedy="convert it to Explicit VR Little Endian, for example with DCMTK's dcmconv",
    )
