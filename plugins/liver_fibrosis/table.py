"""Tables of a user's own images: ``image, patient, stage[, slice, site, scanner, ...]`` as CSV or Parquet.

The images are the researcher's own: NIfTI is read in this process, DICOM and PNG as the app reads them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from plugins.liver_fibrosis.effects import STAGES
from whycad.errors import DatasetError, WhyCadError
from whycad.imaging import read_studies
from whycad.types import FloatArray, Study

REQUIRED = ("image", "patient", "stage")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
MAX_ROWS = 1_000_000


@dataclass(frozen=True, eq=False)
class StageTable:
    """Rows of a table, checked.

    Attributes
    ----------
    name : str
        Of the file.
    folder : Path
        Where relative image paths start.
    images : tuple of str
        As written in the table.
    slices : ndarray of int64 (n,)
        Slice of a volume, 0 at its lower (caudal) end; -1 for the middle one.
    patients : ndarray of str (n,)
    stages : ndarray of int64 (n,)
        0..4.
    """

    name: str
    folder: Path
    images: tuple[str, ...]
    slices: NDArray[np.int64]
    patients: NDArray[np.str_]
    stages: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def path(self, row: int) -> Path:
        """Return the image file or folder of a row."""
        return self.folder / self.images[row]


def read_table(path: Path) -> StageTable:
    """Read and check a table.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.parquet``; ``stage`` is F0..F4 or 0..4, further columns are left alone.

    Raises
    ------
    DatasetError
        When the table cannot be read, lacks a column or holds a cell that is none of these.
    """
    frame = _read_frame(path)
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise DatasetError(f"table {path.name!r} lacks column {missing[0]!r}", remedy=f"it needs {', '.join(REQUIRED)}")
    if not 0 < len(frame) <= MAX_ROWS:
        raise DatasetError(f"table {path.name!r} has {len(frame)} rows", remedy=f"1 to {MAX_ROWS} are read")
    text = {name: frame[name].astype(str).str.strip() for name in REQUIRED}
    empty = [name for name in REQUIRED if (frame[name].isna() | (text[name] == "")).any()]
    if empty:
        raise DatasetError(f"table {path.name!r} has an empty cell in column {empty[0]!r}")
    return StageTable(
        name=path.name,
        folder=path.parent,
        images=tuple(text["image"]),
        slices=_slices(frame, path.name),
        patients=text["patient"].to_numpy(dtype=np.str_),
        stages=np.array([_stage(value, row, path.name) for row, value in enumerate(text["stage"])], np.int64),
    )


def _read_frame(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DatasetError(
            f"table {path.name!r} cannot be read ({type(error).__name__})", remedy="write it as CSV or Parquet"
        ) from error


def _stage(text: str, row: int, table: str) -> int:
    plain = text.upper().removeprefix("F").removesuffix(".0")
    if plain in {"0", "1", "2", "3", "4"}:
        return int(plain)
    raise DatasetError(
        f"table {table!r}, row {row + 1}: the stage is none of {', '.join(STAGES)}", remedy="write F0 to F4, or 0 to 4"
    )


def _slices(frame: pd.DataFrame, table: str) -> NDArray[np.int64]:
    if "slice" not in frame.columns:
        return np.full(len(frame), -1, np.int64)
    numbers = pd.to_numeric(frame["slice"], errors="coerce").fillna(-1).to_numpy(dtype=np.float64)
    if (numbers != np.round(numbers)).any() or (numbers < -1).any():
        raise DatasetError(f"table {table!r}: column 'slice' holds something other than whole numbers from 0")
    return np.asarray(numbers, np.int64)


def read_images(table: StageTable) -> list[Study]:
    """Read the slice of every row, in order.

    Raises
    ------
    DatasetError
        At the first image that cannot be read; the message names its row, not the patient.
    """
    plain = [row for row in range(len(table)) if not _is_nifti(table.images[row])]
    opened = _open_plain(table, plain)
    return [
        _one_slice(opened[row] if row in opened else _read_nifti(table, row), table, row) for row in range(len(table))
    ]


def _is_nifti(name: str) -> bool:
    return name.lower().endswith(NIFTI_SUFFIXES)


def _open_plain(table: StageTable, rows: list[int]) -> dict[int, Study]:
    """Open files and folders together; what was joined to one series with another row is opened alone."""
    found: dict[int, Study] = {}
    for item in read_studies([table.path(row) for row in rows]) if rows else ():
        if item.study is not None and len(item.sources) == 1:
            found.setdefault(rows[item.sources[0]], item.study)
    for row in rows:
        if row not in found:
            found[row] = _open_alone(table, row)
    return found


def _open_alone(table: StageTable, row: int) -> Study:
    problem = "holds no image"
    for item in read_studies([table.path(row)]):
        if item.study is not None:
            return item.study
        problem = "cannot be read" if item.error is None else f"cannot be read: {item.error.message}"
    raise DatasetError(f"row {row + 1} of the table: the image {problem}")


def _read_nifti(table: StageTable, row: int) -> Study:
    """Read a NIfTI file as axial slices as the app shows them: right on the left, back below, feet first."""
    try:
        image = nibabel.as_closest_canonical(nibabel.load(table.path(row)))
        data = np.asarray(image.dataobj, np.float32)
        spacing = tuple(float(step) for step in image.header.get_zooms()[:3])
    except (OSError, ValueError, EOFError, ImageFileError, HeaderDataError) as error:
        raise DatasetError(
            f"row {row + 1} of the table: the NIfTI file cannot be read ({type(error).__name__})"
        ) from error
    if data.ndim not in (2, 3) or not np.isfinite(data).all():
        raise DatasetError(f"row {row + 1} of the table: the NIfTI file is no single volume of finite numbers")
    volume = data.reshape(*data.shape, *(1,) * (3 - data.ndim))[::-1, ::-1].transpose(2, 1, 0)
    pixels: FloatArray = np.ascontiguousarray(volume)
    return Study(
        pixels=pixels,
        modality="MR",
        sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
        unit="stored",
        spacing_mm=(spacing[2] if len(spacing) > 2 else 1.0, spacing[1], spacing[0]),
    )


def _one_slice(study: Study, table: StageTable, row: int) -> Study:
    """Return the row's slice of a volume, or the image itself."""
    if study.is_colour:
        raise DatasetError(f"row {row + 1} of the table: the image is in colour, and this task reads grey ones")
    if study.pixels.ndim == 2:
        return study
    number = int(table.slices[row]) if table.slices[row] >= 0 else len(study.pixels) // 2
    if number >= len(study.pixels):
        raise DatasetError(f"row {row + 1} of the table: the volume has {len(study.pixels)} slices, not {number + 1}")
    try:
        return slice_of(study, number)
    except WhyCadError as error:
        raise DatasetError(f"row {row + 1} of the table: {error.message}") from error


def slice_of(study: Study, number: int) -> Study:
    """Return one slice of a volume as a study of its own."""
    pixels = np.ascontiguousarray(study.pixels[number])
    return Study(
        pixels=pixels,
        modality=study.modality,
        sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
        unit=study.unit,
        spacing_mm=None if study.spacing_mm is None else tuple(study.spacing_mm[-2:]),
        orientation=study.orientation,
        metadata=dict(study.metadata),
        subject_key=study.subject_key,
    )
