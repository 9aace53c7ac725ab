"""NIfTI files of one's own training data to Studies.

Uploads are never read this way: the library runs in this process, without limits of memory or time.

References
----------
NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1; DICOM PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whycad.errors import CorruptImageError, ImageTooLargeError, UnsupportedFormatError
from whycad.imaging.limits import Limits
from whycad.imaging.vocabulary import MODALITIES
from whycad.types import FloatArray, Study

MAX_SHEAR = 1e-3


def read_nifti(path: Path, *, modality: str = "MR", limits: Limits | None = None) -> Study:
    """Read a NIfTI image or volume (``.nii``, ``.nii.gz``) of training data.

    Voxels are turned to the order of a DICOM volume: slices to the head, rows to the back, columns to the
    left, with the scale factors of the file applied. Text of the header is not kept.

    Parameters
    ----------
    path : Path
    modality : str
        DICOM code, since NIfTI knows none; values of ``CT`` count as Hounsfield units.
    limits : Limits or None
        Only ``max_pixels`` is used.

    Returns
    -------
    Study
        ``(Z, H, W)``, or ``(H, W)`` of a single slice.

    Raises
    ------
    UnsupportedFormatError
        If it is no NIfTI file, or not one grey image or volume.
    CorruptImageError
        If it cannot be read, is sheared, or its values are not finite.
    ImageTooLargeError
        If its header declares more than the limit.
    """
    if modality not in MODALITIES:
        raise UnsupportedFormatError("nifti: the modality is not a DICOM code", remedy="use MR, CT, US or another code")
    volume, affine, sha256 = _load(path, (limits or Limits()).max_pixels)
    volume, affine = _upright(volume, affine)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or spacing.min() <= 0.0 or _shear(affine[:3, :3] / spacing) > MAX_SHEAR:
        raise CorruptImageError("The NIfTI file does not say where its voxels lie, or they are sheared")
    directions = affine[:3, :3] / spacing
    pixels = np.ascontiguousarray(volume.transpose(2, 1, 0))
    if not np.isfinite(pixels).all():
        raise CorruptImageError("The values of the NIfTI file are not all finite numbers")
    single = len(pixels) == 1
    in_order = tuple(float(v) for v in spacing[::-1])
    place = affine[:3, 3]
    return Study(
        pixels=pixels[0] if single else pixels,
        modality=modality,
        sha256=sha256,
        unit="HU" if modality == "CT" else "stored",
        spacing_mm=in_order[1:] if single else in_order,
        orientation=tuple(float(v) for v in (*directions[:, 0], *directions[:, 1])),
        position_mm=(float(place[0]), float(place[1]), float(place[2])),
    )


def _load(path: Path, max_pixels: int) -> tuple[FloatArray, NDArray[np.float64], str]:
    """Return voxels (i, j, k), the affine to the patient's left, back and head, and the hash of the file."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        image: Any = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):
            raise UnsupportedFormatError("The file is not a NIfTI image or volume")
        shape = _shape(image.shape, max_pixels)
        if image.header.get_data_dtype().names is not None or image.header.get_data_dtype().kind not in "iuf":
            raise UnsupportedFormatError("The NIfTI file holds colours or complex numbers, which are not read")
        volume = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
        # NIfTI points to the right and the front where DICOM points to the left and the back.
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(image.affine, dtype=np.float64)
        with path.open("rb") as file:
            return volume, affine, hashlib.file_digest(file, "sha256").hexdigest()
    except ImageFileError:
        raise UnsupportedFormatError("The file is not a NIfTI image or volume") from None
    except (OSError, EOFError, ValueError, zlib.error):
        raise CorruptImageError("The NIfTI file cannot be read", remedy="check that the copy was complete") from None


def _shape(shape: tuple[int, ...], max_pixels: int) -> tuple[int, int, int]:
    if not 2 <= len(shape) <= 5 or any(n != 1 for n in shape[3:]) or min(shape) < 1:
        raise UnsupportedFormatError("The NIfTI file holds more than one volume", remedy="save one volume alone")
    width, height, depth = (*shape[:3], 1)[:3]
    if width * height * depth > max_pixels:
        raise ImageTooLargeError(f"The NIfTI file declares more than the limit of {max_pixels:,} values")
    return width, height, depth


def _upright(volume: FloatArray, affine: NDArray[np.float64]) -> tuple[FloatArray, NDArray[np.float64]]:
    """Permute and flip axes so that i runs to the left, j to the back and k to the head, as nearly as can be."""
    from scipy.optimize import linear_sum_assignment

    steps = affine[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    if not np.isfinite(steps).all() or not lengths.all():
        return volume, affine
    _, order = linear_sum_assignment(-np.abs(steps / lengths))
    signs = np.sign(steps[np.arange(3), order])
    turned = volume.transpose(order)
    result = affine.copy()
    result[:3, :3] = steps[:, order]
    for axis in map(int, np.flatnonzero(signs < 0)):
        result[:3, 3] += result[:3, axis] * (turned.shape[axis] - 1)
        result[:3, axis] *= -1
        turned = np.flip(turned, axis)
    return turned, result


def _shear(directions: NDArray[np.float64]) -> float:
    return float(np.abs(directions.T @ directions - np.eye(3)).max())
