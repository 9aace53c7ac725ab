"""What an audit was asked for, in a private file of its folder: how to go on with it, and where its images are."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from whycad.audit.context import AuditOptions
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.data.samples import is_samples
from whycad.audit.run.engine import EngineName
from whycad.files import write_whole

RECORD_FILE = "run.json"


class RunRecord(BaseModel):
    """What was asked for. It names paths of this machine, so it is not part of any report.

    Attributes
    ----------
    dataset : Path
        Absolute, or the word for the task's simulated samples.
    task, split : str
        Empty where there is none.
    where : tuple of str
        What the split's rows must hold.
    checks : tuple of str
        Empty for all.
    """

    model_config = ConfigDict(frozen=True)

    dataset: Path
    task: str = ""
    split: str = ""
    where: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    engine: EngineName = "local"
    cache: Path | None = None
    device: str = ""
    pdf: bool = True
    options: AuditOptions = AuditOptions()

    @property
    def ref(self) -> DatasetRef:
        """How to open the data set again."""
        return DatasetRef(self.dataset, self.task)

    def arguments(self, out: Path, *, resume: bool = False) -> list[str]:
        """Return the arguments of ``whycad`` that run this audit."""
        options = self.options
        task = ["audit", "--task", self.task] if self.task else ["audit-data"]
        named = [
            ("--split", self.split if self.task else ""),
            ("--checks", ",".join(self.checks)),
            ("--cache", "" if self.cache is None else str(self.cache)),
            ("--device", self.device if self.task else ""),
        ]
        given = [part for name, value in named if value for part in (name, value)]
        numbers = ["--draws", options.n_draws, "--perturbed", options.n_perturbed, "--explained", options.n_explained]
        fixed = [*numbers, "--seed", options.seed, "--purpose", options.purpose, "--engine", self.engine]
        places = ["--dataset", str(self.dataset), "--out", str(out)]
        return [
            *task,
            *places,
            *(part for wanted in self.where for part in ("--where", wanted)),
            *given,
            *map(str, fixed),
            *(["--resume"] if resume else []),
            *([] if self.pdf else ["--no-pdf"]),
        ]


def absolute(dataset: Path) -> Path:
    """Return where a data set lies, whatever folder the reader is in; simulated samples lie nowhere."""
    return dataset if is_samples(dataset) else dataset.resolve()


def write_record(record: RunRecord, folder: Path) -> None:
    """Write the record so that only its owner can read it.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    write_whole(folder / RECORD_FILE, record.model_dump_json(indent=1) + "\n")
    with contextlib.suppress(OSError):  # a file system without owners
        (folder / RECORD_FILE).chmod(0o600)


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of an audit's folder; None where there is none or it is broken."""
    try:
        return RunRecord.model_validate_json((folder / RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
