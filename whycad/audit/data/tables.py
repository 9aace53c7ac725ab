"""A table with one row per image: ``image``, ``label``, and what else is known.

Image paths are relative to the table and must stay in its folder (an absolute path that lies there is
taken too): a table from elsewhere shall not name other files of this machine. Rows that cannot be used
stay rows, with the reason in place of their image, so that they are counted and listed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from os.path import normpath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import UNKNOWN, AuditCases, MetadataColumn
from whycad.audit.data.cells import column_of, known_label, known_text, unique_ids
from whycad.audit.data.files import FileData, FileRow
from whycad.audit.data.sheets import Sheet, read_sheet
from whycad.audit.data.vocabulary import subject_column
from whycad.errors import DatasetError
from whycad.types import Region

if TYPE_CHECKING:
    from whycad.manifest import Manifest

# The first name that is there, whatever its case, is taken.
ROLES = {
    "image": ("image", "image_path", "path", "file", "filename", "filepath"),
    "label": ("label", "class", "diagnosis", "dx", "target", "y"),
    "id": ("id", "image_id", "case_id"),
    "patient": ("patient", "patient_id", "subject", "subject_id", "patientid", "subjectid"),
    "group": ("group", "group_id", "lesion_id"),
    "split": ("split", "subset", "partition"),
    "mask": ("mask", "mask_path"),
    "point": ("point", "seed"),
    "region": ("region", "box"),
}
MAX_PATH = 1024
MOST_CLASSES = 100
NAMED = 3


def open_table(path: Path, manifest: Manifest | None) -> FileData:
    """Open a table of images.

    Raises
    ------
    DatasetError
        When it cannot be read, has no ``image`` column, or its labels are no classes.
    """
    import hashlib

    sheet = read_sheet(path)
    roles = roles_of(sheet)
    if "image" not in roles:
        there = ", ".join(list(sheet.columns)[:12])
        raise DatasetError(
            f"table {path.name!r} has no column 'image'", remedy=f"name the column of image paths so; it has {there}"
        )
    rows = _rows(sheet, roles, path.parent)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileData("table", digest, _cases(sheet, roles, path, manifest), rows)


def roles_of(sheet: Sheet) -> dict[str, str]:
    """Return which column plays which role."""
    by_name = {name.casefold(): name for name in sheet.columns}
    found = {role: next((by_name[n] for n in names if n in by_name), None) for role, names in ROLES.items()}
    if found["patient"] is None:
        found["patient"] = subject_column(sheet.columns.items())
    return {role: name for role, name in found.items() if name is not None}


def _rows(sheet: Sheet, roles: dict[str, str], folder: Path) -> tuple[FileRow, ...]:
    root = folder.resolve()
    masks = sheet.columns.get(roles.get("mask", ""), [])
    found = []
    for row, cell in enumerate(sheet.columns[roles["image"]]):
        mask = _inside(root, masks[row]).file if masks else None
        found.append(replace(_inside(root, cell), mask=mask, region=_region(sheet, roles, row)))
    broken = [FileRow(None, "the line has more or fewer cells than the header") for _ in sheet.broken]
    return (*found, *broken)


def _inside(root: Path, cell: object) -> FileRow:
    """Return the file or folder that a cell names, if it is below the table's folder and there."""
    text = str(cell).strip()
    if not text:
        return FileRow(None, "the row names no image")
    if len(text) > MAX_PATH or not text.isprintable():
        return FileRow(None, "the row's image is no path")
    try:
        path = (root / text.replace("\\", "/")).resolve()
        if not path.is_relative_to(root):
            return FileRow(None, "the row's image lies outside of the table's folder")
        if not path.exists():
            return FileRow(None, "the row's image is not there")
    except (OSError, ValueError, RuntimeError):
        return FileRow(None, "the row's image is no path")
    return FileRow(path)


