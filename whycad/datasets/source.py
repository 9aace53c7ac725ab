"""One interface to whatever holds images: packs, folders, single files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from whycad.datasets.folder import FolderRows, read_folder
from whycad.datasets.labels import label_code
from whycad.datasets.pack import Pack, read_pack
from whycad.datasets.pack_study import row_metadata, row_sha256, row_study
from whycad.errors import DatasetError
from whycad.manifest import Manifest
from whycad.registry import misfit
from whycad.types import MetadataValue, Region, Study

PACK_SUFFIX = ".npz"
Case = tuple[Study, Region | None]
ReadRow = Callable[[Pack, int], Case]


@dataclass(frozen=True)
class RowInfo:
    """What is known of a row without looking at its image.

    Attributes
    ----------
    id : str
        The pack's own id, else the SHA-256 of the image's bytes.
    group : str
        Patient or lesion; ``row-<n>`` where unknown.
    label : str
        The task's code; empty where unknown.
    metadata : mapping
        The manifest's audit fields, where known.
    """

    id: str
    group: str
    label: str
    metadata: dict[str, MetadataValue]


class StudySource(Protocol):
    """Rows that can become studies, one at a time and in any order, from several threads."""

    def rows(self, split: str | None = None) -> Sequence[int]:
        """Return the row numbers of a split, or all."""

    def info(self, row: int) -> RowInfo:
        """Return what is known of a row; never fails on a broken image."""

    def study(self, row: int) -> Study:
        """Read one row's image; raises a ``WhyCadError`` where it is broken."""

    def case(self, row: int) -> Case:
        """Read one row's image and what is pointed at in it; raises a ``WhyCadError`` where it is broken."""

    def cell(self, name: str, row: int) -> str:
        """Return one cell of a column as text; raises a ``DatasetError`` where there is no such column."""


@dataclass(frozen=True)
class PackRows:
    """The rows of a pack, in a task's vocabulary.

    Attributes
    ----------
    pack : Pack
    manifest : Manifest
    read_row : callable or None
        The task's own way to read a row; the plain one where None.
    """

    pack: Pack
    manifest: Manifest
    read_row: ReadRow | None = None

    def rows(self, split: str | None = None) -> Sequence[int]:
        """Return the row numbers of a split, or all."""
        return [int(row) for row in self.pack.rows(split)]

    def info(self, row: int) -> RowInfo:
        """Return id, group, label and metadata of one row."""
        return RowInfo(
            id=self.pack.image_id(row) or self._hash(row),
            group=self.pack.group(row),
            label=label_code(self.pack.label_name(row), self.manifest),
            metadata=row_metadata(self.pack, row, self.manifest.audit.metadata_fields),
        )

    def _hash(self, row: int) -> str:
        try:
            return row_sha256(self.pack, row)
        except DatasetError:
            return ""

    def study(self, row: int) -> Study:
        """Decode one row."""
        return self.case(row)[0]

    def case(self, row: int) -> Case:
        """Decode one row, the task's own way where it has one.

        A row that the task's way cannot read, because it is of another kind than the task's images,
        comes as the plain picture: declining it is the answer, not an error.
        """
        if self.read_row is None:
            return row_study(self.pack, row, self.manifest), None
        try:
            return self.read_row(self.pack, row)
        except DatasetError:
            plain = row_study(self.pack, row, self.manifest)
            if misfit(self.manifest, plain):
                return plain, None
            raise

    def cell(self, name: str, row: int) -> str:
        """Return one cell of a column as text.

        Raises
        ------
        DatasetError
            When the pack has no such plain column.
        """
        column = self.pack.column(name)
        if column is None or column.ndim != 1:
            raise DatasetError(f"pack {self.pack.path.name!r} has no column {name[:64]!r}")
        return self.pack.text(name, row)


@dataclass(frozen=True)
class FileRows:
    """The files of a folder, in a task's vocabulary."""

    files: FolderRows
    manifest: Manifest

    def rows(self, split: str | None = None) -> Sequence[int]:
        """Return the row numbers of a split (a folder of that name), or all."""
        return self.files.rows(split)

    def info(self, row: int) -> RowInfo:
        """Return the hash as id, and the label where a parent folder is named after one."""
        names = self.files.parent_names(row)
        label = next((code for name in names if (code := label_code(name, self.manifest))), "")
        return RowInfo(id=self.files.sha256(row), group=f"row-{row}", label=label, metadata={})

    def study(self, row: int) -> Study:
        """Read one file in a limited child process."""
        return self.files.study(row)

    def case(self, row: int) -> Case:
        """Read one file; nothing is pointed at."""
        return self.files.study(row), None

    def cell(self, name: str, row: int) -> str:
        """Raise: a folder has no columns.

        Raises
        ------
        DatasetError
        """
        raise DatasetError(f"a folder of images has no column {name[:64]!r}", remedy="only packs have columns")


def open_source(path: Path, manifest: Manifest, *, read_row: ReadRow | None = None) -> StudySource:
    """Open a pack, a folder of images, or a single image.

    Parameters
    ----------
    path : Path
    manifest : Manifest
    read_row : callable or None
        The task's own way to read a pack's row, such as ``Plugin.row_reader``.

    Raises
    ------
    DatasetError
        When there is nothing there, or nothing in it.
    """
    if path.is_dir() or (path.is_file() and path.suffix.lower() != PACK_SUFFIX):
        return FileRows(read_folder(path), manifest)
    if not path.exists():
        raise DatasetError(f"there is no file or folder {path.name!r}", remedy="check the path after --dataset")
    return PackRows(read_pack(path), manifest, read_row)
