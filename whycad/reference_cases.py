"""The cases that a task's calibration was fitted on, read again: for reference sets and distributions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from whycad.datasets.source import StudySource
from whycad.errors import DatasetError, PluginError, WhyCadError
from whycad.plugin import Plugin, contained
from whycad.types import Region, Study


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
    """

    study: Study
    region: Region | None
    label: str
    group: str


def reference_cases(plugin: Plugin, data: Path) -> Iterator[ReferenceCase]:
    """Yield the cases of a task's calibration fold.

    Parameters
    ----------
    plugin : Plugin
    data : Path
        Folder of image packs; a task on simulated data makes its cases and does not look there.

    Raises
    ------
    DatasetError
        When the packs are not there, or the task does not say which cases those are.
    PluginError
        When the code raises or yields something else.
    """
    reference = plugin.manifest.code.reference_cases
    if reference is None:
        raise DatasetError(
            f"{plugin.label}: plugin.toml names no reference_cases", remedy="name a labelled data set instead"
        )
    function = plugin.resolve(reference)
    with contained(plugin, "reference_cases"):
        for case in function(data):
            if not isinstance(case, ReferenceCase) or case.label not in plugin.manifest.label_codes:
                raise PluginError(f"{plugin.label}: reference_cases must yield ReferenceCase with the task's labels")
            yield case


def labelled_cases(source: StudySource, split: str | None) -> Iterator[ReferenceCase]:
    """Yield the labelled rows of a data set; rows without a label and broken images are left out."""
    for row in source.rows(split):
        info = source.info(row)
        if not info.label:
            continue
        try:
            study, region = source.case(row)
        except WhyCadError:
            continue
        yield ReferenceCase(study, region, info.label, info.group)
