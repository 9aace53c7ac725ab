"""Image packs (``whycad.datasets.pack``) as data sets of an audit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import UNKNOWN, AuditCases, MetadataColumn
from whycad.audit.data.dataset import DatasetKind, pictures_of
from whycad.audit.data.vocabulary import holds_codes, subject_column
from whycad.datasets.labels import label_code
from whycad.datasets.pack import GROUP_COLUMNS, ID_COLUMNS, LABEL_COLUMNS, Pack, read_pack
from whycad.datasets.pack_study import UNKNOWN_WORDS, row_sha256
from whycad.datasets.source import PackRows
from whycad.errors import DatasetError, WhyCadError
from whycad.plugin import Plugin
from whycad.types import Region, Study

# What describes how a pack is made, not the patient or the picture.
NOT_METADATA = {*GROUP_COLUMNS, *ID_COLUMNS, *LABEL_COLUMNS, "split", "jpeg_offsets", "offset", "order", "slice"}
FEW_VALUES = 12


@dataclass(frozen=True, eq=False)
class PackData:
    """A pack, with a task's vocabulary where a plugin is given."""

    pack: Pack
    plugin: Plugin | None
    kind: DatasetKind = "pack"

    @cached_property
    def cases(self) -> AuditCases:
        """All rows."""
        return pack_cases(self.pack, self.plugin)

    @cached_property
    def sha256(self) -> str:
        """Hash of the file."""
        with self.pack.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    @cached_property
    def _rows(self) -> PackRows:
        if self.plugin is None:
            raise DatasetError("no task was named, so the images cannot be read for one", remedy="give --task")
        return PackRows(self.pack, self.plugin.manifest, self.plugin.row_reader)

    def content(self, row: int) -> str:
        """Return the hash of the stored image."""
        return row_sha256(self.pack, row)

    def case(self, row: int) -> tuple[Study, Region | None]:
        """Read one row as the task does."""
        return self._rows.case(row)

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Read one row as a picture."""
        return as_picture(self.pack.image(row))

    def pictures(self, rows: Sequence[int]) -> Iterator[NDArray[np.uint8] | WhyCadError]:
        """Read rows as pictures; a row that fails has its error in its place."""
        return pictures_of(self, rows)

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Return the outline that the pack has of the row's image, if any."""
        from whycad.audit.data.pack_masks import pack_mask

        return pack_mask(self.pack, row)

    def file_bytes(self, row: int) -> int | None:
        """Return the size of the stored JPEG file."""
        return len(self.pack.jpeg_bytes(row)) if self.pack.is_jpeg else None


def open_pack(path: Path, plugin: Plugin | None) -> PackData:
    """Open a pack.

    Raises
    ------
    DatasetError
        When it is none.
    """
    return PackData(read_pack(path), plugin)


