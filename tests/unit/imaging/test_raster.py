"""PNG and JPEG: exact where the format is, upright, and refused where broken."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from whycad.errors import CorruptImageError, ImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging.remarks import Remark
from whycad.testing.dicom import CANARY
from whycad.types import Study

Read = Callable[[bytes], Study]
Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(4)
COLOUR = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (9, 7), dtype=np.uint8)
QUIET = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMOOTH = np.stack([np.add.outer(np.arange(40), np.arange(30)) * k for k in (1, 2, 3)], axis=-1).astype(np.uint8)


def save(image: Image.Image | Array, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def insert(data: bytes, *chunks: bytes) -> bytes:
    """Put chunks behind the header of a PNG file."""
    return data[:33] + b"".join(chunks) + data[33:]


def header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, colour, 0, 0, 0))


def test_colour_png_comes_back_exactly(read: Read) -> None:
    study = read(save(COLOUR))
    assert np.array_equal(study.pixels, COLOUR.astype(np.float32) / np.float32(255))
    assert (study.unit, study.modality, study.is_colour, study.warnings) == ("rgb", "OT", True, ())
    assert study.subject_key == ""


def test_grey_png_is_normalised(read: Read) -> None:
    study = read(save(GREY))
    assert np.array_equal(study.pixels, GREY.astype(np.float32) / np.float32(255))
    assert (study.unit, study.is_colour) == ("normalised", False)


@QUIET
@given(hnp.arrays(np.uint16, st.sampled_from([(3, 5), (3, 5, 3), (3, 5, 4), (4, 4, 2)])))
def test_sixteen_bits_stay_sixteen_bits(read: Read, stored: Array) -> None:
    study = read(imagecodecs.png_encode(stored))
    expected = stored.astype(np.float32) / np.float32(65535)
    if stored.ndim == 3 and stored.shape[-1] in (2, 4):
        expected = expected[..., :-1] * expected[..., -1:]
    assert np.allclose(study.pixels, expected.squeeze(-1) if expected.shape[-1] == 1 else expected, atol=1e-6)
    assert study.metadata["bits_stored"] == 16


@QUIET
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 8), st.just(3))))
def test_any_colour_array_survives_the_round_trip(read: Read, stored: Array) -> None:
    assert np.array_equal(read(save(stored)).pixels, stored.astype(np.float32) / np.float32(255))


def test_a_palette_becomes_its_colours(read: Read) -> None:
    image = Image.fromarray(GREY % 5).convert("P")
    image.putpalette(RNG.integers(0, 256, 768, dtype=np.uint8).tobytes())
    study = read(save(image))
    assert np.array_equal(study.pixels, np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_shallow_grey_fills_the_range(bits: int, read: Read) -> None:
    top = 2**bits - 1
    rows = np.array([[0, top], [top, 0]], np.uint8)
    packed = b"".join(b"\0" + bytes([int(a) << (8 - bits) | int(b) << (8 - 2 * bits)]) for a, b in rows)
    data = header(2, 2, bits, 0) + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")
    assert read(data).pixels.tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (8, 8), (9, 17)])
def test_interlaced_pictures_are_read(shape: tuple[int, int], read: Read) -> None:
    # Eight-bit grey, written pass by pass as the standard says.
    stored = RNG.integers(0, 256, shape, dtype=np.uint8)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [row for y, x, dy, dx in passes for row in stored[y::dy, x::dx] if row.size]
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    ihdr = chunk(b"IHDR", struct.pack(">LLBBBBB", shape[1], shape[0], 8, 0, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + ihdr + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert np.array_equal(read(data).pixels, stored.astype(np.float32) / np.float32(255))


def test_an_opaque_alpha_channel_is_dropped(read: Read) -> None:
    opaque = np.dstack([COLOUR, np.full(GREY.shape, 255, np.uint8)])
    study = read(save(opaque))
    assert np.array_equal(study.pixels, COLOUR.astype(np.float32) / np.float32(255))
    assert study.warnings == ()


def test_transparency_is_shown_on_black_and_said(read: Read) -> None:
    half = np.dstack([COLOUR, np.full(GREY.shape, 51, np.uint8)])
    study = read(save(half))
    assert np.allclose(study.pixels, COLOUR / 255 * 0.2, atol=1e-6)
    assert Remark.ALPHA in study.warnings
    assert Remark.ALPHA in read(save(np.dstack([GREY, GREY]))).warnings


def test_constant_pictures_are_warned_of(read: Read) -> None:
    assert Remark.CONSTANT in read(save(np.zeros((4, 4, 3), np.uint8))).warnings
    assert Remark.CONSTANT in read(save(np.full((8, 8), 128, np.uint8), "JPEG")).warnings


def test_data_behind_the_picture_is_warned_of(read: Read) -> None:
    assert Remark.TRAILING_DATA in read(save(COLOUR) + b"PK\3\4<script>").warnings
    assert Remark.TRAILING_DATA in read(save(SMOOTH, "JPEG") + b"PK\3\4<script>").warnings
    assert Remark.TRAILING_DATA in read(save(SMOOTH, "JPEG") * 2).warnings
    assert read(save(COLOUR) + bytes(9)).warnings == ()
    assert read(save(SMOOTH, "JPEG")).warnings == ()


def test_an_animation_is_read_as_its_first_picture(read: Read) -> None:
    frames = [Image.fromarray(COLOUR), Image.fromarray(COLOUR[::-1].copy())]
    study = read(save(frames[0], save_all=True, append_images=frames[1:]))
    assert np.array_equal(study.pixels, COLOUR.astype(np.float32) / np.float32(255))
    assert Remark.ANIMATION in study.warnings


def text_bomb(kind: bytes) -> bytes:
    packed = zlib.compress(bytes(5 << 20))
    start = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[kind]
    return insert(save(COLOUR), chunk(kind, start + packed))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_bomb_is_refused(kind: bytes, read: Read) -> None:
    assert len(text_bomb(kind)) < 10_000
    with pytest.raises(ImageTooLargeError, match="megabyte of text"):
        read(text_bomb(kind))


def test_many_small_texts_are_refused_together(read: Read) -> None:
    with pytest.raises(ImageTooLargeError, match="megabyte of text"):
        read(insert(save(COLOUR), *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(400_000)))] * 3))


def test_a_little_text_is_not_kept(read: Read) -> None:
    info = PngInfo()
    info.add_text("Author", CANARY.name, zip=True)
    info.add_itxt("Comment", CANARY.patient_id)
    assert read(save(Image.fromarray(COLOUR), pnginfo=info)).warnings == ()


PNG = save(COLOUR)
JPEG = save(SMOOTH, "JPEG")
REFUSED: dict[str, tuple[Callable[[], bytes], type[ImageError]]] = {
    "900 megapixels": (lambda: header(30_000, 30_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b""), ImageTooLargeError),
    "PNG of no width": (lambda: header(0, 5) + chunk(b"IEND", b""), CorruptImageError),
    "PNG of depth 3": (lambda: header(5, 5, 3, 0) + chunk(b"IEND", b""), CorruptImageError),
    "PNG cut in its data": (lambda: PNG[:-40], CorruptImageError),
    "PNG without its end": (lambda: PNG[:-12], CorruptImageError),
    "PNG cut in its last chunk": (lambda: PNG[:-3], CorruptImageError),
    "PNG header only": (lambda: PNG[:33], CorruptImageError),
    "PNG magic only": (lambda: PNG[:8], CorruptImageError),
    "PNG with a wrong checksum": (lambda: PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:], CorruptImageError),
    "PNG with too few rows": (
        lambda: header(7, 9) + chunk(b"IDAT", zlib.compress(bytes(3 * (1 + 21)))) + chunk(b"IEND", b""),
        CorruptImageError,
    ),
    "PNG with no pixels": (lambda: header(7, 9) + chunk(b"IEND", b""), CorruptImageError),
    "PNG whose pixels are not deflate": (
        lambda: header(7, 9) + chunk(b"IDAT", b"\xff" * 50) + chunk(b"IEND", b""),
        CorruptImageError,
    ),
    "16-bit PNG whose pixels are not deflate": (
        lambda: header(7, 9, 16) + chunk(b"IDAT", b"\xff" * 50) + chunk(b"IEND", b""),
        CorruptImageError,
    ),
    "16-bit PNG with too few rows": (
        lambda: header(7, 9, 16) + chunk(b"IDAT", zlib.compress(bytes(3 * 43))) + chunk(b"IEND", b""),
        CorruptImageError,
    ),
    "palette PNG without a palette": (
        lambda: header(2, 1, 8, 3) + chunk(b"IDAT", zlib.compress(b"\0\1\2")) + chunk(b"IEND", b""),
        CorruptImageError,
    ),
    "JPEG cut in its pixels": (lambda: JPEG[: len(JPEG) - 120], CorruptImageError),
    "JPEG without its end": (lambda: JPEG[:-2], CorruptImageError),
    "JPEG cut in its header": (lambda: JPEG[:40], CorruptImageError),
    "JPEG magic only": (lambda: b"\xff\xd8\xff", CorruptImageError),
    "JPEG in CMYK": (lambda: save(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG"), UnsupportedFormatError),
    "JPEG of 65500 x 65500": (
        lambda: JPEG.replace(struct.pack(">HH", 40, 30), struct.pack(">HH", 65500, 65500), 1),
        ImageTooLargeError,
    ),
    "GIF renamed": (lambda: save(GREY, "GIF"), UnsupportedFormatError),
    "TIFF renamed": (lambda: save(GREY, "TIFF"), UnsupportedFormatError),
    "BMP renamed": (lambda: save(GREY, "BMP"), UnsupportedFormatError),
    "WebP renamed": (lambda: save(COLOUR, "WEBP"), UnsupportedFormatError),
    "ZIP": (lambda: b"PK\3\4" + bytes(60), UnsupportedFormatError),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(60), UnsupportedFormatError),
    "PDF": (lambda: b"%PDF-1.7 " + CANARY.name.encode(), UnsupportedFormatError),
    "web page": (lambda: b"<html>" + CANARY.name.encode(), UnsupportedFormatError),
    "pickle": (lambda: b"\x80\x04\x95" + bytes(60), UnsupportedFormatError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_a_typed_reason(case: str, read: Read) -> None:
    make, kind = REFUSED[case]
    with pytest.raises(kind) as caught:
        read(make())
    assert "no reader expects" not in caught.value.message


def test_the_message_says_what_the_file_seems_to_be(read: Read) -> None:
    for case, words in {"GIF renamed": "GIF picture", "TIFF renamed": "TIFF picture", "ZIP": "ZIP archive"}.items():
        with pytest.raises(UnsupportedFormatError, match=words):
            read(REFUSED[case][0]())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_put_upright(orientation: int, read: Read) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = CANARY.name
    data = save(SMOOTH, "JPEG", quality=95, exif=exif)
    from PIL import ImageOps

    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    study = read(data)
    assert np.array_equal(study.pixels, expected.astype(np.float32) / np.float32(255))
    assert study.pixels.shape[:2] == ((30, 40) if orientation >= 5 else (40, 30))


def test_a_nonsense_orientation_is_ignored(read: Read) -> None:
    for value in (0, 9, 60000):
        exif = Image.Exif()
        exif[0x0112] = value
        assert read(save(SMOOTH, "JPEG", exif=exif)).pixels.shape == (40, 30, 3)
    broken = save(SMOOTH, "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 20)
    assert read(broken).pixels.shape == (40, 30, 3)


def test_a_grey_jpeg_stays_grey(read: Read) -> None:
    study = read(save(SMOOTH[..., 0], "JPEG", quality=95))
    assert study.unit == "normalised"
    assert np.abs(study.pixels * 255 - SMOOTH[..., 0]).max() < 12
    assert study.metadata["lossy"] is True


def test_the_name_of_a_file_never_decides(read: Read) -> None:
    assert read(save(COLOUR)).metadata["format"] == "png"
    assert read(JPEG).metadata["format"] == "jpeg"


def test_random_damage_ends_in_a_study_or_a_typed_error(read: Read) -> None:
    rng = np.random.default_rng(6)
    sources = [PNG, JPEG, imagecodecs.png_encode(COLOUR.astype(np.uint16) * 200)]
    for index in range(200):
        damaged = bytearray(sources[index % 3])
        for _ in range(int(rng.integers(1, 5))):
            damaged[int(rng.integers(8, len(damaged)))] = int(rng.integers(256))
        try:
            read(bytes(damaged))
        except ImageError:
            continue
