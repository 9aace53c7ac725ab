"""Many files in few children: every file has its answer, and one that kills its child costs only itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import whycad.imaging.reader as reader
from whycad.errors import CorruptImageError, DecodeLimitError, UnsupportedFormatError
from whycad.imaging.child import Command
from whycad.imaging.many import read_many
from whycad.testing.dicom import CANARY, Writing, make_ct_slice, make_photo_dicom
from whycad.types import Study

PHOTO = np.random.default_rng(1).integers(0, 255, (6, 7, 3), dtype=np.uint8)
# The worker, but one that dies of a file that holds the word.
DYING = """
import os, sys, whycad.imaging.worker as worker
sound = worker._file_bytes
worker._file_bytes = lambda path, limits: os.abort() if b"POISON" in path.read_bytes() else sound(path, limits)
sys.exit(worker.main())
"""


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_every_file_has_its_study_or_its_error_in_order(tmp_path: Path) -> None:
    sound = put(tmp_path, "a.dcm", make_photo_dicom(PHOTO))
    text = put(tmp_path, "b.dcm", b"no image at all, but a line of text that goes on for a while")
    found = list(read_many([sound, text, tmp_path / "absent.png", sound]))
    assert isinstance(found[0], Study)
    assert found[0].pixels.shape == (6, 7, 3)
    assert isinstance(found[1], UnsupportedFormatError)
    assert isinstance(found[2], CorruptImageError)
    assert isinstance(found[3], Study)
    assert found[3].sha256 == found[0].sha256 != ""


def test_a_file_that_kills_its_child_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reader, "worker_command", lambda request, folder: Command((sys.executable, "-P", "-c", DYING), request, folder)
    )
    sound = put(tmp_path, "a.dcm", make_photo_dicom(PHOTO))
    poison = put(tmp_path, "b.dcm", b"POISON")
    found = list(read_many([sound, poison, sound]))
    assert [type(item) for item in found] == [Study, DecodeLimitError, Study]


def test_headers_hold_the_acquisition_and_nothing_of_the_patient(tmp_path: Path) -> None:
    data = make_ct_slice(
        np.zeros((8, 9), np.int16),
        Writing(CANARY),
        ConvolutionKernel="Zzcanary",
        Manufacturer="SIEMENS Zzcanary",
        SliceThickness="2.5",
    )
    (found,) = read_many([put(tmp_path, "a.dcm", data)], headers_only=True)
    assert isinstance(found, Study)
    assert found.pixels.shape == (1, 1)
    assert found.metadata["rows"] == 8
    assert found.metadata["manufacturer"] == "Siemens"
    assert found.metadata["photometric"] == "MONOCHROME2"
    assert found.metadata["slice_thickness_mm"] == 2.5
    assert found.subject_key
    assert len(str(found.metadata["kernel_key"])) == 32
    said = f"{found.metadata} {found.subject_key} {found.warnings} {found.view} {found.modality}".lower()
    assert not any(secret.lower() in said for secret in CANARY.secrets)
