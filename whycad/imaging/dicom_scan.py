"""Walk the bytes of a DICOM file without trusting them, before any library does.

The walk keeps its own stack, so depth costs nothing; it proves that every element lies inside
the file and its parent, that every open sequence is closed, and that numbers are numbers.

References
----------
DICOM PS3.5, sections 7.1 (elements), 7.5 (sequences) and A.4 (encapsulated pixels).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Literal

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import VR

from whycad.errors import CorruptImageError
from whycad.imaging.dicom_text import TextCheck
from whycad.imaging.remarks import Remark

UNDEFINED = 0xFFFFFFFF
MAX_DEPTH = 64
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_TAGS = (0x7FE00010, 0x7FE00009, 0x7FE00008)

_LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"))
_KNOWN_VRS = frozenset(str(vr) for vr in VR if len(str(vr)) == 2)

TRUNCATED = "The DICOM file ends in the middle of its header"
BEYOND = "The DICOM file holds an element that claims more bytes than there are"
UNCLOSED = "The DICOM file holds a sequence that is never closed"
CUT_REMEDY = "check that the copy or download was complete"


@dataclass(frozen=True)
class Element:
    """Where one element's value lies.

    Attributes
    ----------
    tag : int
    vr : str
        As written, or from the dictionary for implicit files; empty where unknown.
    start, stop : int
        Byte range of the value.
    undefined : bool
        Whether its length was left open.
    """

    tag: int
    vr: str
    start: int
    stop: int
    undefined: bool = False


@dataclass
class Scan:
    """What the walk found.

    Attributes
    ----------
    pixels : Element or None
        The last top-level pixel data element; ``stop`` includes the closing delimiter.
    fragments : list of (int, int)
        Byte ranges of the items of encapsulated pixels; the first is the offset table.
    remarks : set of Remark
    """

    pixels: Element | None = None
    fragments: list[tuple[int, int]] = field(default_factory=list)
    remarks: set[Remark] = field(default_factory=set)


@dataclass
class _Level:
    kind: Literal["dataset", "sequence"]
    end: int | None
    bound: int
    implicit: bool
    seen: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class _Header:
    tag: int
    vr: str
    length: int
    value_at: int


def read_header(data: bytes | memoryview, pos: int, bound: int, order: str, implicit: bool) -> _Header:
    """Read one element header at ``pos``; the value need not lie in the file yet.

    Raises
    ------
    CorruptImageError
        If the header is cut short or its VR does not exist.
    """
    if bound - pos < 8:
        raise CorruptImageError(TRUNCATED, remedy=CUT_REMEDY)
    group, element = struct.unpack_from(order + "HH", data, pos)
    tag = group << 16 | element
    if implicit or group == 0xFFFE:
        (length,) = struct.unpack_from(order + "L", data, pos + 4)
        return _Header(tag, "" if group == 0xFFFE else _dictionary_vr(tag), length, pos + 8)
    vr = bytes(data[pos + 4 : pos + 6]).decode("latin-1")
    if vr not in _KNOWN_VRS:
        raise CorruptImageError(
            "The DICOM file holds an element of an unknown type, or its body is not in the transfer syntax it names",
            remedy="export the image again from where it came",
        )
    if vr not in _LONG_VRS:
        (length,) = struct.unpack_from(order + "H", data, pos + 6)
        return _Header(tag, vr, length, pos + 8)
    if bound - pos < 12:
        raise CorruptImageError(TRUNCATED, remedy=CUT_REMEDY)
    (length,) = struct.unpack_from(order + "L", data, pos + 8)
    return _Header(tag, vr, length, pos + 12)


def _dictionary_vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)[:2]
    except KeyError:
        return ""


class _Walker:
    """One pass over a data set."""

    def __init__(self, data: bytes, start: int, implicit: bool, little_endian: bool) -> None:
        self.data = data
        self.pos = start
        self.size = len(data)
        self.order = "<" if little_endian else ">"
        self.stack = [_Level("dataset", None, self.size, implicit)]
        self.scan = Scan()
        self.text = TextCheck(self.scan.remarks)

    def run(self) -> Scan:
        self._check_start()
        while self.stack:
            level = self.stack[-1]
            if level.end is not None and self.pos >= level.end:
                self.stack.pop()
            elif len(self.stack) == 1 and self._at_end():
                break
            elif level.kind == "sequence":
                self._item(level)
            else:
                self._element(level)
        return self.scan

    def _check_start(self) -> None:
        # Every data set starts in one of the low groups; a wrong byte order moves them up.
        if self.size - self.pos < 8:
            raise CorruptImageError(TRUNCATED, remedy=CUT_REMEDY)
        (group,) = struct.unpack_from(self.order + "H", self.data, self.pos)
        named = self.data[self.pos + 4 : self.pos + 6].decode("latin-1") in _KNOWN_VRS
        if group > 0xFF or named == self.stack[0].implicit:
            raise CorruptImageError(
                "The body of the DICOM file is not in the transfer syntax that it names",
                remedy="export the image again from where it came",
            )

    def _at_end(self) -> bool:
        # Some writers pad the file with zeros; a zero tag belongs to no file.
        rest = self.data[self.pos : self.pos + 8]
        return not rest or (not any(rest) and not any(self.data[self.pos :]))

    def _item(self, level: _Level) -> None:
        if level.bound - self.pos < 8:
            raise CorruptImageError(UNCLOSED, remedy=CUT_REMEDY)
        header = read_header(self.data, self.pos, level.bound, self.order, True)
        self.pos = header.value_at
        if header.tag == SEQUENCE_END and level.end is None:
            self.stack.pop()
        elif header.tag == ITEM:
            self._push("dataset", header.length, level, self._item_is_implicit(level, header))
        else:
            raise CorruptImageError("The DICOM file holds a sequence whose items are not separated as they must be")

    def _item_is_implicit(self, level: _Level, header: _Header) -> bool:
        # Items of unknown type are implicit whatever the file is (PS3.5, 6.2.2).
        vr = self.data[self.pos + 4 : self.pos + 6]
        return level.implicit or (header.length >= 8 and not (vr.isalpha() and vr.isupper()))

    def _push(self, kind: Literal["dataset", "sequence"], length: int, level: _Level, implicit: bool) -> None:
        if len(self.stack) > MAX_DEPTH:
            raise CorruptImageError(f"The DICOM file nests sequences deeper than {MAX_DEPTH} levels")
        end = None if length == UNDEFINED else self._within(self.pos + length, level.bound)
        self.stack.append(_Level(kind, end, level.bound if end is None else end, implicit))

    @staticmethod
    def _within(stop: int, bound: int) -> int:
        if stop > bound:
            raise CorruptImageError(BEYOND, remedy=CUT_REMEDY)
        return stop

    def _element(self, level: _Level) -> None:
        if len(self.stack) > 1 and level.bound - self.pos < 8:
            raise CorruptImageError(UNCLOSED, remedy=CUT_REMEDY)
        header = read_header(self.data, self.pos, level.bound, self.order, level.implicit)
        self.pos = header.value_at
        if header.tag == ITEM_END and level.end is None and len(self.stack) > 1:
            self.stack.pop()
            return
        if header.tag >> 16 == 0xFFFE:
            raise CorruptImageError("The DICOM file holds a sequence delimiter where none belongs")
        if header.tag in level.seen:
            self.scan.remarks.add(Remark.DUPLICATE_TAGS)
        level.seen.add(header.tag)
        self._value(level, header)

    def _value(self, level: _Level, header: _Header) -> None:
        top = len(self.stack) == 1
        if header.vr == "SQ" or (header.length == UNDEFINED and self._is_hidden_sequence(header)):
            self._push("sequence", header.length, level, level.implicit)
        elif header.length == UNDEFINED:
            self._fragments(level, header, top and header.tag in PIXEL_TAGS)
        else:
            stop = self._within(self.pos + header.length, level.bound)
            if top and header.tag in PIXEL_TAGS:
                self.scan.pixels = Element(header.tag, header.vr, self.pos, stop)
                self.scan.fragments = []
            else:
                vr = _dictionary_vr(header.tag) if header.vr in ("", "UN") else header.vr
                self.text.check(header.tag, vr, self.data[self.pos : stop])
            self.pos = stop

    @staticmethod
    def _is_hidden_sequence(header: _Header) -> bool:
        return header.vr in ("", "UN")

    def _fragments(self, level: _Level, header: _Header, keep: bool) -> None:
        if header.vr not in ("OB", "OW"):
            raise CorruptImageError(
                "The DICOM file leaves the length of an element open that is not a sequence",
                remedy="export the image again from where it came",
            )
        start, items = self.pos, []
        while True:
            if level.bound - self.pos < 8:
                raise CorruptImageError("The DICOM file ends in the middle of its compressed pixels", remedy=CUT_REMEDY)
            item = read_header(self.data, self.pos, level.bound, self.order, True)
            self.pos = item.value_at
            if item.tag == SEQUENCE_END:
                break
            if item.tag != ITEM or item.length == UNDEFINED:
                raise CorruptImageError("The compressed pixels of the DICOM file are not split into proper fragments")
            stop = self._within(self.pos + item.length, level.bound)
            items.append((self.pos, stop))
            self.pos = stop
        if keep:
            self.scan.pixels = Element(header.tag, header.vr, start, self.pos, undefined=True)
            self.scan.fragments = items


def scan_dataset(data: bytes, start: int, *, implicit: bool, little_endian: bool) -> Scan:
    """Walk a data set from ``start`` to the end of ``data``.

    Raises
    ------
    CorruptImageError
        If the structure is broken, too deep, or a number is not a number.
    """
    return _Walker(data, start, implicit, little_endian).run()


def read_meta(data: bytes) -> tuple[dict[int, bytes], int]:
    """Read the file meta group behind the ``DICM`` prefix.

    Returns
    -------
    tuple
        Values by tag, and the position where the data set starts.

    Raises
    ------
    CorruptImageError
        If it is cut short or broken.
    """
    pos, size = 132, len(data)
    values: dict[int, bytes] = {}
    while size - pos >= 2 and data[pos : pos + 2] == b"\x02\x00":
        header = read_header(data, pos, size, "<", False)
        stop = header.value_at + header.length
        if stop > size:
            raise CorruptImageError(BEYOND, remedy=CUT_REMEDY)
        values[header.tag] = data[header.value_at : stop]
        pos = stop
    return values, pos