def as_picture(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return an image as uint8 ``(H, W)`` or ``(H, W, 3)``; other numbers are stretched to their own range."""
    if image.ndim == 3 and image.shape[-1] != 3:
        image = image[len(image) // 2]
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    values = np.nan_to_num(image.astype(np.float64))
    low, high = float(values.min()), float(values.max())
    return np.asarray(np.clip((values - low) / max(high - low, 1e-12) * 255, 0, 255).round(), np.uint8)


def pack_cases(pack: Pack, plugin: Plugin | None) -> AuditCases:
    """Return what a pack says of its rows."""
    n = len(pack)
    names = [pack.label_name(row) for row in range(n)]
    labels = [_class(name) for name in names] if plugin is None else [label_code(n, plugin.manifest) for n in names]
    order = tuple(dict.fromkeys(pack.class_names())) or tuple(sorted(set(labels) - {UNKNOWN}))
    group = next((name for name in GROUP_COLUMNS if pack.column(name) is not None), None)
    there = ((name, column) for name in pack.arrays if (column := pack.column(name)) is not None and column.ndim == 1)
    subject = subject_column((name, np.unique(column)) for name, column in there)
    groups = [pack.group(row) for row in range(n)]
    if group is None and subject is not None:
        groups = [pack.text(subject, row) or f"row-{row}" for row in range(n)]
    return AuditCases(
        name=pack.path.stem,
        ids=_ids(pack),
        labels=np.array(labels, np.str_),
        groups=np.array(groups, np.str_),
        splits=np.array([pack.text("split", row) for row in range(n)], np.str_),
        columns=tuple(column for column in _columns(pack) if column.name != subject),
        label_order=order if plugin is None else plugin.manifest.label_codes,
        patients=None if subject is None else _texts(pack, subject),
        groups_known=group is not None or subject is not None,
        subject_name=subject or "patient",
    )


def _class(name: str) -> str:
    """Return a class name; a negative number says that the class is not known."""
    return UNKNOWN if name.removeprefix("-").isdigit() and name.startswith("-") else name


def _texts(pack: Pack, name: str) -> NDArray[np.str_] | None:
    column = pack.column(name)
    if column is None or column.ndim != 1:
        return None
    return np.array([pack.text(name, row) for row in range(len(pack))], np.str_)


def _ids(pack: Pack) -> NDArray[np.str_]:
    """Return the pack's own ids where they are unique, else row numbers."""
    found = [pack.image_id(row) for row in range(len(pack))]
    unique = all(found) and len(set(found)) == len(found)
    return np.array(found if unique else [f"row-{row}" for row in range(len(pack))], np.str_)


def _columns(pack: Pack) -> list[MetadataColumn]:
    found = []
    for name, array in pack.arrays.items():
        if name in NOT_METADATA or array.ndim == 0 or len(array) != len(pack) or name in ("jpeg", "images", "image"):
            continue
        if array.ndim == 1:
            found.append(_column(pack, name))
        elif array.ndim == 2:
            found += _columns_of_table(pack, name, array)
    return found


def _column(pack: Pack, name: str) -> MetadataColumn:
    array = pack.arrays[name]
    number = np.issubdtype(array.dtype, np.number)
    codes = holds_codes(name) and array.dtype.kind in "iu"
    if number and not codes and (array.dtype.kind == "f" or len(np.unique(array)) > FEW_VALUES):
        return MetadataColumn(name, "number", array.astype(np.float64))
    texts = [pack.text(name, row) for row in range(len(pack))]
    return MetadataColumn(name, "category", np.array([_known(text) for text in texts], np.str_))


def _known(text: str) -> str:
    return UNKNOWN if text.casefold() in UNKNOWN_WORDS or text == "-1" else text


def _columns_of_table(pack: Pack, name: str, array: NDArray[np.generic]) -> list[MetadataColumn]:
    """Return a two-dimensional column as several, where another array names its parts, or as a size."""
    names = pack.arrays.get(f"{name.rstrip('s')}_names")
    if name.startswith("reader_") and array.dtype.kind == "f":
        return [MetadataColumn(name, "number", median_of_readers(array.astype(np.float64)))]
    if names is not None and names.shape == (array.shape[1],):
        kinds = [_flags(array[:, i]) for i in range(len(names))]
        return [MetadataColumn(str(n), "category", v, "artefact") for n, v in zip(names, kinds, strict=True)]
    if name.endswith("_size"):
        sizes = ["x".join(str(int(part)) for part in row) for row in array]
        return [MetadataColumn(name, "category", np.array(sizes, np.str_))]
    return []


def median_of_readers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median over readers ``(n, r)`` to ``(n,)``, leaving out those who gave no number."""
    known = np.where(np.isfinite(values), values, np.nan)
    found = np.full(len(known), np.nan)
    some = np.isfinite(known).any(axis=1)
    found[some] = np.nanmedian(known[some], axis=1)
    return found


def _flags(values: NDArray[np.generic]) -> NDArray[np.str_]:
    """Return 0/1 as no/yes; negative numbers are unknown."""
    return np.array([UNKNOWN if value < 0 else "yes" if value > 0 else "no" for value in values], np.str_)
