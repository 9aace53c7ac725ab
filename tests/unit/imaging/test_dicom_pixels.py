"""Values, units, windows and places of DICOM pixels, against answers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from whycad.errors import CorruptImageError, UnsupportedFormatError
from whycad.imaging.display import to_uint8
from whycad.imaging.remarks import Remark, gap_remark
from whycad.testing.dicom import (
    CANARY,
    Writing,
    make_ct_slice,
    make_enhanced_ct,
    make_grey_dicom,
    make_palette_dicom,
    make_photo_dicom,
)
from whycad.types import Study

Read = Callable[[bytes], Study]
WRITING = Writing(CANARY)
RAMP = np.arange(60, dtype=np.int16).reshape(6, 10) * 20 - 600
QUIET = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_ct_is_in_hounsfield_units_with_its_geometry(read: Read) -> None:
    study = read(make_ct_slice(RAMP, WRITING))
    assert np.array_equal(study.pixels, RAMP.astype(np.float32))
    assert (study.unit, study.modality, study.window) == ("HU", "CT", (40.0, 400.0))
    assert study.spacing_mm == (0.7, 0.8)
    assert study.orientation == (1, 0, 0, 0, 1, 0)
    assert study.position_mm == (-100.0, -120.0, 30.0)


def test_ct_without_a_rescale_type_is_in_hounsfield_units_and_mr_is_not(read: Read) -> None:
    assert read(make_ct_slice(RAMP, WRITING, RescaleType=None)).unit == "HU"
    assert read(make_ct_slice(RAMP, WRITING, RescaleType="US")).unit == "stored"
    assert read(make_ct_slice(RAMP, WRITING, RescaleType=None, Modality="MR")).unit == "stored"
    assert read(make_grey_dicom(RAMP, "CT", WRITING)).unit == "stored"


def test_monochrome1_is_inverted_exactly_once(read: Read) -> None:
    stored = np.arange(48, dtype=np.uint16).reshape(6, 8) * 80
    tags: dict[str, Any] = {"BitsStored": 12, "HighBit": 11, "WindowCenter": "1000", "WindowWidth": "600"}
    plain = read(make_grey_dicom(4095 - stored, "DX", WRITING, **{**tags, "WindowCenter": "3095"}))
    inverted = read(make_grey_dicom(stored, "DX", WRITING, PhotometricInterpretation="MONOCHROME1", **tags))
    assert np.array_equal(inverted.pixels, plain.pixels)
    assert np.array_equal(to_uint8(inverted), to_uint8(plain))
    assert inverted.window == (3095.0, 600.0)


def test_monochrome1_is_inverted_after_its_rescale_and_for_signed_values(read: Read) -> None:
    stored = np.array([[-128, 0, 127]], np.int8)
    tags = {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": "2", "RescaleIntercept": "10"}
    study = read(make_grey_dicom(stored, "DX", WRITING, **tags))
    assert study.pixels.tolist() == [[264.0, 8.0, -246.0]]


def test_hounsfield_units_are_never_inverted(read: Read) -> None:
    study = read(make_ct_slice(RAMP, WRITING, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(study.pixels, RAMP.astype(np.float32))
    assert Remark.INVERTED_HU in study.warnings


def test_padding_takes_the_least_value_of_the_rest(read: Read) -> None:
    stored = np.array([[-2000, -2000, 5], [7, 900, -1990]], np.int16)
    study = read(
        make_grey_dicom(stored, "CT", WRITING, PixelPaddingValue=-2000, RescaleSlope="1", RescaleIntercept="0")
    )
    assert study.pixels.tolist() == [[-1990, -1990, 5], [7, 900, -1990]]
    ranged = read(make_grey_dicom(stored, "CT", WRITING, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980))
    assert ranged.pixels.tolist() == [[5, 5, 5], [7, 900, 5]]


def test_padding_is_dark_when_inverted(read: Read) -> None:
    stored = np.array([[0, 100, 200], [255, 50, 0]], np.uint8)
    study = read(make_grey_dicom(stored, "DX", WRITING, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0))
    assert study.pixels.tolist() == [[0, 155, 55], [0, 205, 0]]


def test_a_modality_lut_is_applied(read: Read) -> None:
    lut = Dataset()
    lut.LUTDescriptor, lut.ModalityLUTType = [4, 10, 16], "OD"
    lut.add_new("LUTData", "US", [7, 300, 1000, 65535])
    stored = np.array([[0, 10, 11], [12, 13, 200]], np.uint8)
    for writing in (WRITING, Writing(CANARY, ExplicitVRBigEndian)):
        study = read(make_grey_dicom(stored, "DX", writing, ModalityLUTSequence=[lut]))
        assert study.pixels.tolist() == [[7, 7, 300], [1000, 65535, 65535]]
        assert study.unit == "stored"


def test_a_broken_modality_lut_is_refused(read: Read) -> None:
    lut = Dataset()
    lut.LUTDescriptor = [400, 0, 16]
    lut.add_new("LUTData", "US", [1, 2, 3])
    with pytest.raises(CorruptImageError, match="modality LUT"):
        read(make_grey_dicom(RAMP, "DX", WRITING, ModalityLUTSequence=[lut]))


def test_a_display_curve_is_noted_and_not_applied(read: Read) -> None:
    lut = Dataset()
    lut.LUTDescriptor = [2, 0, 16]
    lut.add_new("LUTData", "US", [0, 65535])
    study = read(make_grey_dicom(RAMP, "DX", WRITING, VOILUTSequence=[lut]))
    assert Remark.VOI_LUT in study.warnings
    assert study.window is None
    assert np.array_equal(study.pixels, RAMP.astype(np.float32))


def test_of_several_windows_the_first_is_proposed(read: Read) -> None:
    study = read(make_ct_slice(RAMP, WRITING, WindowCenter=["40", "-600"], WindowWidth=["400", "1500"]))
    assert study.window == (40.0, 400.0)


def test_a_palette_becomes_colour(read: Read) -> None:
    palette = np.stack([np.arange(256) * 257, np.arange(256)[::-1] * 257, np.full(256, 32768)], axis=1).astype(
        np.uint16
    )
    indices = np.arange(30, dtype=np.uint8).reshape(5, 6) * 8
    study = read(make_palette_dicom(indices, palette, WRITING))
    assert study.is_colour
    assert np.allclose(study.pixels, palette[indices] / 65535.0, atol=1e-6)
    with pytest.raises(UnsupportedFormatError, match="big-endian"):
        read(make_palette_dicom(indices, palette, Writing(CANARY, ExplicitVRBigEndian)))


def test_a_broken_palette_is_refused(read: Read) -> None:
    palette = np.zeros((256, 3), np.uint16)
    data = make_palette_dicom(np.zeros((4, 4), np.uint8), palette, WRITING, RedPaletteColorLookupTableData=b"\1\2")
    with pytest.raises(CorruptImageError, match="palette"):
        read(data)


def test_uncompressed_ybr_is_turned_into_rgb(read: Read) -> None:
    red = np.tile(np.array([76, 85, 255], np.uint8), (4, 4, 1))
    study = read(make_photo_dicom(red, WRITING, PhotometricInterpretation="YBR_FULL"))
    assert np.abs(study.pixels - np.array([1.0, 0.0, 0.0])).max() < 0.02


def test_planar_colour_is_interleaved(read: Read) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    data = make_photo_dicom(pixels, WRITING, PlanarConfiguration=1, PixelData=planes.tobytes())
    assert np.array_equal(read(data).pixels, pixels.astype(np.float32) / np.float32(255))


def test_a_grey_photograph_stays_grey(read: Read) -> None:
    study = read(make_photo_dicom(np.arange(20, dtype=np.uint8).reshape(4, 5), WRITING))
    assert (study.pixels.shape, study.unit, study.is_colour) == ((4, 5), "stored", False)


def test_of_several_colour_frames_the_first_is_read_with_a_warning(read: Read) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, 6, 4, 3), dtype=np.uint8)
    study = read(make_photo_dicom(frames[0], WRITING, NumberOfFrames="2", PixelData=frames.tobytes()))
    assert np.array_equal(study.pixels, frames[0].astype(np.float32) / np.float32(255))
    assert Remark.FIRST_FRAME in study.warnings


def test_enhanced_frames_have_their_own_rescale_and_are_sorted_by_place(read: Read) -> None:
    stored = np.stack([RAMP, RAMP + 1, RAMP + 2])
    study = read(make_enhanced_ct(stored, [(1, -1000), (2, -500), (0.5, 0)], [10.0, 2.5, 6.25], WRITING))
    expected = np.stack([2.0 * (RAMP + 1) - 500, 0.5 * (RAMP + 2), RAMP - 1000.0]).astype(np.float32)
    assert np.array_equal(study.pixels, expected)
    assert study.unit == "HU"
    assert study.position_mm == (0.0, 0.0, 2.5)
    assert study.spacing_mm == (3.75, 0.7, 0.8)
    assert study.window == (50.0, 350.0)
    assert study.warnings == ()


def test_enhanced_frames_with_a_gap_are_interpolated_to_even_distances(read: Read) -> None:
    stored = np.stack([RAMP, RAMP + 30, RAMP + 60])
    study = read(make_enhanced_ct(stored, [(1, 0)] * 3, [0.0, 2.5, 7.5], WRITING))
    assert study.spacing_mm == (2.5, 0.7, 0.8)
    assert np.array_equal(study.pixels - RAMP, np.full((4, 6, 10), 15) * np.array([0, 2, 3, 4])[:, None, None])
    assert study.warnings == (gap_remark(1, 1, 5.0),)


def test_enhanced_frames_at_uneven_distances_are_interpolated_and_said_to_be(read: Read) -> None:
    stored = np.stack([RAMP, RAMP + 14, RAMP + 24, RAMP + 40])
    study = read(make_enhanced_ct(stored, [(1, 0)] * 4, [0.0, 1.4, 2.4, 4.0], WRITING))
    assert Remark.UNEVEN_SLICES in study.warnings
    steps = np.arange(len(study.pixels)) * study.spacing_mm[0]
    expected = np.broadcast_to(10 * steps[:, None, None], study.pixels.shape)
    np.testing.assert_allclose(study.pixels - RAMP, expected, rtol=1e-4)


def test_enhanced_frames_that_lean_are_refused(read: Read) -> None:
    stored = np.stack([RAMP] * 3)
    lean = [(0, 3 * k, 5 * k) for k in range(3)]
    with pytest.raises(UnsupportedFormatError, match=r"lean by 31\.0 degrees"):
        read(make_enhanced_ct(stored, [(1, 0)] * 3, lean, WRITING))


def test_even_slices_have_no_warning(read: Read) -> None:
    study = read(make_enhanced_ct(np.stack([RAMP] * 3), [(1, 0)] * 3, [0.0, 5.0, 10.0], WRITING))
    assert study.warnings == ()
    assert study.spacing_mm == (5.0, 0.7, 0.8)


def test_frames_at_one_place_stay_in_the_order_of_the_file(read: Read) -> None:
    study = read(make_enhanced_ct(np.stack([RAMP, RAMP + 7]), [(1, 0)] * 2, [3.0, 3.0], WRITING))
    assert np.array_equal(study.pixels, np.stack([RAMP, RAMP + 7]).astype(np.float32))
    assert study.spacing_mm is None
    assert Remark.FRAME_ORDER in study.warnings


def test_a_slope_of_zero_in_one_frame_is_refused(read: Read) -> None:
    with pytest.raises(CorruptImageError, match="RescaleSlope"):
        read(make_enhanced_ct(np.stack([RAMP] * 2), [(1, 0), (0, 0)], [0.0, 5.0], WRITING))


def test_fewer_functional_groups_than_frames_are_refused(read: Read) -> None:
    with pytest.raises(CorruptImageError, match="fewer frames"):
        read(make_enhanced_ct(np.stack([RAMP] * 2), [(1, 0)], [0.0], WRITING, NumberOfFrames="2"))


def test_plain_multi_frame_is_a_volume(read: Read) -> None:
    stored = np.random.default_rng(2).integers(0, 4000, (4, 5, 6), dtype=np.uint16)
    study = read(make_grey_dicom(stored, "NM", WRITING))
    assert np.array_equal(study.pixels, stored.astype(np.float32))


def test_unequal_pixels_give_a_shape_when_their_size_is_unknown(read: Read) -> None:
    study = read(make_grey_dicom(RAMP, "US", WRITING, PixelAspectRatio=["4", "3"]))
    assert study.spacing_mm == pytest.approx((4 / 3, 1.0))
    assert study.metadata["spacing_is_relative"] is True
    assert Remark.RELATIVE_SPACING in study.warnings
    assert read(make_grey_dicom(RAMP, "US", WRITING, PixelAspectRatio=["1", "1"])).spacing_mm is None


def test_spacing_at_the_detector_is_said_to_be_that(read: Read) -> None:
    study = read(make_grey_dicom(RAMP, "DX", WRITING, ImagerPixelSpacing=["0.1", "0.2"]))
    assert study.spacing_mm == (0.1, 0.2)
    assert Remark.DETECTOR_SPACING in study.warnings


def test_float_pixels_are_read_and_not_a_number_is_refused(read: Read) -> None:
    values = np.array([[0.5, -3.25], [1e6, 2.0]], np.float32)
    tags: dict[str, Any] = {
        "BitsAllocated": 32,
        "PixelData": None,
        "PixelRepresentation": None,
        "BitsStored": None,
        "HighBit": None,
    }
    assert (
        read(
            make_grey_dicom(np.zeros((2, 2), np.uint32), "MR", WRITING, **tags, FloatPixelData=values.tobytes())
        ).pixels.tolist()
        == values.tolist()
    )
    values[0, 0] = np.nan
    with pytest.raises(CorruptImageError, match="finite"):
        read(make_grey_dicom(np.zeros((2, 2), np.uint32), "MR", WRITING, **tags, FloatPixelData=values.tobytes()))


def test_one_bit_images_are_read(read: Read) -> None:
    bits = np.array([[1, 0, 1, 1, 0, 0, 0, 1], [0, 1, 0, 0, 1, 1, 1, 0]], np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    tags: dict[str, Any] = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": packed}
    assert read(make_grey_dicom(bits, "OT", WRITING, **tags)).pixels.tolist() == bits.tolist()


@QUIET
@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9)))
def test_any_grey_array_survives_the_round_trip(read: Read, stored: np.ndarray[Any, Any]) -> None:
    expected = stored.astype(np.float32)
    study = read(make_grey_dicom(stored, "MR", WRITING))
    assert np.array_equal(study.pixels, expected[0] if stored.ndim == 3 and len(stored) == 1 else expected)


@QUIET
@given(
    hnp.arrays(np.int16, (3, 4), elements=st.integers(-2000, 3000)),
    st.floats(0.01, 50).map(lambda v: round(v, 3)),
    st.integers(-3000, 3000),
)
def test_any_rescale_is_applied(read: Read, stored: np.ndarray[Any, Any], slope: float, intercept: int) -> None:
    study = read(make_grey_dicom(stored, "CT", WRITING, RescaleSlope=str(slope), RescaleIntercept=str(intercept)))
    assert np.allclose(study.pixels, stored * slope + intercept, rtol=1e-6, atol=1e-2)
