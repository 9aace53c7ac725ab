"""Series and volumes, from files made here to studies: values, order, places, and every fault."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from whycad.errors import CorruptImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging import StudyItem
from whycad.imaging.geometry import from_patient_mm, to_patient_mm
from whycad.imaging.limits import MIB, Limits
from whycad.imaging.remarks import Remark, gap_remark
from whycad.testing.dicom import CANARY, Patient, Writing, make_ct_slice, make_enhanced_ct, make_photo_dicom
from whycad.testing.series import make_ct_series, make_localizer, make_oct_volume, make_zip
from whycad.types import Study

VOLUME = np.random.default_rng(0).integers(-1000, 1500, (7, 6, 5)).astype(np.int16)
# JPEG 2000 does not pack pictures that are smaller.
LARGER = np.random.default_rng(3).integers(-1000, 1500, (3, 48, 40)).astype(np.int16)
SPACING = (2.5, 0.7, 0.8)
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)


def series(**options: Any) -> list[bytes]:
    return make_ct_series(VOLUME, SPACING, **{"patient": CANARY, **options})


def only(items: tuple[StudyItem, ...]) -> Study:
    assert len(items) == 1
    assert items[0].study is not None, items[0].error
    return items[0].study


def test_slices_become_one_volume_in_hounsfield_units(read_all: Any) -> None:
    study = only(read_all(series(shuffle=3)))
    assert np.array_equal(study.pixels, VOLUME.astype(np.float32))
    assert study.pixels.dtype == np.float32
    assert (study.modality, study.unit, study.window) == ("CT", "HU", (-600.0, 1500.0))
    assert study.spacing_mm == SPACING
    assert study.orientation == (1, 0, 0, 0, 1, 0)
    assert study.position_mm == (-120.0, -110.0, -50.0)
    assert study.warnings == ()
    facts = dict(study.metadata)
    assert (facts["slices"], facts["sex"], facts["age_years"], facts["body_part"]) == (7, "female", 77.0, "chest")
    assert study.subject_key != ""


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.sampled_from([(1.0, 0, 0, 0, 1.0, 0), (0, 1.0, 0, 0, 0, -1.0), OBLIQUE]))
def test_neither_order_nor_direction_matter(read_all: Any, shuffle: int, orientation: tuple[float, ...]) -> None:
    files = series(orientation=orientation, shuffle=shuffle)
    study = only(read_all(files))
    assert np.array_equal(study.pixels, VOLUME.astype(np.float32))
    expected = sorted(hashlib.sha256(data).hexdigest() for data in files)
    assert study.sha256 == hashlib.sha256("\n".join(expected).encode()).hexdigest()


def test_the_hash_depends_on_the_slices_and_on_nothing_else(read_all: Any) -> None:
    files = series()
    hashes = {only(read_all(given)).sha256 for given in (files, files[::-1], [make_zip(files)])}
    assert len(hashes) == 1
    assert only(read_all(files[1:])).sha256 not in hashes


def test_every_slice_lies_where_its_file_says(read_all: Any) -> None:
    study = only(read_all(series(orientation=OBLIQUE, shuffle=1)))
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    for k in range(7):
        place = np.array([-120.0, -110.0, -50.0]) + 2.5 * k * normal
        np.testing.assert_allclose(to_patient_mm(study, np.array([[k, 0.0, 0.0]])), [place], atol=1e-4)
        np.testing.assert_allclose(from_patient_mm(study, place[None]), [[k, 0, 0]], atol=1e-4)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless],
)
def test_every_syntax_is_read(syntax: str, read_all: Any) -> None:
    study = only(read_all(make_ct_series(LARGER, SPACING, patient=CANARY, syntax=syntax)))
    assert np.array_equal(study.pixels, LARGER.astype(np.float32))


def test_slices_may_have_rescale_factors_of_their_own(read_all: Any) -> None:
    files = series()[:3] + series(slope=2.0, intercept=-1024.0)[3:5] + series(slope=0.5, intercept=7.0)[5:]
    study = only(read_all(files))
    np.testing.assert_allclose(study.pixels, VOLUME, atol=1.0)
    assert np.array_equal(study.pixels[5:], VOLUME[5:])


def test_padding_takes_the_least_value_of_the_whole_volume(read_all: Any) -> None:
    volume = VOLUME.copy()
    volume[2, 0, :], volume[4] = -3024, -3024
    study = only(read_all(make_ct_series(volume, SPACING, patient=CANARY, PixelPaddingValue=-2000)))
    least = VOLUME[[0, 1, 2, 3, 5, 6]].min(initial=9999, where=volume[[0, 1, 2, 3, 5, 6]] != -3024)
    assert study.pixels[4].tolist() == np.full((6, 5), float(least)).tolist()
    assert (study.pixels[2, 0] == least).all()


def test_a_gap_is_named_with_its_size_and_the_rest_keeps_its_place(read_all: Any) -> None:
    study = only(read_all(series(missing=[2, 3])))
    assert study.warnings == (gap_remark(2, 1, 7.5),)
    assert "Slices are missing: 2 in 1 place(s), the largest gap is 7.5 mm" in study.warnings[0]
    assert study.spacing_mm == SPACING
    assert np.array_equal(study.pixels[[0, 1, 4, 5, 6]], VOLUME[[0, 1, 4, 5, 6]].astype(np.float32))
    between = VOLUME[1] + (VOLUME[4].astype(np.float32) - VOLUME[1]) / 3
    np.testing.assert_allclose(study.pixels[2], between, atol=1e-2)


def test_uneven_distances_are_interpolated_and_said_to_be(read_all: Any) -> None:
    study = only(read_all(series(jitter_mm={3: 0.9})))
    assert study.warnings == (Remark.UNEVEN_SLICES,)
    assert np.array_equal(study.pixels[[0, 6]], VOLUME[[0, 6]].astype(np.float32))
    assert not np.array_equal(study.pixels[3], VOLUME[3].astype(np.float32))


def test_a_copy_of_a_slice_is_used_once(read_all: Any) -> None:
    items = read_all(series(duplicates=[0, 4]))
    study = only(items)
    assert study.warnings == (Remark.DUPLICATE_SLICE,)
    assert study.sha256 == only(read_all(series())).sha256
    assert items[0].sources == tuple(range(9))


def test_the_same_identifier_with_other_bytes_never_overwrites(read_all: Any) -> None:
    volume, apart = read_all(series(conflicts=[2]))
    assert volume.study is not None
    assert apart.study is not None
    assert volume.study.pixels.shape == (7, 6, 5)
    assert apart.study.pixels.shape == (6, 5)
    both = {volume.study.pixels[2].tobytes(), apart.study.pixels.tobytes()}
    assert both == {VOLUME[2].astype(np.float32).tobytes(), (VOLUME[2] + 10).astype(np.float32).tobytes()}
    for item in (volume, apart):
        assert {Remark.CONFLICTING_SLICE, Remark.SAME_UID} <= set(item.study.warnings)


def test_pictures_with_the_same_identifier_are_both_kept_with_a_warning(read_all: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    items = read_all([make_photo_dicom(p, Writing(CANARY)) for p in (pixels, pixels[::-1])])
    assert [item.sources for item in items] == [(0,), (1,)]
    assert all(item.study is not None and Remark.SAME_UID in item.study.warnings for item in items)


def test_two_patients_in_one_series_are_refused(read_all: Any) -> None:
    items = read_all(series(second_patient=[3]))
    assert [item.sources for item in items] == [tuple(range(7))]
    assert isinstance(items[0].error, CorruptImageError)
    assert "more than one patient" in items[0].error.message


def test_patients_without_an_id_are_told_by_name_and_birth_date(read_all: Any) -> None:
    nobody = Patient(CANARY.name, "ANONYMOUS", CANARY.birth_date, CANARY.accession)
    assert only(read_all(series(patient=nobody))).subject_key == ""
    files = series(patient=nobody)[:4] + series(patient=Patient("B^B", "ANONYMOUS", "19600101"))[4:]
    assert "more than one patient" in read_all(files)[0].error.message


def test_two_series_and_a_picture_are_three_cases(read_all: Any) -> None:
    photo = make_photo_dicom(np.zeros((4, 5, 3), np.uint8), Writing(CANARY, seed="photo"))
    other = series(seed="another", shuffle=2)
    items = read_all([other[0], photo, *series(), *other[1:]])
    assert [item.study.pixels.shape for item in items] == [(7, 6, 5), (4, 5, 3), (7, 6, 5)]
    assert [item.sources for item in items] == [(0, *range(9, 15)), (1,), tuple(range(2, 9))]
    assert [Remark.MIXED_SERIES in item.study.warnings for item in items] == [False] * 3


def test_sizes_and_directions_mixed_in_one_series_stay_apart(read_all: Any) -> None:
    wide = make_ct_series(np.repeat(VOLUME, 2, axis=2), SPACING, patient=CANARY, SOPInstanceUID="1.2.3")
    coronal = series(orientation=(1, 0, 0, 0, 0, -1), origin_mm=(0, 0, 0), SOPInstanceUID="1.2.4")
    items = read_all([*wide[:3], *series(), *coronal])
    assert [item.study.pixels.shape for item in items] == [(3, 6, 10), (7, 6, 5), (7, 6, 5)]
    assert all(Remark.MIXED_SERIES in item.study.warnings for item in items)


def test_echoes_are_volumes_of_their_own(read_all: Any) -> None:
    tags = {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "RescaleType": None}
    files = series(EchoTime="10", **tags) + make_ct_series(
        VOLUME + 1, SPACING, patient=CANARY, EchoTime="80", SOPInstanceUID="1.2.5", **tags
    )
    first, second = read_all(files)
    assert first.study.modality == "MR"
    assert first.study.unit == "stored"
    assert np.array_equal(second.study.pixels - first.study.pixels, np.ones(VOLUME.shape))


def test_a_localizer_is_left_apart(read_all: Any) -> None:
    scout, volume = read_all([make_localizer(patient=CANARY), *series()])
    assert scout.study.pixels.shape == (24, 20)
    assert Remark.LOCALIZER in scout.study.warnings
    assert volume.study.pixels.shape == (7, 6, 5)
    assert volume.study.warnings == ()


def test_a_screen_capture_in_the_series_is_left_apart(read_all: Any) -> None:
    capture = make_ct_slice(
        VOLUME[0],
        Writing(CANARY, seed="series"),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
        ImagePositionPatient=None,
        SOPInstanceUID="1.2.6",
    )
    volume, alone = read_all([*series(), capture])
    assert (volume.study.pixels.shape, alone.study.pixels.shape) == ((7, 6, 5), (6, 5))


def test_a_tilted_gantry_is_refused_with_the_reason(read_all: Any) -> None:
    item = read_all(series(tilt_deg=15.0))[0]
    assert isinstance(item.error, UnsupportedFormatError)
    assert "tilted gantry: its slices lean by 15.0 degrees" in item.error.message
    assert "resampled without tilt" in item.error.remedy


def test_a_tilt_that_was_corrected_is_read(read_all: Any) -> None:
    assert only(read_all(series(GantryDetectorTilt="15"))).warnings == ()


@pytest.mark.parametrize("options", [{"without_position": [4]}, {"ImageOrientationPatient": None}], ids=str)
def test_slices_without_a_place_are_refused(options: dict[str, Any], read_all: Any) -> None:
    items = read_all(series(**options))
    assert [item.sources for item in items] == [tuple(range(7))]
    assert "do not all say where they lie" in items[0].error.message


def test_versions_mixed_up_are_refused(read_all: Any) -> None:
    assert "several versions of 7 of its 7 slices" in read_all(series(conflicts=range(7)))[0].error.message


def test_slices_far_apart_are_refused(read_all: Any) -> None:
    items = read_all(series(jitter_mm={6: 5000.0}))
    assert "too far apart" in items[0].error.message


def test_one_slice_stays_an_image(read_all: Any) -> None:
    study = only(read_all(series()[2:3]))
    assert np.array_equal(study.pixels, VOLUME[2].astype(np.float32))
    assert study.sha256 == hashlib.sha256(series()[2]).hexdigest()
    assert "slices" not in study.metadata
    twice = read_all(series()[2:3] * 2)
    assert [item.sources for item in twice] == [(0, 1)]
    assert twice[0].study.sha256 == study.sha256
    assert twice[0].study.warnings == (Remark.DUPLICATE_SLICE,)


def test_two_slices_are_a_volume(read_all: Any) -> None:
    study = only(read_all(series()[2:4]))
    assert (study.pixels.shape, study.spacing_mm) == ((2, 6, 5), SPACING)


def test_a_constant_volume_is_said_to_be_one_but_one_black_slice_is_not(read_all: Any) -> None:
    flat = make_ct_series(np.full((3, 4, 4), -1000), SPACING, patient=CANARY)
    assert only(read_all(flat)).warnings == (Remark.CONSTANT,)
    volume = VOLUME.copy()
    volume[0] = -1000
    assert only(read_all(make_ct_series(volume, SPACING, patient=CANARY))).warnings == ()


def test_facts_that_differ_between_slices_are_left_out(read_all: Any) -> None:
    files = series(KVP="120", PatientAge="050Y")[:4] + series(KVP="80", PatientAge="050Y", ImageType="DERIVED")[4:]
    facts = only(read_all(files)).metadata
    assert "kvp" not in facts
    assert (facts["age_years"], facts["derived"]) == (50.0, True)


def test_units_mixed_in_one_series_are_refused(read_all: Any) -> None:
    items = read_all([*series(RescaleType="HU")[:4], *series(RescaleType="US")[4:]])
    assert "different units" in items[0].error.message


@pytest.mark.parametrize("cut", [1, 20, 61], ids=str)
def test_a_slice_with_broken_pixels_is_an_error_and_leaves_a_gap(cut: int, read_all: Any) -> None:
    files = series()
    files[4] = files[4][:-cut]
    items = read_all(files)
    errors = [item for item in items if item.error is not None]
    assert [item.sources for item in errors] == [(4,)]
    study = next(item.study for item in items if item.study is not None)
    assert any("Slices are missing: 1" in text for text in study.warnings)


def test_a_slice_that_breaks_only_when_decoded_refuses_the_series(read_all: Any) -> None:
    files = make_ct_series(LARGER, SPACING, patient=CANARY, syntax=JPEG2000Lossless)
    at = files[1].index(b"\xff\x4f\xff\x51")
    files[1] = files[1][: at + 60] + bytes(80) + files[1][at + 140 :]
    items = read_all(files)
    assert [item.sources for item in items] == [(0, 1, 2)]
    assert isinstance(items[0].error, CorruptImageError)


def test_a_volume_beyond_the_limit_is_refused_before_it_is_allocated(read_all: Any) -> None:
    limits = Limits(max_pixels=180, max_file_bytes=MIB)
    assert isinstance(read_all(series(), limits=limits)[0].error, ImageTooLargeError)
    # Filled gaps count as well.
    assert isinstance(read_all(series(missing=[1]), limits=limits)[0].error, ImageTooLargeError)


def test_limits_grow_with_the_files_up_to_a_cap() -> None:
    base = Limits()
    some, many, most = base.for_files(48), base.for_files(1000), base.for_files(10**6)
    assert base.wall_s < some.wall_s < many.wall_s < most.wall_s == base.wall_s + 300
    assert base.max_pixels < some.max_pixels < many.max_pixels == most.max_pixels == 2 * base.max_pixels
    assert most.memory_bytes == base.memory_bytes
    # A thousand slices of 512 x 512 fit.
    assert many.max_pixels >= 1000 * 512 * 512


def test_enhanced_volumes_are_cases_of_their_own(read_all: Any) -> None:
    frames = np.stack([VOLUME[0], VOLUME[1], VOLUME[2]])
    enhanced = make_enhanced_ct(frames, [(1, 0)] * 3, [5.0, 0.0, 2.5], Writing(CANARY, seed="enhanced"))
    first, second = read_all([enhanced, *series()])
    assert np.array_equal(first.study.pixels, VOLUME[[1, 2, 0]].astype(np.float32))
    assert first.study.spacing_mm == SPACING
    assert second.study.pixels.shape == (7, 6, 5)


FRAMES = np.random.default_rng(2).integers(0, 256, (5, 12, 9), dtype=np.uint8)
OCT_SPACING = (0.12, 0.004, 0.011)


def test_an_oct_volume_is_read_in_the_order_of_its_places(read_all: Any) -> None:
    study = only(read_all([make_oct_volume(FRAMES, OCT_SPACING, Writing(CANARY))]))
    assert np.array_equal(study.pixels, FRAMES.astype(np.float32))
    assert (study.modality, study.unit, study.laterality) == ("OPT", "stored", "R")
    assert study.spacing_mm == pytest.approx(OCT_SPACING)
    assert study.warnings == ()
    mixed = make_oct_volume(FRAMES[[2, 0, 4, 1, 3]], OCT_SPACING, Writing(CANARY), z_mm=[0.24, 0, 0.48, 0.12, 0.36])
    assert np.array_equal(only(read_all([mixed])).pixels, FRAMES.astype(np.float32))


def test_an_oct_volume_without_places_stays_in_the_order_of_the_file(read_all: Any) -> None:
    study = only(read_all([make_oct_volume(FRAMES, OCT_SPACING, Writing(CANARY), positions=False)]))
    assert np.array_equal(study.pixels, FRAMES.astype(np.float32))
    assert study.spacing_mm == pytest.approx(OCT_SPACING)
    assert study.warnings == (Remark.FRAME_ORDER,)
    bare = only(read_all([make_oct_volume(FRAMES, None, Writing(CANARY))]))
    assert bare.spacing_mm is None


def test_an_oct_volume_whose_frames_are_shifted_keeps_its_frames_but_not_its_place(read_all: Any) -> None:
    import io

    import pydicom

    ds = pydicom.dcmread(io.BytesIO(make_oct_volume(FRAMES, OCT_SPACING, Writing(CANARY))))
    ds.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0].ImagePositionPatient = ["0.5", "0", "0.24"]
    out = io.BytesIO()
    ds.save_as(out)
    study = only(read_all([out.getvalue()]))
    assert np.array_equal(study.pixels, FRAMES.astype(np.float32))
    assert (study.position_mm, study.orientation) == (None, None)
    assert Remark.SHIFTED_FRAMES in study.warnings


def test_nothing_of_the_patient_is_in_a_volume_or_its_errors(read_all: Any) -> None:
    text = {"SeriesDescription": "Zzcanary", "ImageComments": "QX-77013-CANARY", "StationName": "ZZCANARY"}
    read_all(series(**text))
    read_all(series(tilt_deg=20, **text))
    read_all(series(missing=[1], conflicts=[2], duplicates=[3], **text))
