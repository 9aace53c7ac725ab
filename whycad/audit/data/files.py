"""Rows whose images are files: tables, folders of images, and trees of DICOM files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import AuditCases
from whycad.audit.data.dataset import DatasetKind
from whycad.errors import DatasetError, ImageError, UnreadableError, WhyCadError, may_pass
from whycad.types import Region, Study

if TYPE_CHECKING:
    from whycad.imaging.sniff import FileKind

# More than the slices of any series that is read; a folder with more is not one image.
MOST_LISTED = 2000


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

    @cached_property
    def regions_sha256(self) -> str:
        """Hash of all that ``case`` takes from a table beside the images; empty where that is nothing."""
        regions = [row.region for row in self.rows]
        return hashlib.sha256(repr(regions).encode()).hexdigest() if any(regions) else ""

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
        """Return the row's outline, on the picture's grid; None where there is none that fits.

        Raises
        ------
        WhyCadError
            When it cannot be read just now.
        """
        from whycad.imaging import read_study

        file = self.rows[row].mask
        if file is None:
            return None
        try:
            drawn, shape = study_picture(read_study(file)), self.picture(row).shape[:2]
        except WhyCadError as error:
            if may_pass(error):
                raise
            return None
        flat = drawn.max(axis=-1) if drawn.ndim == 3 else drawn
        return np.asarray(flat > 127) if flat.shape == shape else None

    def mask_content(self, row: int) -> str:
        """Return the hash of the file that outlines a row's finding; empty where there is none."""
        from whycad.imaging.many import file_sha256

        file = self.rows[row].mask
        return "" if file is None else file_sha256(file)

    def file_bytes(self, row: int) -> int | None:
        """Return the size of the row's file; None for a series."""
        image = self.rows[row].image
        return None if image.is_dir() else image.stat().st_size


def study_picture(study: Study) -> NDArray[np.uint8]:
    """Return a study as it is shown; a volume's middle slice."""
    from whycad.imaging.display import to_uint8

    if not study.is_colour and study.pixels.ndim == 3:
        study = replace(study, pixels=study.pixels[len(study.pixels) // 2], spacing_mm=None)
    return to_uint8(study)


def without_own_folder(data: FileData, folder: Path) -> FileData:
    """Return a table's rows; one that names the folder of the table itself stands for no image."""
    own = folder.resolve()
    why = "the row's image is the table's own folder"
    rows = tuple(replace(row, file=None, problem=why) if row.file == own else row for row in data.rows)
    return replace(data, rows=rows)


def read_series(folder: Path) -> Study:
    """Read the one image or volume that a folder holds.

    Raises
    ------
    WhyCadError
        When it is none, or there are several.
    """
    from whycad.imaging.studies import read_one

    series_files(folder)
    return read_one(folder)


def series_files(folder: Path) -> list[Path]:
    """List the files below a folder that stands for one image; of each the first bytes are read.

    Raises
    ------
    DatasetError
        When there are too many, or several of them are pictures.
    UnreadableError
        When the folder cannot be listed.
    """
    from whycad.imaging.sniff import FileKind
    from whycad.imaging.studies import several

    try:
        files = _files_below(folder)
        kinds = [_kind(file) for file in files]
    except OSError as error:
        raise UnreadableError(f"the folder cannot be read ({type(error).__name__})") from error
    n_pictures = sum(kind in (FileKind.PNG, FileKind.JPEG) for kind in kinds)
    # How many images DICOM files are takes more than their first bytes.
    if n_pictures > 1 and FileKind.DICOM not in kinds:
        raise several(n_pictures)
    return files


def _files_below(folder: Path) -> list[Path]:
    """List the plain files, links left out, without walking through a tree of any size."""
    files: list[Path] = []
    waiting, seen = [folder], 0
    while waiting:
        # What is below a folder that may not be read is left out, as it is when the images are read.
        with suppress(PermissionError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_LISTED:
                    raise DatasetError(
                        f"a folder that stands for one image holds more than {MOST_LISTED:,} files",
                        remedy="name one series per row",
                    )
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry))
                elif entry.is_file(follow_symlinks=False):
                    files.append(Path(entry))
    return files


def _kind(file: Path) -> FileKind | None:
    from whycad.imaging.sniff import HEAD_BYTES, sniff

    try:
        with file.open("rb") as stream:
            return sniff(stream.read(HEAD_BYTES))
    except (ImageError, PermissionError):
        return None


def _folder_sha256(folder: Path) -> str:
    from whycad.imaging.many import file_sha256

    return hashlib.sha256("".join(sorted(map(file_sha256, series_files(folder)))).encode()).hexdigest()