def _region(sheet: Sheet, roles: dict[str, str], row: int) -> Region | None:
    """Return the click (``row column`` or ``slice row column``) or the box (both corners) of a row."""
    box = _numbers(sheet.columns[roles["region"]][row]) if "region" in roles else ()
    if len(box) in (4, 6):
        return Region(box[: len(box) // 2], box[len(box) // 2 :])
    point = _numbers(sheet.columns[roles["point"]][row]) if "point" in roles else ()
    return Region(point) if len(point) in (2, 3) else None


def _numbers(cell: object) -> tuple[float, ...]:
    words = re.findall(r"-?\d+(?:\.\d+)?", str(cell)[:200])
    return tuple(float(word) for word in words)


def _cases(sheet: Sheet, roles: dict[str, str], path: Path, manifest: Manifest | None) -> AuditCases:
    reader = _Reader(sheet, roles, len(sheet.broken))
    labels, order, warnings = table_labels(reader.labels(), manifest, path.name)
    patients, groups = reader.texts("patient"), reader.texts("group")
    # Two lesions of one patient are not independent.
    known = [patient or group for patient, group in zip(patients, groups, strict=True)]
    ids = reader.ids()
    columns, left_out = reader.metadata()
    return AuditCases(
        name=path.stem,
        ids=ids,
        labels=labels,
        groups=np.array([group or f"row-{row}" for row, group in enumerate(known)], np.str_),
        splits=np.array(reader.texts("split"), np.str_),
        columns=columns,
        label_order=order,
        patients=np.array(patients, np.str_) if any(patients) else None,
        sources=reader.sources(path.parent),
        groups_known=any(known),
        subject_name=roles.get("patient", "patient"),
        warnings=(*sheet.warnings, *warnings, *reader.repeated(), *left_out),
    )


@dataclass(frozen=True)
class _Reader:
    sheet: Sheet
    roles: dict[str, str]
    n_broken: int

    def texts(self, role: str) -> list[str]:
        """Return a role's cells as text, empty where there are none."""
        if role not in self.roles:
            return [UNKNOWN] * (len(self.sheet) + self.n_broken)
        return [known_text(cell) for cell in self.sheet.columns[self.roles[role]]] + [UNKNOWN] * self.n_broken

    def labels(self) -> list[str]:
        """Return the labels as they are written, empty where there are none."""
        if "label" not in self.roles:
            return self.texts("label")
        return [known_label(cell) for cell in self.sheet.columns[self.roles["label"]]] + [UNKNOWN] * self.n_broken

    def ids(self) -> NDArray[np.str_]:
        """Return the ids of the table, or file names; those of broken lines are line numbers."""
        cells = self.sheet.columns[self.roles.get("id", self.roles["image"])]
        names = [known_text(cell if "id" in self.roles else _stem(cell)) for cell in cells]
        return unique_ids([*names, *(f"line-{number}" for number in self.sheet.broken)])

    def repeated(self) -> list[str]:
        """Say how many ids occur more than once."""
        if "id" not in self.roles:
            return []
        counts = Counter(name for name in self.texts("id") if name)
        n = sum(count > 1 for count in counts.values())
        return [f"{n} ids occur more than once; a number was added to them"] if n else []

    def sources(self, folder: Path) -> NDArray[np.str_] | None:
        """Return the folder of each image, relative to the table's, where there are several."""
        root = folder.resolve()
        cells = self.sheet.columns[self.roles["image"]]
        folders = [_folder(cell, root) for cell in cells] + [UNKNOWN] * self.n_broken
        return np.array(folders, np.str_) if len(set(folders)) > 1 else None

    def metadata(self) -> tuple[tuple[MetadataColumn, ...], list[str]]:
        """Return all other columns, and what was left out and why."""
        found, left_out = [], []
        for name, cells in self.sheet.columns.items():
            if name in self.roles.values():
                continue
            column, why = column_of(name or "column without a name", [*cells, *[UNKNOWN] * self.n_broken])
            if column is None:
                left_out.append(f"column {name!r} {why} and was left out")
            else:
                found.append(column)
        return tuple(found), left_out


def _stem(cell: object) -> str:
    return str(cell)[:MAX_PATH].replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]


def _folder(cell: object, root: Path) -> str:
    """Return an image's folder below the table's; unknown where it lies elsewhere, whose name is nobody's business."""
    text = str(cell).strip().replace("\\", "/")
    if not text or len(text) > MAX_PATH:
        return UNKNOWN
    path = PurePosixPath(normpath(root / text))
    below = path.is_relative_to(root) and path != PurePosixPath(root)
    return known_text(path.parent.relative_to(root).as_posix()) if below else UNKNOWN


def table_labels(
    names: list[str], manifest: Manifest | None, subject: str
) -> tuple[NDArray[np.str_], tuple[str, ...], list[str]]:
    """Return labels (a task's codes where there is one), their order, and remarks on unknown ones.

    Raises
    ------
    DatasetError
        When there are too many different labels to be classes.
    """
    from whycad.datasets.labels import label_code

    counts = Counter(name for name in names if name)
    if manifest is None:
        if len(counts) > MOST_CLASSES:
            raise DatasetError(
                f"{subject!r} has {len(counts)} different labels, more than {MOST_CLASSES}",
                remedy="labels must be classes; name a column of numbers otherwise",
            )
        return np.array(names, np.str_), tuple(sorted(counts)), []
    codes = {name: label_code(name, manifest) for name in counts}
    strange = [name for name, code in codes.items() if not code]
    n = sum(counts[name] for name in strange)
    shown = ", ".join(repr(name) for name in strange[:NAMED]) + (" and others" if len(strange) > NAMED else "")
    remarks = [f"{n} rows have labels that the task does not know ({shown})"] if strange else []
    return np.array([codes.get(name, UNKNOWN) for name in names], np.str_), manifest.label_codes, remarks
