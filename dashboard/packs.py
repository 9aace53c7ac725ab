"""Real cases from the researcher's own packs, for the picker; nothing of them is copied."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whycad.datasets.labels import label_code
from whycad.datasets.pack import read_pack
from whycad.datasets.source import PackRows
from whycad.errors import DatasetError
from whycad.manifest import Manifest
from whycad.rendering import thumbnail
from whycad.types import Study

SPLIT = "val"
PER_CLASS = 6


@dataclass(frozen=True, eq=False)
class PackCase:
    """One real case with the label that its pack gives it."""

    name: str
    study: Study
    label: str
    thumbnail: bytes


@dataclass(frozen=True, eq=False)
class PackCases:
    """A fixed, mixed choice of ``val`` cases; their order tells nothing of their labels.

    Attributes
    ----------
    cases : tuple of PackCase
    problems : tuple of str
        Packs that could not be read.
    """

    cases: tuple[PackCase, ...]
    problems: tuple[str, ...] = ()


def find_cases(folder: Path, manifest: Manifest, *, per_class: int = PER_CLASS) -> PackCases:
    """Choose up to ``per_class`` cases of each label from every pack that suits a task.

    Parameters
    ----------
    folder : Path
        Searched for ``*.npz`` files, one level of sub-folders included.
    manifest : Manifest
    per_class : int
    """
    cases: list[PackCase] = []
    problems = []
    for path in sorted([*folder.glob("*.npz"), *folder.glob("*/*.npz")]):
        if not _suits(path, manifest):
            continue
        try:
            cases.extend(_choose(PackRows(read_pack(path), manifest), per_class, path.stem))
        except DatasetError as error:
            problems.append(str(error))
    return PackCases(tuple(cases), tuple(problems))


def _suits(path: Path, manifest: Manifest) -> bool:
    """Whether every class of a pack is a label of the task; only the names are read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "class_names" not in archive.files:
                return False
            names = [str(name) for name in np.atleast_1d(archive["class_names"])]
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    return bool(names) and all(label_code(name, manifest) for name in names)


def _choose(source: PackRows, per_class: int, pack: str) -> list[PackCase]:
    random = np.random.default_rng(0)
    rows = random.permutation(np.asarray(source.rows(SPLIT), dtype=np.int64))
    room = dict.fromkeys(source.manifest.label_codes, per_class)
    chosen: list[int] = []
    for row in rows.tolist():
        label = source.info(row).label
        if room.get(label, 0) > 0:
            room[label] -= 1
            chosen.append(row)
    # The rows came shuffled, but rare classes fill up last: shuffle again, so that order tells nothing.
    order = random.permutation(len(chosen))
    return [_case(source, chosen[i], pack) for i in order]


def _case(source: PackRows, row: int, pack: str) -> PackCase:
    study = source.study(row)
    return PackCase(f"{pack} {row}", study, source.info(row).label, thumbnail(study))
