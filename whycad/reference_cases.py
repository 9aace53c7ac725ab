"""A case that a task's calibration was fitted on, read again: for reference sets and distributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whycad.errors import WhyCadError
from whycad.types import Region, Study

if TYPE_CHECKING:
    from whycad.datasets.source import StudySource


@dataclass(frozen=True, eq=False)
class ReferenceCase:
    """A case with a known label.

    Attributes
    ----------
    study : Study
    region : Region or None
    label : str
        Code of the task.
    group : str
        Lesion or patient, or what stands for it; never stored as it is.
    readings : mapping of str to float
        By concept, the radiologists' own mean rating, where it is known.
    """

    study: Study
    region: Region | None
    label: str
    group: str = ""
    readings: Mapping[str, float] = field(default_factory=dict)


def labelled_cases(source: StudySource, split: str | None, codes: Sequence[str]) -> Iterator[ReferenceCase]:
    """Yield the rows of a data set that carry one of a task's labels; broken images are left out."""
    for row in source.rows(split):
        info = source.info(row)
        if info.label not in codes:
            continue
        try:
            study, region = source.case(row)
        except WhyCadError:
            continue
        yield ReferenceCase(study, region, info.label, info.group)
