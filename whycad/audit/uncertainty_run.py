"""Run a task on every image that its uncertainty is judged by; what was run is kept and not run again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad import __version__
from whycad.audit.case_table import CaseTable, LabelledCase, collect, facts_digest, load_table, save_table
from whycad.audit.evaluation_sets import EvaluationSet
from whycad.audit.strange_images import RUINS, in_disguise, natural_images, noise_images, plain_study, ruined
from whycad.datasets.source import PackRows, StudySource, open_source
from whycad.errors import DatasetError, WhyCadError
from whycad.types import MetadataValue, Region, Study

if TYPE_CHECKING:
    from whycad.inference import Ensemble
    from whycad.plugin import Plugin

BATCH = 32
N_RUINED = 40


@dataclass(frozen=True, eq=False)
class ReadCase:
    """One image to be predicted, or why it could not be read."""

    study: Study | WhyCadError
    region: Region | None
    label: str
    group: str


@dataclass(frozen=True, eq=False)
class Runner:
    """A task's loaded ensemble, and where its predictions are kept.

    Attributes
    ----------
    plugin : Plugin
    ensemble : Ensemble
    cache : Path
        Folder of case tables.
    fresh : bool
        Whether kept tables are made again.
    told : callable
        Given a line when images are about to be run.
    """

    plugin: Plugin
    ensemble: Ensemble
    cache: Path
    fresh: bool = False
    told: Callable[[str], None] = field(default=lambda _line: None)

    def table(self, name: str, facts: dict[str, str], cases: Callable[[], Iterable[ReadCase]]) -> CaseTable:
        """Return the predictions of some cases, from the kept table where nothing it depends on has changed.

        Parameters
        ----------
        name : str
            For the file and for the reader.
        facts : dict of str to str
            What the cases depend on.
        cases : callable
            Reads them; called only where there is no table.
        """
        digest = facts_digest(facts | self._own_facts())
        path = self.cache / f"{self.plugin.id}-{_slug(name)}-{digest}.npz"
        if path.is_file() and not self.fresh:
            return load_table(path)
        self.told(f"{self.plugin.id}: {name}")
        table = collect(self._predict(cases()), self.plugin.manifest.label_codes)
        save_table(table, path)
        return table

    def _own_facts(self) -> dict[str, str]:
        calibration = self.plugin.calibration_path()
        code = sorted(self.plugin.folder.glob("*.py"))
        files = [self.plugin.folder / "plugin.toml", *code, *([calibration] if calibration else [])]
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.read_bytes() if file.is_file() else b"absent")
        return {"weights": self.plugin.weights_sha256, "files": digest.hexdigest(), "version": __version__}

    def _predict(self, cases: Iterable[ReadCase]) -> Iterator[LabelledCase]:
        from whycad.batch import predict_batch

        waiting = iter(cases)
        while chunk := list(islice(waiting, BATCH)):
            ready = [(case.study, case.region) for case in chunk if isinstance(case.study, Study)]
            outcomes = iter(
                predict_batch(
                    [study for study, _ in ready],
                    self.plugin,
                    self.ensemble,
                    regions=[region for _, region in ready],
                )
            )
            for case in chunk:
                outcome = next(outcomes) if isinstance(case.study, Study) else case.study
                yield LabelledCase(outcome, case.label, case.group)


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.casefold())[:60]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one evaluation set, read the way its own task reads them."""

    item: EvaluationSet
    file: Path
    source: StudySource
    numbers: tuple[int, ...]

    @property
    def facts(self) -> dict[str, str]:
        """What predictions of these rows depend on."""
        stamp = self.file.stat()
        rows = hashlib.sha256(np.array(self.numbers, np.int64).tobytes()).hexdigest()
        return {"file": self.file.name, "size": str(stamp.st_size), "time": str(stamp.st_mtime_ns), "rows": rows}

    def cases(self) -> Iterator[ReadCase]:
        """Read the rows one by one."""
        for row in self.numbers:
            info = self.source.info(row)
            try:
                study, region = self.source.case(row)
            except WhyCadError as error:
                yield ReadCase(error, None, info.label, info.group)
                continue
            yield ReadCase(study, region, info.label, info.group)

    def metadata(self) -> list[dict[str, MetadataValue]]:
        """Return the audit fields of each row."""
        return [self.source.info(row).metadata for row in self.numbers]

    def diameters(self) -> NDArray[np.float64] | None:
        """Return the median of the readers' diameters (mm) of each row, where the pack has them."""
        if not isinstance(self.source, PackRows) or "reader_diameter_mm" not in self.source.pack.arrays:
            return None
        values = np.asarray(self.source.pack.arrays["reader_diameter_mm"], np.float64)[list(self.numbers)]
        known = np.where(values > 0, values, np.nan)
        some = np.isfinite(known).any(axis=1)
        found = np.full(len(known), np.nan)
        found[some] = np.nanmedian(known[some], axis=1)
        return found

    def some(self, n: int) -> Rows:
        """Return at most n of the rows, evenly spaced."""
        if len(self.numbers) <= n:
            return self
        chosen = np.linspace(0, len(self.numbers) - 1, n).round().astype(int)
        return Rows(self.item, self.file, self.source, tuple(self.numbers[i] for i in chosen))


def open_rows(item: EvaluationSet, plugin: Plugin, data: Path, *, labelled: bool = False) -> Rows:
    """Open an evaluation set.

    Parameters
    ----------
    item : EvaluationSet
    plugin : Plugin
        The task that the set belongs to: it reads the rows.
    data : Path
        Folder of image packs.
    labelled : bool
        Whether rows without a label of the task are left out.

    Raises
    ------
    DatasetError
        When the pack is not there or no row is left.
    """
    file = item.file(data)
    source = open_source(file, plugin.manifest, read_row=plugin.row_reader)
    numbers = [row for row in source.rows(item.split) if _wanted(source, row, item.where)]
    if labelled:
        numbers = [row for row in numbers if source.info(row).label]
    if not numbers:
        raise DatasetError(f"{file.name!r} has no rows for {item.name!r}")
    return Rows(item, file, source, tuple(numbers))


def _wanted(source: StudySource, row: int, where: Sequence[tuple[str, str]]) -> bool:
    return all(source.cell(column, row).casefold() == value.casefold() for column, value in where)


def foreign_cases(rows: Rows, plugin: Plugin, *, disguised: bool) -> Iterator[ReadCase]:
    """Yield another task's images for this one, as they come or in this task's own format."""
    for case in rows.cases():
        if isinstance(case.study, WhyCadError):
            continue
        middle = Region(tuple((side - 1) / 2 for side in case.study.spatial_shape))
        region = middle if plugin.manifest.input.needs_region else None
        study = case.study
        if disguised:
            study, region = in_disguise(case.study, plugin.manifest)
        yield ReadCase(study, region, "", case.group)


def picture_cases(plugin: Plugin, *, noise: bool) -> Iterator[ReadCase]:
    """Yield everyday pictures, or noise, in this task's own format."""
    for image in noise_images() if noise else natural_images():
        study, region = in_disguise(plain_study(image), plugin.manifest)
        yield ReadCase(study, region, "", image.group)


def ruined_cases(rows: Rows) -> Iterator[ReadCase]:
    """Yield a task's own images, each ruined in one way after the other."""
    for i, case in enumerate(rows.some(N_RUINED).cases()):
        if isinstance(case.study, WhyCadError):
            continue
        for how in RUINS:
            yield ReadCase(ruined(case.study, how, i), case.region, case.label, f"{case.group} {how}")
