"""Compressed pixels: what can be decoded is right, what lies about itself is not decoded."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from whycad.errors import CorruptImageError, ImageError
from whycad.imaging.remarks import Remark
from whycad.testing.dicom import (
    CANARY,
    Writing,
    deflated,
    make_ct_slice,
    make_encapsulated,
    make_grey_dicom,
    make_photo_dicom,
    part10,
    split_part10,
)
from whycad.types import Study

Read = Callable[[bytes], Study]
Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(3)
COLOUR = RNG.integers(0, 256, (48, 40, 3), dtype=np.uint8)
GREY8 = RNG.integers(0, 256, (48, 40), dtype=np.uint8)
LARGE = RNG.integers(0, 256, (80, 80), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (48, 40), dtype=np.uint16)
GREY12 = RNG.integers(0, 4096, (48, 40), dtype=np.uint16)


def module(rows: int, columns: int, bits: int, stored: int | None = None, **more: Any) -> Mapping[str, Any]:
    stored = stored or bits
    sizes = {"Rows": rows, "Columns": columns, "BitsAllocated": bits, "BitsStored": stored, "HighBit": stored - 1}
    return {**sizes, **more}


def rgb(**more: Any) -> Mapping[str, Any]:
    return module(48, 40, 8, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, **more)


def jpeg(pixels: Array, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless]
)
def test_lossless_colour_comes_back_exactly(syntax: str, read: Read) -> None:
    study = read(make_photo_dicom(COLOUR, Writing(CANARY, syntax)))
    assert np.array_equal(study.pixels, COLOUR.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless]
)
@pytest.mark.parametrize("stored", [GREY8, GREY16, GREY16.view(np.int16)], ids=["8 bit", "16 bit", "signed"])
def test_lossless_grey_comes_back_exactly(syntax: str, stored: Array, read: Read) -> None:
    study = read(make_grey_dicom(stored, "MR", Writing(CANARY, syntax)))
    assert np.array_equal(study.pixels, stored.astype(np.float32))
    assert study.metadata["lossy"] is False


def test_deflated_is_read(read: Read) -> None:
    data = deflated(make_ct_slice(GREY12.astype(np.int16), Writing(CANARY)))
    assert DeflatedExplicitVRLittleEndian.encode() in data[:400]
    assert np.array_equal(read(data).pixels, GREY12.astype(np.float32))


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("predictor", [1, 6])
def test_jpeg_lossless_comes_back_exactly(syntax: str, predictor: int, read: Read) -> None:
    for stored, bits in ((GREY8, 8), (GREY12, 12), (GREY16, 16)):
        stream = imagecodecs.jpeg8_encode(stored, lossless=True, predictor=predictor, bitspersample=bits)
        tags = module(48, 40, 8 * stored.itemsize, bits)
        study = read(make_encapsulated([stream], syntax, tags, Writing(CANARY)))
        assert np.array_equal(study.pixels, stored.astype(np.float32))
    stream = imagecodecs.jpeg8_encode(COLOUR, lossless=True, predictor=predictor)
    study = read(make_encapsulated([stream], syntax, rgb(), Writing(CANARY)))
    assert np.array_equal(study.pixels, COLOUR.astype(np.float32) / np.float32(255))


def test_jpeg_lossless_keeps_the_sign(read: Read) -> None:
    stored = GREY16.view(np.int16)
    stream = imagecodecs.jpeg8_encode(GREY16, lossless=True, bitspersample=16)
    tags = module(48, 40, 16, PixelRepresentation=1)
    study = read(make_encapsulated([stream], JPEGLosslessSV1, tags, Writing(CANARY)))
    assert np.array_equal(study.pixels, stored.astype(np.float32))


def test_twelve_bit_jpeg_is_close(read: Read) -> None:
    smooth = np.add.outer(np.arange(48), np.arange(40)).astype(np.uint16) * 45
    stream = imagecodecs.jpeg8_encode(smooth, 95, bitspersample=12)
    study = read(make_encapsulated([stream], JPEGExtended12Bit, module(48, 40, 16, 12), Writing(CANARY)))
    assert np.abs(study.pixels - smooth).max() < 40
    assert study.metadata["lossy"] is True


@pytest.mark.parametrize("subsampling", [0, 2])
def test_baseline_jpeg_is_turned_into_rgb_once(subsampling: int, read: Read) -> None:
    smooth = np.stack([np.full((48, 40), v, np.uint8) for v in (200, 90, 30)], axis=-1)
    tags = {**rgb(), "PhotometricInterpretation": "YBR_FULL_422"}
    stream = jpeg(smooth, quality=95, subsampling=subsampling)
    study = read(make_encapsulated([stream], JPEGBaseline8Bit, tags, Writing(CANARY)))
    assert np.abs(study.pixels * 255 - smooth).max() < 4


@pytest.mark.parametrize("table", [False, True], ids=["empty offset table", "offset table"])
def test_frames_are_found_with_and_without_an_offset_table(table: bool, read: Read) -> None:
    frames = [GREY8, GREY8[::-1], GREY8[:, ::-1]]
    streams = [imagecodecs.jpeg8_encode(np.ascontiguousarray(f), lossless=True) for f in frames]
    tags = module(48, 40, 8, NumberOfFrames="3")
    study = read(make_encapsulated(streams, JPEGLosslessSV1, tags, Writing(CANARY), has_offset_table=table))
    assert np.array_equal(study.pixels, np.stack(frames).astype(np.float32))


def test_a_frame_in_several_fragments_is_joined(read: Read) -> None:
    stream = imagecodecs.jpeg8_encode(GREY8, lossless=True)
    data = make_encapsulated([stream], JPEGLosslessSV1, module(48, 40, 8), Writing(CANARY))
    stream += b"\0" * (len(stream) % 2)
    split = encapsulate([stream], fragments_per_frame=3, has_bot=False)
    at = data.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OB")) + 12
    assert np.array_equal(
        read(data[:at] + split + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)).pixels, GREY8.astype(np.float32)
    )


def j2k(pixels: Array, **options: Any) -> bytes:
    return imagecodecs.jpeg2k_encode(pixels, codecformat="J2K", reversible=True, level=0, **options)


def rle(*segments: bytes, count: int | None = None, offsets: tuple[int, ...] | None = None) -> bytes:
    at, found = 64, []
    for segment in segments:
        found.append(at)
        at += len(segment)
    places = offsets if offsets is not None else tuple(found)
    header = struct.pack("<16L", len(segments) if count is None else count, *places, *([0] * (15 - len(places))))
    return header + b"".join(segments)


def literal(values: bytes) -> bytes:
    parts = [values[i : i + 128] for i in range(0, len(values), 128)]
    return b"".join(bytes([len(p) - 1]) + p for p in parts)


def enlarged(stream: bytes, side: int) -> bytes:
    """A JPEG 2000 stream whose own header asks for a much larger picture."""
    return stream[:8] + struct.pack(">LL", side, side) + stream[16:24] + struct.pack(">LL", side, side) + stream[32:]


GOOD_RLE = rle(literal(GREY8.tobytes()))
LYING: dict[str, tuple[Callable[[], bytes], str, Mapping[str, Any]]] = {
    "J2K larger than the header": (lambda: enlarged(j2k(GREY8), 30_000), JPEG2000Lossless, module(48, 40, 8)),
    "J2K smaller than the header": (lambda: j2k(GREY8[:12]), JPEG2000Lossless, module(48, 40, 8)),
    "J2K of too many tiles": (
        lambda: j2k(LARGE)[:24] + struct.pack(">LL", 1, 1) + j2k(LARGE)[32:],
        JPEG2000Lossless,
        module(80, 80, 8),
    ),
    "J2K with other channels": (lambda: j2k(COLOUR), JPEG2000Lossless, module(48, 40, 8)),
    "J2K deeper than the header": (lambda: j2k(GREY16), JPEG2000Lossless, module(48, 40, 8)),
    "J2K cut in its header": (lambda: j2k(GREY8)[:20], JPEG2000, module(48, 40, 8)),
    "J2K body is JPEG": (lambda: jpeg(GREY8), JPEG2000, module(48, 40, 8)),
    "JPEG body is J2K": (lambda: j2k(GREY8), JPEGBaseline8Bit, module(48, 40, 8)),
    "JPEG Lossless body is baseline": (lambda: jpeg(GREY8), JPEGLosslessSV1, module(48, 40, 8)),
    "JPEG body is lossless": (
        lambda: imagecodecs.jpeg8_encode(GREY8, lossless=True),
        JPEGBaseline8Bit,
        module(48, 40, 8),
    ),
    "JPEG of another size": (lambda: jpeg(GREY8[:20]), JPEGBaseline8Bit, module(48, 40, 8)),
    "JPEG with other channels": (lambda: jpeg(COLOUR), JPEGBaseline8Bit, module(48, 40, 8)),
    "broken JPEG": (lambda: jpeg(COLOUR)[:300] + b"\xff" * 50, JPEGBaseline8Bit, rgb()),
    "JPEG without a frame header": (lambda: b"\xff\xd8\xff\xd9", JPEGBaseline8Bit, rgb()),
    "not a JPEG at all": (lambda: CANARY.name.encode() * 9, JPEGBaseline8Bit, rgb()),
    "JPEG-LS of another size": (
        lambda: imagecodecs.jpegls_encode(GREY8[:, :10].copy()),
        JPEGLSLossless,
        module(48, 40, 8),
    ),
    "RLE without segments": (lambda: rle(count=0), RLELossless, module(48, 40, 8)),
    "RLE with too many segments": (lambda: rle(b"ab", count=0xFFFFFFFF), RLELossless, module(48, 40, 8)),
    "RLE claiming 4 GB": (lambda: rle(b"\0a", offsets=(0xFFFFFFF0,)), RLELossless, module(48, 40, 8)),
    "RLE far too short": (lambda: rle(b"\0a"), RLELossless, module(48, 40, 8)),
    "RLE too short": (lambda: rle(literal(GREY8.tobytes()[:400])), RLELossless, module(48, 40, 8)),
    "RLE cut in its header": (lambda: GOOD_RLE[:40], RLELossless, module(48, 40, 8)),
    "fewer frames than declared": (lambda: GOOD_RLE, RLELossless, module(48, 40, 8, NumberOfFrames="4")),
    "HTJ2K that is none": (lambda: b"\xff\x4f\xff\x51" + bytes(60), HTJ2K, module(48, 40, 8)),
}


@pytest.mark.parametrize("case", LYING)
def test_a_frame_that_lies_is_refused(case: str, read: Read) -> None:
    make, syntax, tags = LYING[case]
    with pytest.raises(CorruptImageError) as caught:
        read(make_encapsulated([make()], syntax, tags, Writing(CANARY)))
    assert "no reader expects" not in caught.value.message


@pytest.mark.parametrize("case", [case for case in LYING if case not in ("broken JPEG", "RLE too short")])
def test_no_decoder_sees_a_frame_that_lies(case: str, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whycad.imaging.dicom_pixels.decoder_for", lambda uid: pytest.fail("a decoder was asked for"))
    make, syntax, tags = LYING[case]
    with pytest.raises(CorruptImageError):
        read(make_encapsulated([make()], syntax, tags, Writing(CANARY)))


def test_the_good_twins_of_the_liars_are_read(read: Read) -> None:
    for stream, syntax in ((GOOD_RLE, RLELossless), (j2k(GREY8), JPEG2000Lossless)):
        study = read(make_encapsulated([stream], syntax, module(48, 40, 8), Writing(CANARY)))
        assert np.array_equal(study.pixels, GREY8.astype(np.float32))


def test_a_sign_that_differs_between_header_and_stream_is_warned_of(read: Read) -> None:
    stored = GREY12.astype(np.uint16)
    tags = module(48, 40, 16, PixelRepresentation=1)
    study = read(make_encapsulated([j2k(stored)], JPEG2000Lossless, tags, Writing(CANARY)))
    assert Remark.J2K_SIGN in study.warnings
    assert np.array_equal(study.pixels, stored.astype(np.float32))


def test_fragments_without_a_closing_delimiter_are_refused(read: Read) -> None:
    data = make_encapsulated([GOOD_RLE], RLELossless, module(48, 40, 8), Writing(CANARY))
    assert data.endswith(struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
    with pytest.raises(CorruptImageError, match="middle of its compressed pixels"):
        read(data[:-8])


def test_a_fragment_longer_than_the_file_is_refused(read: Read) -> None:
    data = make_encapsulated([GOOD_RLE], RLELossless, module(48, 40, 8), Writing(CANARY))
    at = data.rindex(GOOD_RLE) - 4
    with pytest.raises(CorruptImageError, match="more bytes than there are"):
        read(data[:at] + struct.pack("<L", 0xFFFFFFF0) + data[at + 4 :])


def test_offsets_that_point_nowhere_do_no_harm(read: Read) -> None:
    data = make_encapsulated(
        [GOOD_RLE] * 2, RLELossless, module(48, 40, 8, NumberOfFrames="2"), Writing(CANARY), has_offset_table=True
    )
    at = data.index(struct.pack("<HHL", 0xFFFE, 0xE000, 8)) + 8
    broken = data[:at] + struct.pack("<LL", 0, 0xFFFFFF00) + data[at + 8 :]
    with pytest.raises(ImageError):
        read(broken)


def test_one_body_under_every_wrong_compressed_syntax_is_refused(read: Read) -> None:
    body = split_part10(make_encapsulated([GOOD_RLE], RLELossless, module(48, 40, 8), Writing(CANARY)))[1]
    for number in ("50", "51", "57", "70", "80", "81", "90", "91", "201", "202", "203"):
        with pytest.raises(CorruptImageError):
            read(part10(body, f"1.2.840.10008.1.2.4.{number}"))
