"""Rows whose images are files: tables, folders of images, and trees of DICOM files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import AuditCases
from whycad.audit.data.dataset import DatasetKind
from whycad.errors import DatasetError, WhyCadError
from whycad.types import Region, Study


@dataclass(frozen=True)
class FileRow:
    """Where one row's image lies.

    Attributes
    ----------
    file : Path or None
        A file, or a folder that holds one series; None where ``problem`` says why there is none.
    problem : str
        What is wrong with the row, free of what its cells say.
    mask : Path or None
    region : Region or None
    """

    file: Path | None
    problem: str = ""
    mask: Path | None = None
    region: Region | None = None

    @property
    def image(self) -> Path:
        """The image's file.

        Raises
        ------
        DatasetError
            When the row has none.
        """
        if self.file is None:
            raise DatasetError(self.problem)
        return self.file


@dataclass(frozen=True, eq=False)
class FileData:
    """A data set whose images are files, each read in a child process that can be killed."""

    kind: DatasetKind
    sha256: str
    cases: AuditCases
    rows: tuple[FileRow, ...] = field(repr=False)

    def content(self, row: int) -> str:
        """Return the hash of the row's file, or of the sorted hashes of its series' files."""
        from whycad.imaging.many import file_sha256

        image = self.rows[row].image
        return _folder_sha256(image) if image.is_dir() else file_sha256(image)

    def case(self, row: int) -> tuple[Study, Region | None]:
        """Read one row."""
        return self._study(row), self.rows[row].region

    def _study(self, row: int) -> Study:
        from whycad.imaging import read_study

        image = self.rows[row].image
        return read_series(image) if image.is_dir() else read_study(image)

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Read one row as a picture."""
        return study_picture(self._study(row))

    def pictures(self, rows: Sequence[int]) -> Iterator[NDArray[np.uint8] | WhyCadError]:
        """Read rows as pictures, several files per child process."""
        from whycad.imaging.many import read_many

        plain = [row for row in rows if (file := self.rows[row].file) is not None and not file.is_dir()]
        found = read_many([self.rows[row].image for row in plain])
        several = set(plain)
        for row in rows:
            try:
                study = next(found) if row in several else self._study(row)
                yield study if isinstance(study, WhyCadError) else study_picture(study)
            except WhyCadError as error:
                yield error

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Return the row's outline, on the picture's grid; None where there is none that fits."""
        from whycad.imaging import read_study

        file = self.rows[row].mask
        if file is None:
            return None
        try:
            drawn, shape = study_picture(read_study(file)), self.picture(row).shape[:2]
        except WhyCadError:
            return None
        flat = drawn.max(axis=-1) if drawn.ndim == 3 else drawn
        return np.asarray(flat > 127) if flat.shape == shape else None

    def file_bytes(self, row: int) -> int | None:
        """Return the size of the row's file; None for a series."""
        image = self.rows[row].image
        return None if image.is_dir() else image.stat().st_size


def study_picture(study: Study) -> NDArray[np.uint8]:
    """Return a study as it is shown; a volume's middle slice."""
    from dataclasses import replace

    from whycad.imaging.display import to_uint8

    if not study.is_colour and study.pixels.ndim == 3:
        study = replace(study, pixels=study.pixels[len(study.pixels) // 2], spacing_mm=None)
    return to_uint8(study)


def read_series(folder: Path) -> Study:
    """Read the one image or volume that a folder holds.

    Raises
    ------
    WhyCadError
        When it is none, or there are several.
    """
    from whycad.imaging import read_studies

    items = read_studies([folder])
    studies = [item.study for item in items if item.study is not None]
    if len(studies) == 1:
        return studies[0]
    if not studies and items[0].error is not None:
        raise items[0].error
    raise DatasetError(f"a folder that stands for one image holds {len(studies)}", remedy="name one series per row")


def _folder_sha256(folder: Path) -> str:
    import hashlib

    from whycad.imaging.many import file_sha256

    hashes = sorted(file_sha256(file) for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return hashlib.sha256("".join(hashes).encode()).hexdigest()
