"""NIfTI files of training data, against the library's own idea of where voxels lie."""

from __future__ import annotations

import gzip
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest

from whycad.errors import CorruptImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging.geometry import from_patient_mm, to_patient_mm
from whycad.imaging.limits import Limits
from whycad.imaging.nifti import read_nifti

VOXELS = np.random.default_rng(0).integers(-900, 900, (4, 5, 6)).astype(np.int16)
OBLIQUE = np.array([[0.8, 0.1, -0.2], [-0.1, 0.9, 0.3], [0.2, -0.3, 1.1]])


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def axes(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    """An affine whose axes are permuted, flipped, slightly oblique and of three lengths."""
    turn, _ = np.linalg.qr(OBLIQUE)
    affine = np.eye(4)
    affine[:3, :3] = (turn * np.sign(np.diag(turn)))[:, order] * np.array(signs) * np.array([0.7, 0.9, 2.5])
    affine[:3, 3] = [-30, 12, 55]
    return affine


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3))[::3], ids=str)
def test_every_voxel_keeps_its_place_and_value(order: tuple[int, ...], signs: tuple[int, ...], tmp_path: Path) -> None:
    affine = axes(order, signs)
    study = read_nifti(save(tmp_path / "a.nii", VOXELS, affine))
    where = np.array([[0, 0, 0], [3, 0, 0], [1, 4, 2], [3, 4, 5]])
    right_front_head = where @ affine[:3, :3].T + affine[:3, 3]
    index = from_patient_mm(study, right_front_head * [-1, -1, 1])
    np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
    found = study.pixels[tuple(np.rint(index).astype(int).T)]
    assert found.tolist() == VOXELS[tuple(where.T)].tolist()
    # Slices to the head, rows to the back, columns to the left.
    ends = to_patient_mm(study, np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]))
    steps = ends[1:] - ends[0]
    assert [int(np.abs(v).argmax()) for v in steps] == [2, 1, 0]
    assert all(steps[k, 2 - k] > 0 for k in range(3))


def test_a_packed_file_with_scale_factors_is_read(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOXELS, np.diag([-1, -1, 1, 1]))
    image.header["descrip"] = b"Zzcanary^Wilhelmina"
    image.header.set_slope_inter(2.0, -10.0)
    nibabel.save(image, tmp_path / "a.nii.gz")
    stored = nibabel.load(tmp_path / "a.nii.gz").get_fdata()
    study = read_nifti(tmp_path / "a.nii.gz", modality="CT")
    assert np.array_equal(study.pixels, stored.transpose(2, 1, 0).astype(np.float32))
    assert (study.unit, study.modality, study.spacing_mm) == ("HU", "CT", (1.0, 1.0, 1.0))
    assert len(study.sha256) == 64
    assert "canary" not in repr({k: v for k, v in vars(study).items() if k != "pixels"}).lower()


def test_one_slice_is_an_image(tmp_path: Path) -> None:
    study = read_nifti(save(tmp_path / "a.nii", VOXELS[:, :, :1], np.diag([-0.5, -0.7, 3, 1])))
    assert np.array_equal(study.pixels, VOXELS[:, :, 0].T.astype(np.float32))
    assert study.spacing_mm == pytest.approx((0.7, 0.5))


def test_what_is_not_one_grey_volume_is_refused(tmp_path: Path) -> None:
    for name, voxels in (
        ("four", np.zeros((2, 2, 2, 3), np.float32)),
        ("complex", np.zeros((2, 2, 2), np.complex64)),
        ("colour", np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])),
    ):
        with pytest.raises(UnsupportedFormatError):
            read_nifti(save(tmp_path / f"{name}.nii", voxels))
    (tmp_path / "text.nii").write_text("Zzcanary")
    with pytest.raises(UnsupportedFormatError):
        read_nifti(tmp_path / "text.nii")
    with pytest.raises(UnsupportedFormatError, match="modality"):
        read_nifti(tmp_path / "text.nii", modality="ZZCANARY")


def test_broken_files_are_typed_errors(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.nii", VOXELS).read_bytes()
    (tmp_path / "cut.nii").write_bytes(whole[:-20])
    large = save(tmp_path / "b.nii", np.random.default_rng(1).integers(0, 9999, (30, 30, 30)).astype(np.int16))
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(large.read_bytes())[:-2000])
    save(tmp_path / "nan.nii", np.full((2, 2, 2), np.nan, np.float32))
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    save(tmp_path / "sheared.nii", VOXELS, sheared)
    for name in ("cut.nii", "cut.nii.gz", "nan.nii", "sheared.nii", "absent.nii"):
        with pytest.raises(CorruptImageError):
            read_nifti(tmp_path / name)
    with pytest.raises(ImageTooLargeError):
        read_nifti(tmp_path / "a.nii", limits=Limits(max_pixels=100))
