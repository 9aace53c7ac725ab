"""The parent believes nothing that the child hands back before it is checked."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whycad.errors import CorruptImageError, ImageTooLargeError
from whycad.imaging.handover import PIXELS, REPORT, read_result, write_error, write_study
from whycad.imaging.limits import Limits
from whycad.imaging.remarks import Remark
from whycad.types import Study

LIMITS = Limits(max_pixels=1000)
STUDY = Study(
    pixels=np.linspace(0, 1, 60, dtype=np.float32).reshape(4, 5, 3),
    modality="XC",
    sha256="",
    unit="rgb",
    spacing_mm=(0.5, 0.25),
    laterality="L",
    metadata={"sex": "female", "age_years": 55.0, "format": "dicom", "lossy": False},
    subject_key="0123456789abcdef" * 2,
    warnings=(str(Remark.CONSTANT),),
)
VOLUME = Study(
    pixels=np.arange(60, dtype=np.float32).reshape(3, 4, 5) - 1000,
    modality="CT",
    sha256="",
    unit="HU",
    spacing_mm=(2.0, 0.5, 0.5),
    window=(40.0, 400.0),
    orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    position_mm=(1.0, 2.0, 3.0),
)


@pytest.mark.parametrize("study", [STUDY, VOLUME], ids=["colour", "volume"])
def test_a_study_survives(study: Study, tmp_path: Path) -> None:
    write_study(tmp_path, study)
    back = read_result(tmp_path, "f" * 64, LIMITS)
    assert back is not None
    assert np.array_equal(back.pixels, study.pixels)
    assert vars(replace(back, pixels=study.pixels, sha256="")) == vars(study)


def test_an_error_survives(tmp_path: Path) -> None:
    write_error(tmp_path, ImageTooLargeError("much too large", remedy="make it smaller"))
    with pytest.raises(ImageTooLargeError, match="much too large") as caught:
        read_result(tmp_path, "", LIMITS)
    assert caught.value.remedy == "make it smaller"


def test_no_report_is_none(tmp_path: Path) -> None:
    assert read_result(tmp_path, "", LIMITS) is None


BAD_FIELDS: dict[str, dict[str, Any]] = {
    "unknown modality": {"modality": "ZZCANARY"},
    "unknown unit": {"unit": "furlong"},
    "grey in colour's unit": {"unit": "HU", "spacing_mm": [1, 1]},
    "spacing of another length": {"spacing_mm": [1.0, 1.0, 1.0]},
    "spacing zero": {"spacing_mm": [0.0, 1.0]},
    "spacing text": {"spacing_mm": "11"},
    "window not finite": {"window": [float("nan"), 1.0]},
    "orientation too short": {"orientation": [1.0]},
    "side in words": {"laterality": "left of Zzcanary"},
    "view in words": {"view": "Zzcanary"},
    "subject in clear": {"subject_key": "QX-77013-CANARY"},
    "subject no text": {"subject_key": 5},
    "metadata unknown": {"metadata": {"name": "Zzcanary"}},
    "metadata out of vocabulary": {"metadata": {"sex": "Zzcanary"}},
    "metadata out of range": {"metadata": {"age_years": 120}},
    "metadata nested": {"metadata": {"sex": ["female"]}},
    "metadata no mapping": {"metadata": "Zzcanary"},
    "warning of its own": {"warnings": ["Zzcanary was here"]},
    "warnings no list": {"warnings": 7},
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_facts_off_the_lists_are_refused(case: str, tmp_path: Path) -> None:
    write_study(tmp_path, STUDY)
    report = json.loads((tmp_path / REPORT).read_text())
    report["study"].update(BAD_FIELDS[case])
    (tmp_path / REPORT).write_text(json.dumps(report))
    with pytest.raises(CorruptImageError, match="not an image") as caught:
        read_result(tmp_path, "", LIMITS)
    assert "canary" not in str(caught.value).lower()


BAD_ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "doubles": np.zeros((4, 5, 3)),
    "objects": np.array([[None]], object),
    "one axis": np.zeros(9, np.float32),
    "four axes": np.zeros((2, 2, 2, 3), np.float32),
    "empty": np.zeros((0, 5, 3), np.float32),
    "not finite": np.full((4, 5, 3), np.nan, np.float32),
    "above one": np.full((4, 5, 3), 1.5, np.float32),
    "below zero": np.full((4, 5, 3), -0.5, np.float32),
    "too large": np.zeros((100, 50, 3), np.float32),
    "no colour": np.zeros((4, 5), np.float32),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_of_another_kind_are_refused(case: str, tmp_path: Path) -> None:
    write_study(tmp_path, STUDY)
    np.save(tmp_path / PIXELS, BAD_ARRAYS[case], allow_pickle=True)
    with pytest.raises(CorruptImageError, match="not an image"):
        read_result(tmp_path, "", LIMITS)


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was opened",))


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    write_study(tmp_path, STUDY)
    (tmp_path / PIXELS).write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(CorruptImageError, match="not an image"):
        read_result(tmp_path, "", LIMITS)


def test_links_are_not_followed(tmp_path: Path) -> None:
    for name in (PIXELS, REPORT):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        write_study(folder, STUDY)
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
        with pytest.raises(CorruptImageError, match="not an image"):
            read_result(folder, "", LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "no json",
        "[" * 5000,
        '{"error": {"kind": "SystemExit", "message": "a", "remedy": ""}}',
        '{"error": {"kind": "CorruptImageError", "message": "a\\u202eb", "remedy": ""}}',
        '{"error": {"kind": "CorruptImageError", "message": 5, "remedy": ""}}',
        '{"error": {"kind": "CorruptImageError", "message": "' + "a" * 500 + '", "remedy": ""}}',
        '{"study": {' + " " * 70_000 + "}}",
    ],
    ids=range(10),
)
def test_reports_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / REPORT).write_text(text)
    with pytest.raises(CorruptImageError, match="not an image"):
        read_result(tmp_path, "", LIMITS)
