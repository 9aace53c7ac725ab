"""Files, folders and archives to Studies: slices of one series become one volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whycad.errors import WhyCadError
from whycad.imaging.limits import Limits
from whycad.imaging.reader import read_study
from whycad.types import Study


@dataclass(frozen=True, eq=False)
class StudyItem:
    """One image or volume that came out of the sources, or why none did.

    Attributes
    ----------
    sources : tuple of int
        Indices of the sources that it comes from, ascending.
    study : Study or None
    error : WhyCadError or None
        Exactly one of ``study`` and ``error`` is None.
    """

    sources: tuple[int, ...]
    study: Study | None
    error: WhyCadError | None = None


def read_studies(sources: Sequence[bytes | Path], *, limits: Limits | None = None) -> tuple[StudyItem, ...]:
    """Read files, folders and ZIP archives; slices of one series become one volume.

    Parameters
    ----------
    sources : sequence of bytes or Path
        Contents of a file or archive, or the path of a file, archive or folder.
    limits : Limits or None
        For one file; they are scaled for series.

    Returns
    -------
    tuple of StudyItem
    """
    items = []
    for index, source in enumerate(sources):
        try:
            items.append(StudyItem((index,), read_study(source, limits=limits)))
        except WhyCadError as error:
            items.append(StudyItem((index,), None, error))
    return tuple(items)
