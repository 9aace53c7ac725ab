"""Look at the text values of a DICOM header without keeping any of them."""

from __future__ import annotations

import re

from pydicom.charset import python_encoding

from whycad.errors import CorruptImageError
from whycad.imaging.remarks import Remark

MAX_TEXT = 1024
_SHORT_TEXT = frozenset(("AE", "AS", "CS", "DA", "DT", "LO", "PN", "SH", "TM", "UI"))
_TEXT = _SHORT_TEXT | {"LT", "ST", "UC", "UT", "UR"}
_NATIONAL = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_NUMBER = {
    "DS": re.compile(rb"[ ]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ ]*\Z"),
    "IS": re.compile(rb"[ ]*[+-]?\d+(\.0*)?[ ]*\Z"),
}
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
# UTF-8 of U+200E, U+200F, U+202A..202E and U+2066..2069.
_DIRECTION = re.compile(rb"\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9]")


class TextCheck:
    """Remember what was odd about the text of one file.

    Parameters
    ----------
    remarks : set of Remark
        Findings are added to it.
    """

    def __init__(self, remarks: set[Remark]) -> None:
        self.remarks = remarks
        self._utf8 = False

    def check(self, tag: int, vr: str, value: bytes) -> None:
        """Look at one value.

        Raises
        ------
        CorruptImageError
            If it should be a number and is none.
        """
        if vr in _NUMBER and not tag >> 16 & 1:
            self._number(vr, value)
        elif vr in _TEXT:
            self._text(tag, vr, value)

    @staticmethod
    def _number(vr: str, value: bytes) -> None:
        pattern = _NUMBER[vr]
        if len(value) > 1 << 20:
            raise CorruptImageError("The DICOM header holds a list of numbers that is longer than any image needs")
        for part in value.rstrip(b"\x00").split(b"\\"):
            if part.strip(b" ") and not pattern.match(part):
                raise CorruptImageError(
                    "The DICOM header holds text where a number belongs",
                    remedy="export the image again from where it came",
                )

    def _text(self, tag: int, vr: str, value: bytes) -> None:
        if tag == 0x00080005:
            self._charset(value)
        if vr in _SHORT_TEXT and len(value) > MAX_TEXT and vr != "UI":
            self.remarks.add(Remark.LONG_TEXT)
        if _CONTROL.search(value.rstrip(b"\x00")) or _DIRECTION.search(value):
            self.remarks.add(Remark.ODD_CHARACTERS)
        if self._utf8 and vr in _NATIONAL and not _is_utf8(value):
            self.remarks.add(Remark.BAD_CHARSET)

    def _charset(self, value: bytes) -> None:
        names = [part.strip(b" \x00").decode("latin-1") for part in value.split(b"\\")]
        self._utf8 = names == ["ISO_IR 192"]
        if any(name not in python_encoding for name in names):
            self.remarks.add(Remark.BAD_CHARSET)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
