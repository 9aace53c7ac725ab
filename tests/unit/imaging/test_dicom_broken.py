"""Broken, hostile and odd DICOM headers: each file is made here, each outcome is the one agreed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from pydicom.dataset import Dataset

from whycad.errors import CorruptImageError, ImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging.remarks import Remark
from whycad.testing.dicom import (
    CANARY,
    Writing,
    deflated,
    make_ct_slice,
    make_grey_dicom,
    make_photo_dicom,
    part10,
    split_part10,
)
from whycad.types import Study

Read = Callable[[bytes], Study]
WRITING = Writing(CANARY)
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG = "1.2.840.10008.1.2.2"


def picture(rows: int = 12, columns: int = 14) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def photo(**tags: object) -> bytes:
    return make_photo_dicom(picture(), WRITING, **tags)


def ct(**tags: object) -> bytes:
    return make_ct_slice(np.arange(120, dtype=np.int16).reshape(10, 12), WRITING, **tags)


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """An explicit little-endian element, short form where the VR allows."""
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return struct.pack("<HH2sHL", group, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def replace_value(data: bytes, group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """Swap the value of a short-form element, whatever its length becomes."""
    head = struct.pack("<HH2s", group, number, vr)
    at = data.index(head)
    (length,) = struct.unpack_from("<H", data, at + 6)
    return data[:at] + element(group, number, vr, value) + data[at + 8 + length :]


def with_body(change: Callable[[bytes], bytes], data: bytes | None = None) -> bytes:
    head, body = split_part10(data or photo())
    return head + change(body)


def nested(depth: int, *, close: bool = True) -> bytes:
    """Sequences inside sequences, of open length, in front of a real image."""
    opening = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    closing = struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return opening * depth + (closing * depth if close else b"")


def nested_with_lengths(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = element(0x0008, 0x1140, b"SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner)
    return inner


def implicit_body(name: bytes) -> bytes:
    """A whole implicit grey image with a patient name of any length."""

    def put(group: int, number: int, value: bytes) -> bytes:
        return struct.pack("<HHL", group, number, len(value)) + value

    def us(value: int) -> bytes:
        return struct.pack("<H", value)

    body = (
        put(0x0008, 0x0060, b"XC") + put(0x0010, 0x0010, name) + put(0x0010, 0x0020, CANARY.patient_id.encode() + b" ")
    )
    body += put(0x0028, 0x0002, us(1)) + put(0x0028, 0x0004, b"MONOCHROME2 ") + put(0x0028, 0x0010, us(2))
    body += put(0x0028, 0x0011, us(2)) + put(0x0028, 0x0100, us(8)) + put(0x0028, 0x0101, us(8))
    return body + put(0x0028, 0x0102, us(7)) + put(0x0028, 0x0103, us(0)) + put(0x7FE0, 0x0010, b"\1\2\3\4")


REFUSED: dict[str, tuple[Callable[[], bytes], type[ImageError]]] = {
    "empty": (lambda: b"", CorruptImageError),
    "text named .dcm": (lambda: b"Patient: " + CANARY.name.encode() * 99, UnsupportedFormatError),
    "no preamble": (lambda: photo()[132:], CorruptImageError),
    "no preamble and no meta": (lambda: split_part10(photo())[1], CorruptImageError),
    "preamble without DICM": (lambda: photo()[:128] + b"XXXX" + photo()[132:], UnsupportedFormatError),
    "only preamble": (lambda: b"\0" * 128 + b"DICM", CorruptImageError),
    "header cut in the meta group": (lambda: photo()[:200], CorruptImageError),
    "header cut in the data set": (lambda: with_body(lambda b: b[:301]), CorruptImageError),
    "pixels cut short": (lambda: photo()[:-50], CorruptImageError),
    "pixel element too short": (lambda: photo(Rows=13), CorruptImageError),
    "transfer syntax missing": (
        lambda: b"\0" * 128 + b"DICM" + element(2, 0x12, b"UI", b"1.2\0") + split_part10(photo())[1],
        CorruptImageError,
    ),
    "transfer syntax unknown": (lambda: part10(split_part10(photo())[1], "1.2.3.4"), UnsupportedFormatError),
    "transfer syntax video": (
        lambda: part10(split_part10(photo())[1], "1.2.840.10008.1.2.4.102"),
        UnsupportedFormatError,
    ),
    "JPEG XL": (lambda: part10(split_part10(photo())[1], "1.2.840.10008.1.2.4.110"), UnsupportedFormatError),
    "says implicit, is explicit": (lambda: part10(split_part10(photo())[1], IMPLICIT), CorruptImageError),
    "says explicit, is implicit": (lambda: part10(implicit_body(b"A^B "), EXPLICIT), CorruptImageError),
    "says big endian, is little": (lambda: part10(split_part10(photo())[1], BIG), CorruptImageError),
    "says JPEG, is uncompressed": (
        lambda: part10(split_part10(photo())[1], "1.2.840.10008.1.2.4.50"),
        CorruptImageError,
    ),
    "corrupt deflate": (
        lambda: part10(b"\xff" + split_part10(deflated(photo()))[1][1:], "1.2.840.10008.1.2.1.99"),
        CorruptImageError,
    ),
    "deflate cut short": (lambda: deflated(photo())[:-20], CorruptImageError),
    "depth 300": (lambda: with_body(lambda b: nested(300) + b), CorruptImageError),
    "depth 300 with lengths": (lambda: with_body(lambda b: nested_with_lengths(300) + b), CorruptImageError),
    "missing sequence delimiter": (lambda: with_body(lambda b: nested(1, close=False) + b), CorruptImageError),
    "length beyond file": (
        lambda: with_body(lambda b: struct.pack("<HH2sHL", 8, 1, b"UT", 0, 1 << 30) + b),
        CorruptImageError,
    ),
    "length beyond its item": (
        lambda: with_body(
            lambda b: (
                element(
                    8,
                    0x1140,
                    b"SQ",
                    struct.pack("<HHL", 0xFFFE, 0xE000, 8) + struct.pack("<HH2sH", 8, 0x16, b"UI", 200),
                )
                + b
            )
        ),
        CorruptImageError,
    ),
    "unknown VR": (lambda: with_body(lambda b: element(8, 5, b"ZZ", b"ab") + b), CorruptImageError),
    "undefined length of a short text": (
        lambda: with_body(lambda b: struct.pack("<HH2sHL", 8, 1, b"UT", 0, 0xFFFFFFFF) + b),
        CorruptImageError,
    ),
    "bad DS": (lambda: replace_value(ct(), 0x0028, 0x1053, b"DS", b"1,0x"), CorruptImageError),
    "bad DS elsewhere": (
        lambda: replace_value(ct(), 0x0018, 0x0050, b"DS", CANARY.patient_id.encode() + b" "),
        CorruptImageError,
    ),
    "bad IS": (lambda: replace_value(photo(), 0x0020, 0x0013, b"IS", b"1A"), CorruptImageError),
    "slope 0": (lambda: ct(RescaleSlope="0"), CorruptImageError),
    "slope NaN": (lambda: replace_value(ct(), 0x0028, 0x1053, b"DS", b"NaN "), CorruptImageError),
    "intercept infinite": (lambda: replace_value(ct(), 0x0028, 0x1052, b"DS", b"1e999 "), CorruptImageError),
    "Rows missing": (lambda: photo(Rows=None), CorruptImageError),
    "Rows 0": (lambda: photo(Rows=0), CorruptImageError),
    "Columns 0": (lambda: photo(Columns=0), CorruptImageError),
    "Rows twice in one element": (lambda: photo(Rows=[12, 12]), CorruptImageError),
    "65535 x 65535": (lambda: photo(Rows=65535, Columns=65535), ImageTooLargeError),
    "frames -1": (lambda: photo(NumberOfFrames="-1"), CorruptImageError),
    "frames 0": (lambda: photo(NumberOfFrames="0"), CorruptImageError),
    "frames 2^31": (lambda: photo(NumberOfFrames=str(2**31 - 1)), ImageTooLargeError),
    "frames 2^31, grey": (lambda: ct(NumberOfFrames=str(2**31 - 1)), ImageTooLargeError),
    "two frames declared, one there": (lambda: ct(NumberOfFrames="2"), CorruptImageError),
    "BitsStored > BitsAllocated": (lambda: photo(BitsStored=12), CorruptImageError),
    "BitsStored 0": (lambda: photo(BitsStored=0), CorruptImageError),
    "BitsAllocated 12": (lambda: photo(BitsAllocated=12), UnsupportedFormatError),
    "HighBit elsewhere": (lambda: ct(BitsStored=12, HighBit=15), UnsupportedFormatError),
    "RGB with one sample": (lambda: photo(SamplesPerPixel=1), CorruptImageError),
    "grey with three samples": (lambda: photo(PhotometricInterpretation="MONOCHROME2"), CorruptImageError),
    "photometric missing": (lambda: photo(PhotometricInterpretation=None), CorruptImageError),
    "photometric nonsense": (lambda: photo(PhotometricInterpretation="PLAID"), CorruptImageError),
    "CMYK": (lambda: photo(PhotometricInterpretation="CMYK"), UnsupportedFormatError),
    "YBR_RCT uncompressed": (lambda: photo(PhotometricInterpretation="YBR_RCT"), CorruptImageError),
    "signed colour": (lambda: photo(PixelRepresentation=1), CorruptImageError),
    "pixel representation 7": (lambda: photo(PixelRepresentation=7), CorruptImageError),
    "planar configuration 9": (lambda: photo(PlanarConfiguration=9), CorruptImageError),
    "no pixels": (lambda: photo(PixelData=None), UnsupportedFormatError),
    "deflated: header says too large": (lambda: deflated(photo(Rows=65535, Columns=65535)), ImageTooLargeError),
    "structured report": (
        lambda: photo(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", PixelData=None),
        UnsupportedFormatError,
    ),
    "radiotherapy plan": (
        lambda: photo(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.5", PixelData=None),
        UnsupportedFormatError,
    ),
    "electrocardiogram": (
        lambda: photo(SOPClassUID="1.2.840.10008.5.1.4.1.1.9.1.1", PixelData=None),
        UnsupportedFormatError,
    ),
    "whole-slide tiles": (lambda: photo(SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6"), UnsupportedFormatError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_a_typed_reason(case: str, read: Read) -> None:
    make, kind = REFUSED[case]
    with pytest.raises(kind) as caught:
        read(make())
    assert caught.value.message
    assert caught.value.message.isprintable()
    assert "no reader expects" not in caught.value.message


def test_missing_pixels_are_noticed_before_they_are_decoded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whycad.imaging.dicom_pixels.decoder_for", lambda uid: pytest.fail("a decoder was asked for"))
    with pytest.raises(CorruptImageError, match="pixels of the DICOM file are cut short"):
        read(photo(Rows=13))


def test_reports_are_called_by_their_kind_and_syntaxes_by_what_decodes_them(read: Read) -> None:
    with pytest.raises(UnsupportedFormatError, match="not an image but 'Comprehensive SR'"):
        read(REFUSED["structured report"][0]())
    with pytest.raises(UnsupportedFormatError, match="libjxl"):
        read(REFUSED["JPEG XL"][0]())
    with pytest.raises(UnsupportedFormatError, match="ffmpeg"):
        read(REFUSED["transfer syntax video"][0]())


def overlay(rows: int, columns: int, origin: tuple[int, int]) -> bytes:
    ds = {"rows": struct.pack("<H", rows), "columns": struct.pack("<H", columns)}
    part = element(0x6000, 0x10, b"US", ds["rows"]) + element(0x6000, 0x11, b"US", ds["columns"])
    part += element(0x6000, 0x50, b"SS", struct.pack("<hh", *origin))
    part += element(0x6000, 0x3000, b"OW", b"\0" * 16)
    head, body = split_part10(photo())
    at = body.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OB"))
    return head + body[:at] + part + body[at:]


@pytest.mark.parametrize(
    ("rows", "columns", "origin"),
    [(13, 5, (1, 1)), (5, 5, (9, 1)), (5, 5, (0, 1)), (0, 5, (1, 1)), (65535, 65535, (1, 1))],
)
def test_an_overlay_out_of_bounds_is_refused(rows: int, columns: int, origin: tuple[int, int], read: Read) -> None:
    with pytest.raises(CorruptImageError, match="overlay"):
        read(overlay(rows, columns, origin))


def test_an_overlay_inside_is_noted(read: Read) -> None:
    assert Remark.OVERLAY in read(overlay(12, 14, (1, 1))).warnings


def test_a_deflate_bomb_is_stopped_while_it_unpacks(read: Read) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(64)) + bomb.flush()
    assert len(packed) < 100_000
    with pytest.raises(ImageTooLargeError, match="unpacks to more than 32 MB"):
        read(part10(packed, "1.2.840.10008.1.2.1.99"))


WARNED: dict[str, tuple[Callable[[], bytes], Remark]] = {
    "duplicate tags": (
        lambda: with_body(lambda b: element(8, 5, b"CS", b"") + element(8, 5, b"CS", b"") + b),
        Remark.DUPLICATE_TAGS,
    ),
    "patient name of a megabyte": (
        lambda: part10(implicit_body(CANARY.name.encode() * 50_000), IMPLICIT),
        Remark.LONG_TEXT,
    ),
    "bad character set": (
        lambda: replace_value(photo(PatientName="A^B", SpecificCharacterSet="ISO_IR 100"), 8, 5, b"CS", b"KLINGON "),
        Remark.BAD_CHARSET,
    ),
    "text that breaks its character set": (
        lambda: replace_value(photo(SpecificCharacterSet="ISO_IR 192"), 0x10, 0x10, b"PN", b"\xff\xfeAb"),
        Remark.BAD_CHARSET,
    ),
    "NUL in a name": (lambda: replace_value(photo(), 0x10, 0x10, b"PN", b"A\0^B"), Remark.ODD_CHARACTERS),
    "escape codes in a name": (lambda: replace_value(photo(), 0x10, 0x10, b"PN", b"A\x07\x08B"), Remark.ODD_CHARACTERS),
    "right-to-left override in a name": (
        lambda: replace_value(photo(SpecificCharacterSet="ISO_IR 192"), 0x10, 0x10, b"PN", "A\u202egpj.".encode()),
        Remark.ODD_CHARACTERS,
    ),
    "window width 0": (lambda: ct(WindowWidth="0"), Remark.BAD_WINDOW),
    "window width negative": (lambda: ct(WindowWidth="-5"), Remark.BAD_WINDOW),
    "window centre only": (lambda: ct(WindowWidth=None), Remark.BAD_WINDOW),
    "constant image": (lambda: make_ct_slice(np.zeros((5, 5), np.int16), WRITING), Remark.CONSTANT),
    "text burned in": (lambda: photo(BurnedInAnnotation="YES"), Remark.BURNED_IN),
    "burned in unknown on a photograph": (lambda: photo(BurnedInAnnotation=None), Remark.BURNED_IN_UNKNOWN),
    "patient recognisable": (lambda: photo(RecognizableVisualFeatures="YES"), Remark.RECOGNISABLE),
    "modality missing": (lambda: photo(Modality=None), Remark.UNKNOWN_MODALITY),
    "modality not a modality": (lambda: replace_value(photo(), 8, 0x60, b"CS", b"ZZCANARY"), Remark.UNKNOWN_MODALITY),
    "program in the preamble": (lambda: b"MZ" + photo()[2:], Remark.POLYGLOT),
    "web page in the preamble": (lambda: b"<html><script>x</script>".ljust(128) + photo()[128:], Remark.POLYGLOT),
    "archive in the preamble": (lambda: b"PK\3\4" + photo()[4:], Remark.POLYGLOT),
    "more pixels than declared": (lambda: photo(Rows=10), Remark.EXTRA_PIXELS),
    "pixel spacing zero": (lambda: ct(PixelSpacing=["0", "0"]), Remark.BAD_SPACING),
    "orientation not orthogonal": (
        lambda: ct(ImageOrientationPatient=["1", "0", "0", "1", "0", "0"]),
        Remark.BAD_ORIENTATION,
    ),
    "age impossible": (lambda: photo(PatientAge="999Y"), Remark.BAD_AGE),
}


@pytest.mark.parametrize("case", WARNED)
def test_is_read_with_a_lasting_warning(case: str, read: Read) -> None:
    make, remark = WARNED[case]
    assert remark in read(make()).warnings


def test_a_sound_file_has_no_warning(read: Read) -> None:
    assert read(photo()).warnings == ()
    assert read(ct()).warnings == ()


def test_zeros_behind_the_data_set_are_no_fault(read: Read) -> None:
    assert read(photo() + bytes(300)).warnings == ()


def test_depth_that_is_allowed_is_read(read: Read) -> None:
    assert read(with_body(lambda b: nested(20) + b)).warnings == ()
    assert read(with_body(lambda b: nested_with_lengths(20) + b)).warnings == ()


def test_an_unused_window_is_replaced_by_none(read: Read) -> None:
    assert read(ct(WindowWidth="0")).window is None
    assert read(ct()).window == (40.0, 400.0)


def test_private_elements_may_hold_anything(read: Read) -> None:
    ds = Dataset()
    ds.add_new(0x00091001, "DS", "")
    body = element(0x0009, 0x0010, b"LO", b"WHYCAD") + element(0x0009, 0x1001, b"DS", b"not a number")
    assert (
        read(with_body(lambda b: b[: b.index(b"\x10\x00\x10\x00")] + body + b[b.index(b"\x10\x00\x10\x00") :])).warnings
        == ()
    )


def test_random_damage_ends_in_a_study_or_a_typed_error(read: Read) -> None:
    rng = np.random.default_rng(5)
    sources = [
        photo(),
        ct(),
        deflated(ct()),
        make_grey_dicom(np.arange(64, dtype=np.uint8).reshape(8, 8), "MR", WRITING),
    ]
    outcomes = {True: 0, False: 0}
    for index in range(240):
        damaged = bytearray(sources[index % len(sources)])
        for _ in range(int(rng.integers(1, 6))):
            damaged[int(rng.integers(132, len(damaged)))] = int(rng.integers(256))
        if index % 3 == 0:
            del damaged[int(rng.integers(140, len(damaged))) :]
        try:
            read(bytes(damaged))
            outcomes[True] += 1
        except ImageError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 20
