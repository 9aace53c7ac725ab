"""A data set that can be opened again in any process: what audits read images through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import AuditCases
from whycad.errors import UnreadableError, WhyCadError
from whycad.types import Region, Study

DatasetKind = Literal["pack", "table", "folder", "dicom-tree", "samples"]


class AuditDataset(Protocol):
    """Rows with images. Images may be asked for from several threads."""

    @property
    def cases(self) -> AuditCases:
        """All rows."""

    @property
    def kind(self) -> DatasetKind:
        """What it is."""

    @property
    def sha256(self) -> str:
        """Hash of the pack or table, or of the list of a folder's files and their sizes."""

    def content(self, row: int) -> str:
        """Return the hash of the row's image file (or array); raises a ``WhyCadError`` where it cannot be read."""

    def case(self, row: int) -> tuple[Study, Region | None]:
        """Read one row for a task; raises a ``WhyCadError`` where it is broken, or where no task was given."""

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Read one row as a picture ``(H, W, 3)`` or ``(H, W)``, needing no task; a volume's middle slice.

        Raises
        ------
        WhyCadError
            When it is broken.
        """

    def pictures(self, rows: Sequence[int]) -> Iterator[NDArray[np.uint8] | WhyCadError]:
        """Read rows as pictures, one at a time; a row that fails has its error in its place."""

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Return what the data set outlines in the row's image, on the picture's grid, or None.

        Raises
        ------
        WhyCadError
            When it cannot be read just now.
        """

    def file_bytes(self, row: int) -> int | None:
        """Return the size of the row's image file; None where it is no file of its own."""


def pictures_of(dataset: AuditDataset, rows: Sequence[int]) -> Iterator[NDArray[np.uint8] | WhyCadError]:
    """Read rows one after the other by ``AuditDataset.picture``."""
    for row in rows:
        try:
            yield dataset.picture(row)
        except WhyCadError as error:
            yield error
        except OSError as error:
            yield UnreadableError(f"the file cannot be read ({type(error).__name__})")


@dataclass(frozen=True)
class DatasetRef:
    """How to open a data set again, in this or in another process.

    Attributes
    ----------
    path : Path
    task : str
        Plugin id whose vocabulary and reading is used; empty for a data set alone.
    """

    path: Path
    task: str = ""

    def open(self) -> AuditDataset:
        """Open it.

        Raises
        ------
        DatasetError
            When there is nothing there, or it is no data set.
        """
        stamp = self.path.stat().st_mtime_ns if self.path.is_file() else 0
        return _opened(self, stamp)


@lru_cache(maxsize=2)
def _opened(ref: DatasetRef, _stamp: int) -> AuditDataset:
    from whycad.audit.data.opening import open_dataset

    return open_dataset(ref)
