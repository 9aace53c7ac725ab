"""Every file that comes with pydicom ends as a correct Study or a typed error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import pydicom.data
import pytest

from whycad.errors import CorruptImageError, ImageError, UnsupportedFormatError
from whycad.imaging.worker import decode
from whycad.types import Study

Read = Callable[[bytes], Study]
# Never get_testdata_files(): it tries to download what the wheel lacks.
FOLDER = Path(pydicom.data.__file__).parent / "test_files"
CHARSETS = FOLDER.parent / "charset_files"

CORRUPT = {
    "ExplVR_LitEndNoMeta.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "MR_truncated.dcm",
    "SC_rgb_jpeg.dcm",
    "UN_sequence.dcm",
    "badVR.dcm",
    "meta_missing_tsyntax.dcm",
    "nested_priv_SQ.dcm",
    "priv_SQ.dcm",
    "rtplan_truncated.dcm",
    "rtstruct.dcm",
}
UNSUPPORTED = {
    "ExplVR_BigEndNoMeta.dcm",
    "README.txt",
    "crayons.icc",
    "empty_charset_LEI.dcm",
    "liver_1frame.dcm",
    "liver_expb_1frame.dcm",
    "no_meta.dcm",
    "no_meta_group_length.dcm",
    "reportsi.dcm",
    "reportsi_with_empty_number_tags.dcm",
    "rtdose.dcm",
    "rtdose_1frame.dcm",
    "rtdose_expb.dcm",
    "rtdose_expb_1frame.dcm",
    "rtdose_rle.dcm",
    "rtdose_rle_1frame.dcm",
    "rtplan.dcm",
    "rtplan.dump",
    "rtstruct.dump",
    "test-SR.dcm",
    "test1.json",
    "test_PN.json",
    "waveform_ecg.dcm",
    "zipMR.gz",
}
FILES = sorted(path.name for path in FOLDER.iterdir() if path.is_file())


def test_the_lists_name_files_that_exist() -> None:
    assert set(FILES) >= CORRUPT | UNSUPPORTED
    assert len(FILES) > 60


@pytest.mark.parametrize("name", FILES)
def test_ends_in_a_study_or_a_typed_error(name: str, read: Read) -> None:
    data = (FOLDER / name).read_bytes()
    kind = CorruptImageError if name in CORRUPT else UnsupportedFormatError if name in UNSUPPORTED else None
    if kind is not None:
        with pytest.raises(kind) as caught:
            read(data)
        assert "no reader expects" not in caught.value.message
        return
    study = read(data)
    assert study.pixels.size >= 27
    assert study.pixels.min() < study.pixels.max()
    if study.is_colour:
        assert study.pixels.min() >= 0.0
        assert study.pixels.max() <= 1.0


def test_files_of_the_bundled_media_and_character_sets_end_the_same_way(read: Read) -> None:
    paths = sorted(p for folder in (FOLDER / "dicomdirtests", CHARSETS) for p in folder.rglob("*") if p.is_file())
    assert len(paths) > 40
    studies, surprises = 0, []
    for path in paths:
        try:
            studies += read(path.read_bytes()).pixels.ndim == 2
        except ImageError as error:
            surprises += ["no reader expects" in error.message]
    assert studies > 30
    assert not any(surprises)


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "examples_overlay.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "JPEG2000.dcm",
        "image_dfl.dcm",
    ],
)
def test_grey_values_agree_with_highdicom(name: str, read: Read) -> None:
    image = highdicom.imread(FOLDER / name)
    expected = image.get_frame(1, apply_modality_transform=None, apply_voi_transform=False, apply_presentation_lut=True)
    assert np.allclose(read((FOLDER / name).read_bytes()).pixels, expected, atol=1e-3)


def test_one_image_under_seven_syntaxes_is_one_image(read: Read) -> None:
    names = ("", "_RLE", "_bigendian", "_expb", "_implicit", "_jp2klossless", "_jpeg_ls_lossless", "_padded")
    studies = [read((FOLDER / f"MR_small{name}.dcm").read_bytes()) for name in names]
    assert all(np.array_equal(s.pixels, studies[0].pixels) for s in studies)
    assert all(s.window == (600.0, 1600.0) and s.spacing_mm == (0.3125, 0.3125) for s in studies)


_HALF, _QUARTER = 0.5, 0.25
BARS = (
    (5, (1, 0, 0)),
    (15, (1, _HALF, _HALF)),
    (25, (0, 1, 0)),
    (35, (_HALF, 1, _HALF)),
    (45, (0, 0, 1)),
    (55, (_HALF, _HALF, 1)),
    (65, (0, 0, 0)),
    (75, (_QUARTER,) * 3),
    (85, (0.75,) * 3),
    (95, (1, 1, 1)),
)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in FILES
        if n.startswith(("SC_rgb_dcmtk", "SC_rgb_rle", "SC_rgb_jls", "SC_rgb_jpeg_gdcm", "SC_rgb_gdcm_KY", "SC_ybr"))
    ],
)
def test_the_bars_of_the_colour_chart_have_the_colours_they_should(name: str, read: Read) -> None:
    pixels = read((FOLDER / name).read_bytes()).pixels
    assert pixels.shape == (100, 100, 3)
    for row, colour in BARS:
        assert np.abs(pixels[row, 50] - np.array(colour)).max() < 0.03, (row, pixels[row, 50])


def test_colours_agree_with_pydicom(read: Read) -> None:
    for name in (
        "examples_rgb_color.dcm",
        "examples_jpeg2k.dcm",
        "ExplVR_BigEnd.dcm",
        "SC_rgb_small_odd_big_endian.dcm",
    ):
        expected = pydicom.dcmread(FOLDER / name).pixel_array.astype(np.float32) / np.float32(255)
        assert np.array_equal(read((FOLDER / name).read_bytes()).pixels, expected)


def test_the_palette_example_agrees_with_pydicom(read: Read) -> None:
    from pydicom.pixels import apply_color_lut

    ds = pydicom.dcmread(FOLDER / "examples_palette.dcm")
    expected = apply_color_lut(ds.pixel_array, ds) / 65535
    assert np.allclose(read((FOLDER / "examples_palette.dcm").read_bytes()).pixels, expected, atol=1e-4)


def test_metadata_of_the_ct_example() -> None:
    from whycad.imaging.limits import Limits

    study = decode((FOLDER / "CT_small.dcm").read_bytes(), b"k" * 32, Limits())
    assert (study.modality, study.unit) == ("CT", "HU")
    assert study.metadata["manufacturer"] == "GE"
    assert study.metadata["slice_thickness_mm"] == 5.0
    assert study.position_mm == pytest.approx((-158.135803, -179.035797, -75.699997))
    assert len(study.subject_key) == 32
