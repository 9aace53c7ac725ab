"""A small, mixed choice of real ``val`` cases from the researcher's own packs, for a picker."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from whycad.datasets.labels import label_code
from whycad.datasets.pack import LABEL_COLUMNS, read_pack
from whycad.datasets.source import PackRows
from whycad.errors import DatasetError, WhyCadError
from whycad.phantom import PhantomCase
from whycad.plugin import Plugin
from whycad.registry import misfit

SPLIT = "val"
PER_CLASS = 6


def choose_cases(folder: Path, plugin: Plugin, *, per_class: int = PER_CLASS) -> tuple[PhantomCase, ...]:
    """Choose up to ``per_class`` cases of each label from every pack that suits a task.

    Parameters
    ----------
    folder : Path
        Searched for ``*.npz`` files, one level of sub-folders included.
    plugin : Plugin
        Its labels say which packs suit it; its ``read_row`` reads them where it has one.
    per_class : int

    Returns
    -------
    tuple of PhantomCase
        Real studies (``simulated`` is not set), without a mask; the same choice every time, in an
        order that tells nothing of the labels. Rows and packs that cannot be read are left out.

    Raises
    ------
    DatasetError
        When packs that suit the task are there but none can be read.
    """
    cases: list[PhantomCase] = []
    problem: DatasetError | None = None
    for path in sorted([*folder.glob("*.npz"), *folder.glob("*/*.npz")]):
        if not _suits(path, plugin):
            continue
        try:
            rows = PackRows(read_pack(path), plugin.manifest, plugin.row_reader)
            cases.extend(_chosen(rows, per_class))
        except DatasetError as error:
            problem = error
    if problem is not None and not cases:
        raise problem
    return tuple(cases)


def _suits(path: Path, plugin: Plugin) -> bool:
    """Whether a pack has ``val`` rows and labels of the task; only its small columns are read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "split" not in archive.files or SPLIT not in np.unique(archive["split"]).astype(str):
                return False
            names = {str(name) for name in archive["class_names"]} if "class_names" in archive.files else set()
            column = next((name for name in LABEL_COLUMNS if name in archive.files), None)
            if not names and column is not None:
                names = {str(value) for value in np.unique(archive[column])}
            known = {name for name in names if label_code(name, plugin.manifest)}
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    # Every class name must be the task's; numbers may hold others, as -1 for "unknown".
    return len(known) > 1 and all(name in known or name.lstrip("-").isdecimal() for name in names)


def _chosen(rows: PackRows, per_class: int) -> Iterator[PhantomCase]:
    random = np.random.default_rng(0)
    room = dict.fromkeys(rows.manifest.label_codes, per_class)
    kept: list[int] = []
    for row in random.permutation(np.asarray(rows.rows(SPLIT), dtype=np.int64)).tolist():
        label = rows.info(row).label
        if room.get(label, 0) > 0:
            room[label] -= 1
            kept.append(row)
    # The rows came shuffled, but rare classes fill up last: shuffle again, so that order tells nothing.
    for row in random.permutation(np.asarray(kept, dtype=np.int64)).tolist():
        case = _case(rows, row)
        if case is not None:
            yield case


def _case(rows: PackRows, row: int) -> PhantomCase | None:
    try:
        study, region = rows.case(row)
    except WhyCadError:
        return None
    if misfit(rows.manifest, study):
        return None
    mask = np.zeros(study.spatial_shape, bool)
    name = f"{rows.pack.path.stem} {row}"
    return PhantomCase(study, mask, rows.info(row).label, name, "A real validation case.", region=region)
