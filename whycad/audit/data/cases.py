"""What is known of every row of a data set before its image is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
ColumnKind = Literal["category", "number"]
UNKNOWN = ""


@dataclass(frozen=True, eq=False)
class MetadataColumn:
    """One metadata column of n rows.

    Attributes
    ----------
    name : str
    kind : {"category", "number"}
        Flags (0/1, yes/no) are categories.
    values : ndarray (n,)
        Text, empty where unknown; or float64, NaN where unknown.
    role : str
        ``metadata``, or ``artefact`` where it says whether an artefact is in the image.
    """

    name: str
    kind: ColumnKind
    values: NDArray[np.generic]
    role: Literal["metadata", "artefact"] = "metadata"

    @property
    def known(self) -> BoolArray:
        """Whether each row has a value, ``(n,)``."""
        if self.kind == "number":
            return np.asarray(np.isfinite(self.values.astype(np.float64)))
        return np.asarray(self.values != UNKNOWN)


@dataclass(frozen=True, eq=False)
class AuditCases:
    """All rows of a data set, in order.

    Attributes
    ----------
    name : str
        Of the data set, for people.
    ids : ndarray of str (n,)
        Unique; what findings name.
    labels : ndarray of str (n,)
        Class names, or a task's codes where a task is audited; empty where unknown.
    groups : ndarray of str (n,)
        Patient, lesion or run; ``row-<n>`` where unknown.
    splits : ndarray of str (n,)
        Empty where the data set has none.
    columns : tuple of MetadataColumn
    label_order : tuple of str
        Labels in the order in which they are shown.
    patients : ndarray of str (n,) or None
        Patient where it is known apart from the group.
    sources : ndarray of str (n,) or None
        File or folder that each row came from, where rows come from several.
    groups_known : bool
        Whether ``groups`` came with the data.
    subject_name : str
        What the data set calls a patient.
    """

    name: str
    ids: NDArray[np.str_]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    splits: NDArray[np.str_]
    columns: tuple[MetadataColumn, ...] = ()
    label_order: tuple[str, ...] = ()
    patients: NDArray[np.str_] | None = None
    sources: NDArray[np.str_] | None = None
    groups_known: bool = True
    warnings: tuple[str, ...] = field(default=())
    subject_name: str = "patient"

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> BoolArray:
        """Whether each row has a label, ``(n,)``."""
        return np.asarray(self.labels != UNKNOWN)

    def column(self, name: str) -> MetadataColumn | None:
        """Return a metadata column by name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def without(self, names: Sequence[str]) -> AuditCases:
        """Return the same rows without some metadata columns, and a warning that they were left out."""
        dropped = [column.name for column in self.columns if column.name in names]
        if not dropped:
            return self
        words = f"columns that tell the label by right were left out: {', '.join(dropped)}"
        kept = tuple(column for column in self.columns if column.name not in names)
        return replace(self, columns=kept, warnings=(*self.warnings, words))

    def select(self, rows: Sequence[int] | NDArray[np.int64] | BoolArray) -> AuditCases:
        """Return some of the rows, in the order given."""
        taken = np.asarray(rows)
        return AuditCases(
            self.name,
            self.ids[taken],
            self.labels[taken],
            self.groups[taken],
            self.splits[taken],
            tuple(MetadataColumn(c.name, c.kind, c.values[taken], c.role) for c in self.columns),
            self.label_order,
            None if self.patients is None else self.patients[taken],
            None if self.sources is None else self.sources[taken],
            self.groups_known,
            self.warnings,
            self.subject_name,
        )
