"""Folders of images: class folders, split folders, and trees of DICOM files.

Of the folders between the root and a file, those named after a split say the split. Of the others, one
level is the class: the task's labels where a task is given; otherwise the innermost level whose names
recur under different parents (``siteA/benign``, ``siteB/benign``), else the outermost. Levels below the
class are groups (a patient's folder), levels above it the source.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import UNKNOWN, AuditCases, MetadataColumn
from whycad.audit.data.cells import column_of, plain_text, unique_ids
from whycad.audit.data.files import FileData, FileRow
from whycad.audit.data.tables import table_labels
from whycad.datasets.folder import FolderRows, read_folder

if TYPE_CHECKING:
    from whycad.manifest import Manifest

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
DICOM_HEAD = 132


@dataclass(frozen=True)
class Place:
    """What the folders that one file lies in say of it; empty where they say nothing."""

    label: str = ""
    group: str = ""
    source: str = ""
    split: str = ""


def open_folder(path: Path, manifest: Manifest | None) -> FileData:
    """Open a folder of images, or a single one; it is a DICOM tree where its first file is DICOM.

    Raises
    ------
    DatasetError
        When it cannot be read or holds no images.
    """
    files = read_folder(path)
    dicom = is_dicom(files.files[0])
    cases = _cases(files, manifest, path.stem if path.is_file() else path.resolve().name)
    if dicom:
        from whycad.audit.data.dicom_trees import with_headers

        cases = with_headers(cases, files.files)
    rows = tuple(FileRow(file) for file in files.files)
    return FileData("dicom-tree" if dicom else "folder", _listing_sha256(files), cases, rows)


def is_dicom(file: Path) -> bool:
    """Whether a file starts as DICOM does."""
    try:
        with file.open("rb") as stream:
            return stream.read(DICOM_HEAD)[128:] == b"DICM"
    except OSError:
        return False


def _listing_sha256(files: FolderRows) -> str:
    digest = hashlib.sha256()
    for file in files.files:
        digest.update(f"{file.relative_to(files.root)}\0{file.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _cases(files: FolderRows, manifest: Manifest | None, name: str) -> AuditCases:
    inside = [file.relative_to(files.root).parts[:-1] for file in files.files]
    places = places_of(inside, manifest)
    labels, order, warnings = table_labels([place.label for place in places], manifest, name)
    groups_known = any(place.group for place in places)
    sources = np.array([place.source for place in places], np.str_)
    return AuditCases(
        name=name,
        ids=unique_ids([plain_text(file.stem) for file in files.files]),
        labels=labels,
        groups=np.array([place.group or f"row-{row}" for row, place in enumerate(places)], np.str_),
        splits=np.array([place.split for place in places], np.str_),
        columns=_file_columns(files),
        label_order=order,
        sources=sources if len(set(sources.tolist())) > 1 else None,
        groups_known=groups_known,
        warnings=tuple(warnings),
    )


def places_of(inside: list[tuple[str, ...]], manifest: Manifest | None) -> list[Place]:
    """Return what the folders say; ``inside`` holds their names from the root down, per file."""
    splits = [
        next((SPLIT_NAMES[part.casefold()] for part in parts if part.casefold() in SPLIT_NAMES), "") for parts in inside
    ]
    levels = [tuple(plain_text(part) for part in parts if part.casefold() not in SPLIT_NAMES) for parts in inside]
    level = _class_level(levels, manifest)
    found = []
    for parts, split in zip(levels, splits, strict=True):
        at = min(level, len(parts) - 1)
        if at < 0:
            found.append(Place(split=split))
            continue
        group = "/".join(parts[: at + 2]) if len(parts) > at + 1 else ""
        found.append(Place(parts[at], group, "/".join(parts[:at]), split))
    return found


def _class_level(levels: list[tuple[str, ...]], manifest: Manifest | None) -> int:
    from whycad.datasets.labels import label_code

    depth = max((len(parts) for parts in levels), default=0)
    names = [{parts[level] for parts in levels if len(parts) > level} for level in range(depth)]
    if manifest is not None:
        known = [sum(bool(label_code(name, manifest)) for name in level) for level in names]
        return int(np.argmax(known)) if any(known) else 0
    for level in range(depth - 1, 0, -1):
        parents: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for parts in levels:
            if len(parts) > level:
                parents[parts[level]].add(parts[:level])
        if all(len(above) > 1 for above in parents.values()):
            return level
    return 0


def _file_columns(files: FolderRows) -> tuple[MetadataColumn, ...]:
    formats = [file.suffix.lower().lstrip(".") for file in files.files]
    if len(set(formats)) < 2:
        return ()
    column, _ = column_of("file_format", formats)
    return () if column is None else (column,)


def name_patterns(ids: NDArray[np.str_], labels: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return how each file is named: digits as ``#``, hexadecimal runs as ``#``, its own label as ``*``."""
    found = []
    for name, label in zip(ids.tolist(), labels.tolist(), strict=True):
        text = re.sub(re.escape(label), "*", name, flags=re.IGNORECASE) if label else name
        text = re.sub(r"(?<![A-Za-z])[0-9a-fA-F]{6,}(?![A-Za-z])", "#", text)
        found.append(re.sub(r"\d+", "#", text) or UNKNOWN)
    return np.array(found, np.str_)
