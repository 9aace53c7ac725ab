"""The cases behind an audit's findings: small pictures, facts, and the way to the Case view. No Streamlit here."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dashboard.state import OpenCase, new_id
from whycad.audit.data.dataset import AuditDataset
from whycad.audit.data.samples import is_samples
from whycad.audit.findings import Audit
from whycad.audit.run.runs import AuditRun
from whycad.errors import DatasetError, WhyCadError
from whycad.phantom import PhantomCase
from whycad.rendering import base_picture
from whycad.wording import printable

SIDE, LARGE_SIDE = 200, 1024


@dataclass(frozen=True)
class CaseBook:
    """An audit's data set, opened again.

    Attributes
    ----------
    run : AuditRun
    audit : Audit
    dataset : AuditDataset or None
        None for simulated samples, which are in ``samples``.
    rows : dict of str to int
        Row number by case id.
    samples : dict of str to PhantomCase
    """

    run: AuditRun
    audit: Audit
    dataset: AuditDataset | None
    rows: dict[str, int]
    samples: dict[str, PhantomCase]

    def __contains__(self, case: str) -> bool:
        return case in self.rows or case in self.samples

    @property
    def changed(self) -> bool:
        """Whether the data set has another number of rows than the audit saw."""
        return self.dataset is not None and len(self.dataset.cases) != self.audit.data.n_rows

    def label(self, case: str) -> str:
        """Return a case's label; empty where unknown."""
        if case in self.samples:
            return self.samples[case].label
        return "" if self.dataset is None or case not in self.rows else str(self.dataset.cases.labels[self.rows[case]])

    def picture(self, case: str) -> bytes:
        """Return a small picture of a case as a JPEG file; empty where it cannot be read."""
        try:
            if case in self.samples:
                return _jpeg(base_picture(self.samples[case].study), SIDE)
            assert self.dataset is not None
            return _jpeg(self.dataset.picture(self.rows[case]), SIDE)
        except (WhyCadError, OSError, KeyError):
            return b""

    def large(self, case: str) -> bytes:
        """Return a picture of a case at its own size, at most 1,024 pixels, as a JPEG file."""
        assert self.dataset is not None
        return _jpeg(self.dataset.picture(self.rows[case]), LARGE_SIDE)

    def facts(self, case: str) -> list[tuple[str, str]]:
        """Return what the data set says of a case."""
        if self.dataset is None or case not in self.rows:
            return []
        row, cases = self.rows[case], self.dataset.cases
        own = [("Label", str(cases.labels[row])), ("Split", str(cases.splits[row])), ("Group", str(cases.groups[row]))]
        return [*own, *((column.name, str(column.values[row])) for column in cases.columns if column.known[row])]

    def open(self, case: str) -> OpenCase:
        """Return a case for the Case view, read as the audited task reads it.

        Raises
        ------
        WhyCadError
            When it is broken, or the audit was of data alone.
        """
        record = self.run.record
        assert record is not None, "a book is opened from its record"
        if case in self.samples:
            sample = self.samples[case]
            study, region, description = sample.study, sample.region, sample.description
        elif self.dataset is not None and case in self.rows:
            (study, region), description = self.dataset.case(self.rows[case]), ""
        else:
            raise DatasetError(f"case {case[:40]!r} is not in the data set any more")
        return OpenCase(
            new_id(),
            f"Case {printable(case, 32)}",
            study,
            "audit",
            description,
            self.label(case) if self.audit.model is not None else "",
            task=record.task,
            region=region,
        )


def open_book(run: AuditRun, audit: Audit, samples: tuple[PhantomCase, ...] = ()) -> CaseBook:
    """Open an audit's data set again.

    Raises
    ------
    DatasetError
        When nothing says where it is, or it is not there any more.
    """
    if run.record is None:
        raise DatasetError("nothing says where this audit's images are", remedy="its file run.json is missing")
    if is_samples(run.record.dataset):
        return CaseBook(run, audit, None, {}, {case.name: case for case in samples})
    try:
        dataset = run.record.ref.open()
    except OSError as error:
        raise DatasetError("the audited data set cannot be read any more") from error
    return CaseBook(run, audit, dataset, {str(name): row for row, name in enumerate(dataset.cases.ids)}, {})


def _jpeg(picture: NDArray[np.uint8], side: int) -> bytes:
    """Return the whole picture, never a part of it: what matters may lie in a corner."""
    image = Image.fromarray(picture).convert("RGB")
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
