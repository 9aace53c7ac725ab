"""What leaves a file: coded facts and keyed hashes, never words of the file."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from whycad.errors import StoreError
from whycad.imaging.deidentify import age_years, check_metadata, keyed_hash, manufacturer, modality_of, subject_key
from whycad.imaging.keys import key_file, load_key
from whycad.testing.dicom import CANARY, Patient, Writing, make_ct_slice, make_photo_dicom
from whycad.types import Study

Read = Callable[[bytes], Study]
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
WRITING = Writing(CANARY)


def test_facts_are_coded(read: Read) -> None:
    tags = {
        "Manufacturer": "SIEMENS Healthineers",
        "ManufacturerModelName": "Unit of Dr Zzcanary",
        "ImageLaterality": "R",
    }
    study = read(make_photo_dicom(PIXELS, WRITING, **tags, LossyImageCompression="01"))
    facts = dict(study.metadata)
    assert len(str(facts.pop("device_key"))) == 32
    assert facts == {
        "format": "dicom",
        "codec": "none",
        "bits_stored": 8,
        "frames": 1,
        "lossy": True,
        "derived": False,
        "sex": "female",
        "age_years": 77.0,
        "body_part": "back",
        "site": "back",
        "manufacturer": "Siemens",
    }
    assert study.laterality == "R"


FREE_TEXT = (
    "PatientComments ImageComments StudyDescription SeriesDescription ProtocolName InstitutionName OperatorsName "
    "ReferringPhysicianName StationName BodyPartExamined ViewPosition PatientSex Manufacturer ManufacturerModelName "
    "DerivationDescription AdditionalPatientHistory RequestedProcedureDescription ImageLaterality Laterality "
    "ConvolutionKernel SoftwareVersions DeviceSerialNumber BurnedInAnnotation LossyImageCompression "
    "WindowCenterWidthExplanation"
)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("keyword", FREE_TEXT.split())
def test_no_text_of_a_file_passes(keyword: str, read: Read) -> None:
    for value in ("ZZCANARY", "Zzcanary Wilhelmina", "QX-77013-CANARY"):
        read(make_ct_slice(np.arange(20, dtype=np.int16).reshape(4, 5), WRITING, **{keyword: value}))


def test_free_text_in_sequences_and_private_tags_does_not_pass(read: Read) -> None:
    item = Dataset()
    item.CodeMeaning, item.CodeValue, item.CodingSchemeDesignator = "Zzcanary", "1", "99X"
    data = make_photo_dicom(PIXELS, WRITING, AnatomicRegionSequence=[item], BodyPartExamined=None)
    assert "body_part" not in read(data).metadata


def test_a_body_part_from_a_coded_region_is_kept(read: Read) -> None:
    item = Dataset()
    item.CodeMeaning, item.CodeValue, item.CodingSchemeDesignator = "Lower leg", "30021000", "SCT"
    study = read(make_photo_dicom(PIXELS, WRITING, AnatomicRegionSequence=[item], BodyPartExamined=None))
    assert (study.metadata["body_part"], study.metadata["site"]) == ("leg", "lower extremity")


def test_uids_are_not_kept(read: Read) -> None:
    study = read(make_photo_dicom(PIXELS, WRITING))
    assert "1.2.826" not in repr({k: v for k, v in vars(study).items() if k != "pixels"})


@pytest.mark.parametrize(
    ("stated", "birth", "taken", "age"),
    [
        ("045Y", "", "", 45.0),
        ("018M", "", "", 1.5),
        ("002W", "", "", 0.04),
        ("099Y", "", "", 90.0),
        ("200Y", "", "", None),
        ("abc", "", "", None),
        ("", "19500601", "20200531", 69.0),
        ("", "19500601", "20200601", 70.0),
        ("", "19000101", "20200101", 90.0),
        ("", "20210101", "20200101", None),
        ("", "1950", "20200101", None),
    ],
)
def test_ages(stated: str, birth: str, taken: str, age: float | None) -> None:
    assert age_years(stated, birth, taken) == age


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("GE MEDICAL SYSTEMS", "GE"),
        ("Philips Medical Systems", "Philips"),
        ("GEORGE'S CAMERA SHOP", "other"),
        ("", ""),
        ("Carl Zeiss Meditec", "Zeiss"),
    ],
)
def test_makers(text: str, name: str) -> None:
    assert manufacturer(text) == name


def test_modalities_are_a_closed_list_of_short_codes() -> None:
    assert modality_of("CT") == "CT"
    assert modality_of("DMS") == "DMS"
    assert modality_of("DOE") == ""
    assert modality_of("ct") == ""


def test_subject_keys_group_patients_without_naming_them(read: Read) -> None:
    def key_of(patient: Patient, **tags: str) -> str:
        return read(make_photo_dicom(PIXELS, Writing(patient), **tags)).subject_key

    one = key_of(Patient(patient_id="A1"))
    assert one == key_of(Patient(patient_id="a1 ", name="Other^Name")) != key_of(Patient(patient_id="A2"))
    assert one != key_of(Patient(patient_id="A1"), IssuerOfPatientID="ELSEWHERE")
    assert key_of(Patient(patient_id="")) == ""
    assert key_of(Patient(patient_id="ANONYMOUS")) == ""


@given(st.text(min_size=1), st.binary(min_size=32, max_size=40), st.binary(min_size=32, max_size=40))
def test_hashes_depend_on_the_secret(text: str, one: bytes, two: bytes) -> None:
    assert (keyed_hash(one, "subject", text) == keyed_hash(two, "subject", text)) == (one == two)
    assert keyed_hash(one, "subject", text) != keyed_hash(one, "device", text)
    assert text not in keyed_hash(one, "subject", text) or len(text) < 3


def test_parts_of_a_hash_do_not_run_together() -> None:
    assert subject_key(b"k" * 32, "BC", "A") != subject_key(b"k" * 32, "C", "AB")


def test_the_metadata_list_bites() -> None:
    assert check_metadata({"sex": "male", "age_years": 3, "lossy": True}) == {
        "sex": "male",
        "age_years": 3,
        "lossy": True,
    }
    for bad in (
        {"sex": "M"},
        {"age_years": True},
        {"age_years": float("nan")},
        {"lossy": 1},
        {"name": "x"},
        {"sex": None},
    ):
        with pytest.raises(ValueError, match="not on the list"):
            check_metadata(bad)


def test_the_key_is_made_once_and_is_private() -> None:
    first = load_key()
    assert len(first) == 32
    assert load_key() == first
    if os.name == "posix":
        assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
        assert stat.S_IMODE(key_file().parent.stat().st_mode) == 0o700
    assert [p.name for p in key_file().parent.iterdir()] == ["subject.key"]


def test_readers_that_start_together_share_one_key() -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(load_key())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8


def test_a_key_that_is_too_short_or_unreachable_is_a_typed_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"abc")
    monkeypatch.setenv("WHYCAD_KEY_FILE", str(short))
    with pytest.raises(StoreError, match="shorter than 32 bytes"):
        load_key()
    monkeypatch.setenv("WHYCAD_KEY_FILE", str(short / "below"))
    with pytest.raises(StoreError, match="cannot be read or written"):
        load_key()


def test_the_default_place_is_the_users_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WHYCAD_KEY_FILE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert key_file() == tmp_path / "whycad" / "subject.key"
