"""Folders of images: every file is one row, known by its hash and never by its name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from whycad.errors import DatasetError
from whycad.types import Study

# What lies beside images in most collections; anything else is a row, if only to say why it is none.
COMPANION_SUFFIXES = frozenset(
    {".csv", ".tsv", ".txt", ".md", ".json", ".xml", ".html", ".pdf", ".xlsx", ".xls", ".yaml", ".yml", ".toml"}
    | {".log", ".ini", ".db", ".py", ".zip", ".gz", ".tar", ".npz", ".npy"}
)
COMPANION_NAMES = frozenset({"dicomdir", "license", "licence", "readme"})
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class FolderRows:
    """The images under a folder, in the order of their paths.

    Attributes
    ----------
    root : Path
    files : tuple of Path
    """

    root: Path
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, split: str | None = None) -> list[int]:
        """Return the row numbers below a folder named ``split``, or all.

        Raises
        ------
        DatasetError
            When no folder has that name.
        """
        if split is None:
            return list(range(len(self)))
        found = [row for row in range(len(self)) if split in self.parent_names(row)]
        if not found:
            raise DatasetError(
                f"folder {self.root.name!r} has no images below a folder named {split!r}",
                remedy="leave --split out to use every file",
            )
        return found

    def parent_names(self, row: int) -> tuple[str, ...]:
        """Return the names of the folders that a file lies in, innermost first, the root last."""
        inside = self.files[row].relative_to(self.root).parts[:-1]
        return (*reversed(inside), self.root.resolve().name)

    def sha256(self, row: int) -> str:
        """Return the SHA-256 of a file; empty where it cannot be read."""
        digest = hashlib.sha256()
        try:
            with self.files[row].open("rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
        except OSError:
            return ""
        return digest.hexdigest()

    def study(self, row: int) -> Study:
        """Read one file in a limited child process.

        Raises
        ------
        ImageError
            When it is no image, or a broken one.
        """
        from whycad.imaging import read_study

        return read_study(self.files[row])


def read_folder(path: Path) -> FolderRows:
    """List the images under a folder, or take a single file.

    Hidden files, links, and companions such as tables and read-mes are left out; every other file
    is a row, so that one which turns out to be no image is reported and not lost.

    Raises
    ------
    DatasetError
        When the folder cannot be read or holds no such file.
    """
    path = Path(path)
    if path.is_file():
        return FolderRows(path.parent, (path,))
    files = tuple(sorted(_images(path)))
    if not files:
        raise DatasetError(f"folder {path.name!r} holds no images")
    return FolderRows(path, files)


def _images(root: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise DatasetError(f"folder {root.name!r} cannot be read ({type(error).__name__})") from error

    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            if _may_be_image(path) and path.is_file() and not path.is_symlink():
                yield path


def _may_be_image(path: Path) -> bool:
    name = path.name.lower()
    return not name.startswith(".") and path.suffix.lower() not in COMPANION_SUFFIXES and name not in COMPANION_NAMES
