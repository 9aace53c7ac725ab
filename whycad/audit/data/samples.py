"""A task's simulated samples as a data set: to try an audit out. Its figures say nothing of patients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad.audit.data.cases import AuditCases, MetadataColumn
from whycad.audit.data.dataset import DatasetKind, pictures_of
from whycad.errors import DatasetError, WhyCadError
from whycad.phantom import PhantomCase
from whycad.plugin import Plugin
from whycad.types import Region, Study

SAMPLES = Path("simulated-samples")
SPLITS = ("train", "val")


def is_samples(path: Path) -> bool:
    """Whether a path is the word for a task's simulated samples, and not a file or folder of that name."""
    return path == SAMPLES and not path.exists()


@dataclass(frozen=True, eq=False)
class SampleData:
    """The samples that a task's phantom makes, in its order.

    Attributes
    ----------
    plugin : Plugin
    made : tuple of PhantomCase
    """

    plugin: Plugin
    made: tuple[PhantomCase, ...]
    kind: DatasetKind = "samples"

    @cached_property
    def cases(self) -> AuditCases:
        """All rows; every second sample of a label is in ``val``."""
        labels = [case.label for case in self.made]
        seen = [labels[:row].count(label) for row, label in enumerate(labels)]
        return AuditCases(
            name=f"{self.plugin.id}-simulated-samples",
            ids=np.array([case.name for case in self.made], np.str_),
            labels=np.array(labels, np.str_),
            groups=np.array([f"row-{row}" for row in range(len(labels))], np.str_),
            splits=np.array([SPLITS[1 - number % 2] for number in seen], np.str_),
            columns=tuple(_artefact_columns(self.made)),
            label_order=self.plugin.manifest.label_codes,
            groups_known=False,
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of all samples' pixels."""
        hashes = "\n".join(case.study.sha256 for case in self.made)
        return hashlib.sha256(hashes.encode()).hexdigest()

    def content(self, row: int) -> str:
        """Return the hash of the sample's pixels."""
        return self.made[row].study.sha256

    def case(self, row: int) -> tuple[Study, Region | None]:
        """Return one sample."""
        return self.made[row].study, self.made[row].region

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Draw one sample; of a volume the middle slice."""
        from whycad.rendering import base_picture

        return base_picture(self.made[row].study)

    def pictures(self, rows: Sequence[int]) -> Iterator[NDArray[np.uint8] | WhyCadError]:
        """Draw several samples."""
        return pictures_of(self, rows)

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Return where the finding is; None in a volume."""
        mask = self.made[row].mask
        return mask if mask.ndim == 2 else None

    def file_bytes(self, row: int) -> int | None:
        """Return nothing: samples are no files."""
        del row
        return None


def open_samples(plugin: Plugin | None) -> SampleData:
    """Return a task's samples.

    Raises
    ------
    DatasetError
        When no task was named, or it has none.
    """
    made = () if plugin is None else plugin.phantom()
    if plugin is None or not made:
        raise DatasetError(
            "there are no simulated samples without a task that makes them",
            remedy="name a task that has a phantom, or another data set",
        )
    return SampleData(plugin, made)


def _artefact_columns(made: tuple[PhantomCase, ...]) -> list[MetadataColumn]:
    names = dict.fromkeys(name for case in made for name in case.artefacts)
    return [MetadataColumn(name, "category", _flags(name, made), "artefact") for name in names]


def _flags(name: str, made: tuple[PhantomCase, ...]) -> NDArray[np.str_]:
    return np.array(["yes" if name in case.artefacts else "no" for case in made], np.str_)
